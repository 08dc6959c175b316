// One row of a query, read by column name. Texts are Postgres's; reading one as a number is strict.
//
// Threads: a view into a ResultSet that outlives it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::client {

class Row {
 public:
  Row(const shardrouter::ResultSet& set, size_t row) : set_(&set), row_(row) {}

  bool has_column(std::string_view name) const { return column_of(name) >= 0; }
  // nullopt: NULL, or no such column.
  std::optional<std::string_view> find(std::string_view name) const;
  // kInternal naming the column when it is missing, NULL or does not read as the type.
  Result<std::string_view> text(std::string_view name) const;
  Result<int64_t> integer(std::string_view name) const;
  Result<double> number(std::string_view name) const;
  Result<bool> boolean(std::string_view name) const;

 private:
  int column_of(std::string_view name) const;
  const shardrouter::ResultSet* set_;
  size_t row_;
};

// For values of exactly one row: refuses a statement that gave several rows for one key.
template <typename V>
std::function<Result<V>(std::span<const Row>)> one_row(std::function<Result<V>(const Row&)> read) {
  return [read = std::move(read)](std::span<const Row> rows) -> Result<V> {
    if (rows.size() != 1) {
      return fail(ErrorCode::kInternal, "the statement gave " + std::to_string(rows.size()) + " rows for one key");
    }
    return read(rows[0]);
  };
}

}  // namespace tidemark::client
