// The rows of all shards of a scatter read, merged into one ordered list with a limit.
//
//   shard 0: (5,"bash") (2,"nano")     order by stock descending, sku ascending, limit 3
//   shard 1: (5,"awk")  (1,"zsh")      -> (5,"awk") (5,"bash") (2,"nano")
//
// Every part is ordered already, by the statement that scatter_sql() makes; a part that is not is an error, for its
// shard's limit may then have cut off the wrong rows. Order: integers by value, texts byte by byte, which is what
// COLLATE "C" does in Postgres whatever the database's collation is (declare such columns COLLATE "C", or the index on
// them cannot be used). NULL stands last when ascending and first when descending, as in Postgres. Rows that are equal
// in all order columns come in the order of the parts. Threads: pure functions. I/O: none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shardrouter {

inline constexpr size_t kScatterRowsMax = 10'000;

struct OrderColumn {
  enum class Kind : uint8_t { kText, kInteger };
  std::string name;  // a column that the statement returns: letters, digits, underscores
  Kind kind = Kind::kText;
  bool is_descending = false;
};

// What every shard runs: only rows of buckets it owns, ordered; the limit is the parameter after `param_count` others.
// kInvalidArgument: no order column, one whose name is none, or sql that is no query or holds a `;`.
Result<std::string> scatter_sql(std::string_view sql, const std::vector<OrderColumn>& order_by, size_t param_count);

// kInternal: parts with different columns, without an order column, out of order, or with an integer that is none.
Result<ResultSet> merge_scattered(std::vector<ResultSet> parts, const std::vector<OrderColumn>& order_by, size_t limit);

}  // namespace tidemark::shardrouter
