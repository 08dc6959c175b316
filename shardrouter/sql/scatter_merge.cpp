#include "shardrouter/sql/scatter_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <compare>
#include <optional>

#include "base/parse.h"
#include "shardrouter/sql/routed_read.h"

namespace tidemark::shardrouter {
namespace {

using Cells = std::vector<std::optional<std::string>>;

bool is_column_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

// One order column of one row, read once.
struct SortKey {
  bool is_null = true;
  int64_t number = 0;
  std::string_view text;
};

std::strong_ordering compare_ascending(const SortKey& a, const SortKey& b, OrderColumn::Kind kind) {
  if (a.is_null || b.is_null) return a.is_null <=> b.is_null;  // NULL is the greatest
  if (kind == OrderColumn::Kind::kInteger) return a.number <=> b.number;
  return a.text.compare(b.text) <=> 0;  // char_traits<char> compares as unsigned bytes
}

struct Part {
  const ResultSet* set = nullptr;
  std::vector<SortKey> keys;  // rows x order columns
  size_t next = 0;
};

class Merge {
 public:
  Merge(std::vector<ResultSet>& sets, const std::vector<OrderColumn>& order_by) : sets_(sets), order_by_(order_by) {}

  Status read_keys();
  ResultSet take(size_t limit);

 private:
  Status read_part(const ResultSet& set, size_t index);
  std::strong_ordering compare(const Part& a, size_t row_a, const Part& b, size_t row_b) const;

  std::vector<ResultSet>& sets_;
  const std::vector<OrderColumn>& order_by_;
  std::vector<Part> parts_;
};

std::strong_ordering Merge::compare(const Part& a, size_t row_a, const Part& b, size_t row_b) const {
  for (size_t c = 0; c < order_by_.size(); ++c) {
    const auto order = compare_ascending(a.keys[row_a * order_by_.size() + c], b.keys[row_b * order_by_.size() + c],
                                         order_by_[c].kind);
    if (order != 0) return order_by_[c].is_descending ? 0 <=> order : order;
  }
  return std::strong_ordering::equal;
}

Status Merge::read_part(const ResultSet& set, size_t index) {
  std::vector<size_t> columns;
  for (const OrderColumn& column : order_by_) {
    const auto found = std::ranges::find(set.columns, column.name);
    if (found == set.columns.end())
      return fail(ErrorCode::kInternal, fmt::format("a scatter read has no column \"{}\" to order by", column.name));
    columns.push_back(static_cast<size_t>(found - set.columns.begin()));
  }
  Part& part = parts_.emplace_back();
  part.set = &set;
  part.keys.reserve(set.rows.size() * columns.size());
  for (size_t row = 0; row < set.rows.size(); ++row) {
    for (size_t c = 0; c < columns.size(); ++c) {
      SortKey& key = part.keys.emplace_back();
      const auto& cell = set.rows[row][columns[c]];
      if (!cell) continue;
      key.is_null = false;
      key.text = *cell;
      if (order_by_[c].kind == OrderColumn::Kind::kText) continue;
      const auto number = parse_i64(*cell);
      if (!number)
        return fail(ErrorCode::kInternal, fmt::format("column \"{}\" holds \"{}\", which is no integer",
                                                      order_by_[c].name, cell->substr(0, 40)));
      key.number = *number;
    }
    if (row > 0 && compare(part, row - 1, part, row) > 0)
      return fail(ErrorCode::kInternal,
                  fmt::format("part {} of a scatter read is not in the order asked for, at row {}", index, row));
  }
  return {};
}

Status Merge::read_keys() {
  parts_.reserve(sets_.size());
  for (size_t i = 0; i < sets_.size(); ++i) {
    if (sets_[i].columns != sets_[0].columns)
      return fail(ErrorCode::kInternal, fmt::format("part {} of a scatter read has other columns than part 0", i));
    if (Status read = read_part(sets_[i], i); !read) return read;
  }
  return {};
}

// A part for every shard: the few heads are compared one by one.
ResultSet Merge::take(size_t limit) {
  ResultSet merged;
  if (!sets_.empty()) merged.columns = sets_[0].columns;
  while (merged.rows.size() < limit) {
    Part* best = nullptr;
    for (Part& part : parts_) {
      if (part.next >= part.set->rows.size()) continue;
      if (best == nullptr || compare(part, part.next, *best, best->next) < 0) best = &part;
    }
    if (best == nullptr) break;
    auto& rows = sets_[static_cast<size_t>(best - parts_.data())].rows;
    merged.rows.push_back(rows[best->next++]);
  }
  merged.rows_affected = static_cast<int64_t>(merged.rows.size());
  merged.command_tag = fmt::format("SELECT {}", merged.rows.size());
  return merged;
}

}  // namespace

Result<std::string> scatter_sql(std::string_view sql, const std::vector<OrderColumn>& order_by, size_t param_count) {
  if (!is_query(sql) || sql.find(';') != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument, "a scatter read is one SELECT, WITH, VALUES or TABLE without a semicolon");
  if (order_by.empty())
    return fail(ErrorCode::kInvalidArgument, "a scatter read names at least one column to order by");
  std::string order;
  for (const OrderColumn& column : order_by) {
    if (!is_column_name(column.name))
      return fail(ErrorCode::kInvalidArgument, "a scatter read cannot be ordered by \"" + column.name +
                                                   "\": columns of letters, digits and underscores only");
    order += fmt::format("{}tm_q.\"{}\"{}{}", order.empty() ? "" : ", ", column.name,
                         column.kind == OrderColumn::Kind::kText ? " COLLATE \"C\"" : "",
                         column.is_descending ? " DESC" : "");
  }
  return fmt::format(
      "SELECT tm_q.* FROM ({}\n) AS tm_q JOIN shard.bucket tm_b ON tm_b.bucket = tm_q.bucket AND tm_b.state = 'owned' "
      "ORDER BY {} LIMIT ${}::bigint",
      sql, order, param_count + 1);
}

Result<ResultSet> merge_scattered(std::vector<ResultSet> parts, const std::vector<OrderColumn>& order_by,
                                  size_t limit) {
  Merge merge(parts, order_by);
  if (const Status read = merge.read_keys(); !read) return std::unexpected(read.error());
  return merge.take(limit);
}

}  // namespace tidemark::shardrouter
