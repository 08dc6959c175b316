#include "client/row.h"

#include <charconv>

#include "base/parse.h"

namespace tidemark::client {
namespace {

std::unexpected<Error> unreadable(std::string_view column, std::string_view what) {
  return fail(ErrorCode::kInternal, "column '" + std::string(column) + "' " + std::string(what));
}

}  // namespace

int Row::column_of(std::string_view name) const {
  for (size_t i = 0; i < set_->columns.size(); ++i) {
    if (set_->columns[i] == name) return static_cast<int>(i);
  }
  return -1;
}

std::optional<std::string_view> Row::find(std::string_view name) const {
  const int column = column_of(name);
  if (column < 0) return std::nullopt;
  const auto& cell = set_->rows[row_][static_cast<size_t>(column)];
  return cell ? std::optional<std::string_view>(*cell) : std::nullopt;
}

Result<std::string_view> Row::text(std::string_view name) const {
  if (!has_column(name)) return unreadable(name, "is not among the columns of the statement");
  auto cell = find(name);
  if (!cell) return unreadable(name, "is NULL");
  return *cell;
}

Result<int64_t> Row::integer(std::string_view name) const {
  auto cell = text(name);
  if (!cell) return std::unexpected(cell.error());
  auto value = parse_i64(*cell);
  if (!value) return unreadable(name, "is not an integer");
  return *value;
}

Result<double> Row::number(std::string_view name) const {
  auto cell = text(name);
  if (!cell) return std::unexpected(cell.error());
  double value = 0;
  auto [end, error] = std::from_chars(cell->data(), cell->data() + cell->size(), value);
  if (error != std::errc() || end != cell->data() + cell->size()) return unreadable(name, "is not a number");
  return value;
}

Result<bool> Row::boolean(std::string_view name) const {
  auto cell = text(name);
  if (!cell) return std::unexpected(cell.error());
  if (*cell != "t" && *cell != "f") return unreadable(name, "is not a boolean");
  return *cell == "t";
}

}  // namespace tidemark::client
