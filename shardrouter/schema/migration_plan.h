// Which step comes next on which shard, from the directory's migrations and what every shard's ledger says.
//
//   shard.migration of shard 0: 0001 expand done, contract done   0002 expand done
//                   of shard 1: 0001 expand done, contract done   -
//   asked: expand   ->   (shard 1, 0002, expand)
//
// Order: migrations ascending; within one, shards ascending, but an expand reaches the target of a live bucket move
// before its source, so that rows only ever arrive where every column exists. Refused, with every reason:
//   * a file that changed since it ran, or a ledger entry whose file is missing
//   * contract: a shard without the expand, a backfill that is not done, a bucket in the middle of a move, a registered
//     reader that is older than the migration
//   * undo: something was contracted, a later migration is expanded, a registered reader already relies on it
// Threads: pure functions. I/O: none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"
#include "shardrouter/schema/migration_files.h"

namespace tidemark::shardrouter {

struct LedgerEntry {
  enum class State : uint8_t { kRunning, kDone, kUndone };
  std::string id;
  Phase phase = Phase::kExpand;
  std::string checksum;
  State state = State::kDone;
  uint64_t rows = 0;  // changed by the backfill so far
  bool operator==(const LedgerEntry&) const = default;
};
std::string_view to_string(LedgerEntry::State state);
std::optional<LedgerEntry::State> parse_ledger_state(std::string_view text);

// A program that said which schema it understands: its newest migration.
struct Reader {
  std::string name;
  std::string understands;  // migration id
  bool operator==(const Reader&) const = default;
};

struct ShardSituation {
  ShardId shard = 0;
  std::vector<LedgerEntry> ledger{};
  std::vector<Reader> readers{};
  uint32_t buckets_importing = 0;  // it is the target of a live move
  uint32_t buckets_leaving = 0;    // it is the source of one: fenced, or named by a move
  uint32_t buckets_owned = 0;
};

struct MigrationRequest {
  enum class Kind : uint8_t { kExpand, kBackfill, kContract, kUndo, kCatchUp };
  Kind kind = Kind::kExpand;
  std::string id;                // of one migration; empty: all (not for contract and undo)
  std::optional<ShardId> shard;  // kCatchUp: the new shard, which is brought to where the others are
};

struct MigrationStep {
  enum class Kind : uint8_t { kRun, kCheck };  // kCheck: no row may remain that the backfill should have changed
  Kind kind = Kind::kRun;
  ShardId shard = 0;
  std::string id;
  Phase phase = Phase::kExpand;
  bool operator==(const MigrationStep&) const = default;
};
std::string to_string(const MigrationStep& step);

// kNotFound: no such migration. kFailedPrecondition: refused; the message has one line per reason.
Result<std::vector<MigrationStep>> plan_migration(const std::vector<Migration>& migrations,
                                                  const std::vector<ShardSituation>& shards,
                                                  const MigrationRequest& request);

const LedgerEntry* find_entry(const ShardSituation& shard, const std::string& id, Phase phase);
bool is_done(const ShardSituation& shard, const std::string& id, Phase phase);

}  // namespace tidemark::shardrouter
