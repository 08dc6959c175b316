// A directory of migrations as values. A migration is up to four files that share a number and a name:
//
//   0003_discount.expand.sql      adds what the new code needs; the old code must not notice
//   0003_discount.backfill.sql    one UPDATE or DELETE, run in batches: fills what was added
//   0003_discount.contract.sql    takes away what only the old code needed
//   0003_discount.undo.sql        takes the expand back, as long as nothing was contracted
//
// Lines "-- tidemark: adopt shop.coupon" (a new table whose rows belong to buckets: protected, published, granted) and
// "-- tidemark: reference shop.currency" (a new table with the same rows on every shard) may stand in an expand.
//
// What may stand in which file is checked here, see ddl_rules.h. Threads: pure functions. I/O: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "shardrouter/schema/sql_text.h"

namespace tidemark::shardrouter {

enum class Phase : uint8_t { kExpand, kBackfill, kContract, kUndo };
std::string_view to_string(Phase phase);
std::optional<Phase> parse_phase(std::string_view text);

struct MigrationFile {
  Phase phase = Phase::kExpand;
  std::string name;      // "0003_discount.expand.sql"
  std::string checksum;  // SHA-1 of its bytes
  std::vector<SqlStatement> statements;
  std::vector<std::string> adopted_tables;
  std::vector<std::string> reference_tables;
  std::vector<std::string> dropped_tables;  // must be empty, if they are published
  bool is_concurrent = false;               // CREATE/DROP INDEX CONCURRENTLY only: outside a transaction, repeatable
};

struct Migration {
  std::string id;  // "0003_discount"
  uint64_t number = 0;
  std::optional<MigrationFile> expand, backfill, contract, undo;

  const MigrationFile* file(Phase phase) const;
};

// The number that a migration's id begins with: "0003_discount" -> 3. Nothing: it is no id.
std::optional<uint64_t> number_of_migration(std::string_view id);

// `files`: (name, text). Ascending by number. kInvalidArgument lists everything that is wrong, one line each.
Result<std::vector<Migration>> read_migrations(const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace tidemark::shardrouter
