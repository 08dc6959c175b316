// STAGE as a client writes and reads it (docs/PROTOCOL.md), and the statement whose row is staged.
//
//   UPDATE t SET v = $2 WHERE k = $1 RETURNING k, v
//   ->
//   WITH tm_row AS (
//   UPDATE t SET v = $2 WHERE k = $1 RETURNING k, v
//   ) SELECT tm_row.*, pg_logical_emit_message(true, 'cache.stage', $3::text || E'\n' || $4::text) AS tm_staged FROM
//   tm_row
//
// One statement, so that the message enters the log after the row's change and before any AFTER trigger of it, and only
// if there is a row. (A message in a statement of its own would come after the AFTER triggers: a trigger that changes
// the row once more would not be noticed, and the value from before it would be installed.)
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "base/slot.h"
#include "base/wire/resp_value.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::client {

inline constexpr std::string_view kStagedColumn = "tm_staged";

struct StagedStatement {
  shardrouter::Statement statement;
  bool is_delete = false;  // a row returned is a row that is gone
};

// kInvalidArgument: the statement does not begin with INSERT, UPDATE or DELETE (only these lock the row that they
// return until the commit; and nothing that writes may stand below a WITH in Postgres).
Result<StagedStatement> stage_statement(shardrouter::Statement statement, std::string_view key, uint64_t stage);

// The caller's columns again.
void drop_staged_column(shardrouter::ResultSet& set);

struct Stage {
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  Lsn lsn;
  Xid xid = 0;
  uint64_t stage = 0;
  std::string_view key;
  std::string_view value;  // ignored when absent
  bool is_absent = false;
};
std::string make_stage(const Stage& stage);

// kSuperseded, kNoStage, kFull: dropped, and the key invalidated. kRefused: nothing was done.
enum class StageVerdict : uint8_t { kAccepted, kSuperseded, kNoStage, kFull, kDropped, kEpoch, kRefused };
std::string_view to_string(StageVerdict verdict);
StageVerdict parse_stage(const RespValue& reply);

}  // namespace tidemark::client
