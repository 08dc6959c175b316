// A backfill's statement, and the batches it is run in.
//
//   UPDATE shop.item SET price_cents = price * 100 WHERE price_cents IS NULL
//
// The condition says which rows still need it and must be false for a row that has been changed: so a run that was
// interrupted goes on where it was, and "done" is a count of zero. A batch takes the next `rows` rows of one bucket in
// the order of the primary key:
//
//   WITH batch AS MATERIALIZED (SELECT "bucket" AS tidemark_k1, "id" AS tidemark_k2 FROM shop.item
//                               WHERE "bucket" = $1 AND (price_cents IS NULL) AND ("bucket", "id") > ($2::int4,
//                               $3::int8) ORDER BY 1, 2 LIMIT 500 FOR UPDATE), …
//
// and answers one row: rows chosen, rows changed, changed rows for which the condition still holds, the last key.
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/slot.h"
#include "shardrouter/schema/sql_text.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shardrouter {

struct Backfill {
  bool is_delete = false;
  std::string table;        // as it is written in the file
  std::string assignments;  // "price_cents = price * 100"; empty for DELETE
  std::string condition;
};
Result<Backfill> read_backfill(const SqlStatement& statement);

struct KeyColumn {
  std::string name;  // quoted
  std::string type;  // "bigint"
};

struct BatchRequest {
  std::optional<Bucket> bucket{};                       // nothing: a table without buckets, as a whole
  std::vector<std::optional<std::string>> after_key{};  // empty: from the beginning
  uint32_t rows_max = 0;
};
Statement make_batch(const Backfill& backfill, const std::vector<KeyColumn>& key, const BatchRequest& request);

struct BatchAnswer {
  uint64_t rows_chosen = 0;
  uint64_t rows_changed = 0;
  uint64_t rows_unsettled = 0;  // changed, and the condition still holds: the file is wrong
  std::vector<std::optional<std::string>> last_key;
};
Result<BatchAnswer> read_batch(const ResultSet& set);

// How many rows of the buckets that this shard owns still need it.
std::string count_remaining_sql(const Backfill& backfill, bool has_buckets);

}  // namespace tidemark::shardrouter
