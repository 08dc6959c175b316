#include "bench/macro/commit_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/hash.h"
#include "base/parse.h"

namespace tidemark::bench {
namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Error unreadable(std::string_view what, std::string_view line) {
  return {ErrorCode::kCorrupt, fmt::format("test_decoding line: {}: '{}'", what, line.substr(0, 200))};
}

// "[text]:" or "[character varying]:" or "[text[]]:"; the type itself is of no interest.
bool skip_type(std::string_view& text) {
  if (!take_prefix(text, "[")) return false;
  const size_t end = text.find("]:");
  if (end == std::string_view::npos) return false;
  text.remove_prefix(end + 2);
  return true;
}

// An identifier, bare or in double quotes.
std::optional<std::string> take_name(std::string_view& text) {
  if (take_prefix(text, "\"")) {
    std::string name;
    while (!text.empty()) {
      const char c = text.front();
      text.remove_prefix(1);
      if (c != '"') {
        name += c;
      } else if (!take_prefix(text, "\"")) {
        return name;
      } else {
        name += '"';
      }
    }
    return std::nullopt;
  }
  const size_t end = text.find('[');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  std::string name(text.substr(0, end));
  text.remove_prefix(end);
  return name;
}

// A literal: 'it''s', B'101', or a bare word up to the next space.
std::optional<std::string> take_value(std::string_view& text) {
  take_prefix(text, "B");
  if (!take_prefix(text, "'")) {
    const size_t end = std::min(text.find(' '), text.size());
    std::string value(text.substr(0, end));
    text.remove_prefix(end);
    return value;
  }
  std::string value;
  while (!text.empty()) {
    const size_t quote = text.find('\'');
    if (quote == std::string_view::npos) return std::nullopt;
    value += text.substr(0, quote);
    text.remove_prefix(quote + 1);
    if (!take_prefix(text, "'")) return value;
    value += '\'';
  }
  return std::nullopt;
}

template <typename Columns>
const std::string* find_column(const Columns& columns, std::string_view name) {
  const auto found =
      std::ranges::find(columns, name, [](const auto& column) { return std::string_view(column.first); });
  return found == columns.end() ? nullptr : &found->second;
}

}  // namespace

uint64_t content_hash(const std::vector<std::string_view>& columns) {
  std::string text;
  for (const std::string_view column : columns) text.append(column).push_back('\x1f');
  return hash64(text);
}

Result<int64_t> parse_utc_timestamp(std::string_view text) {
  const auto bad = [&] { return std::unexpected(unreadable("not a UTC time stamp (is TimeZone UTC?)", text)); };
  std::string_view rest = text;
  if (!rest.ends_with("+00")) return bad();
  rest.remove_suffix(3);
  if (rest.size() < 19 || rest[4] != '-' || rest[7] != '-' || rest[10] != ' ' || rest[13] != ':' || rest[16] != ':')
    return bad();
  int64_t field[6];
  const int begin[6] = {0, 5, 8, 11, 14, 17}, length[6] = {4, 2, 2, 2, 2, 2};
  for (int i = 0; i < 6; ++i) {
    const auto number = parse_u64(fmt::format("1{}", rest.substr(begin[i], length[i])));  // the 1 lets zeros lead
    if (!number) return bad();
    field[i] = static_cast<int64_t>(*number) - (length[i] == 4 ? 10'000 : 100);
  }
  int64_t micros = 0;
  if (rest.size() > 19) {
    const std::string_view fraction = rest.substr(20);
    if (rest[19] != '.' || fraction.empty() || fraction.size() > 6) return bad();
    const auto number = parse_u64(fmt::format("1{:0<6}", fraction));
    if (!number) return bad();
    micros = static_cast<int64_t>(*number) - 1'000'000;
  }
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(field[0])),
                                         std::chrono::month(static_cast<unsigned>(field[1])),
                                         std::chrono::day(static_cast<unsigned>(field[2])));
  if (!date.ok() || field[3] > 23 || field[4] > 59 || field[5] > 60) return bad();
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + field[3]) * 60 + field[4]) * 60 + field[5]) * 1'000'000 + micros;
}

Status CommitStream::feed(std::string_view line) {
  std::string_view rest = line;
  if (take_prefix(rest, "BEGIN")) {
    if (!open_.empty()) return std::unexpected(unreadable("a BEGIN inside a transaction", line));
    return {};
  }
  if (take_prefix(rest, "COMMIT")) return feed_commit(rest);
  if (take_prefix(rest, "message:")) return {};
  if (!take_prefix(rest, "table ")) return std::unexpected(unreadable("unknown kind", line));
  const size_t name_end = rest.find(": ");
  if (name_end == std::string_view::npos) return std::unexpected(unreadable("no table name", line));
  const auto table = std::ranges::find(options_.tables, rest.substr(0, name_end), &Table::name);
  if (table == options_.tables.end()) return {};
  rest.remove_prefix(name_end + 2);
  auto status = feed_change(static_cast<uint8_t>(table - options_.tables.begin()), rest);
  if (!status && status.error().code == ErrorCode::kCorrupt)
    return std::unexpected(unreadable(status.error().message, line));
  return status;
}

Status CommitStream::feed_change(uint8_t table, std::string_view change) {
  const std::string& key_column = options_.tables[table].key_column;
  const bool is_insert = take_prefix(change, "INSERT: ");
  if (is_insert || take_prefix(change, "UPDATE: ")) {
    if (take_prefix(change, "old-key: ")) {
      const size_t split_at = change.find(" new-tuple: ");
      if (split_at == std::string_view::npos) return fail(ErrorCode::kCorrupt, "an old-key without new-tuple");
      const auto old_columns = parse_columns(change.substr(0, split_at));
      if (!old_columns) return std::unexpected(old_columns.error());
      const auto columns = parse_columns(change.substr(split_at + 12));
      if (!columns) return std::unexpected(columns.error());
      const std::string* old_key = find_column(*old_columns, key_column);
      const std::string* key = find_column(*columns, key_column);
      if (old_key != nullptr && key != nullptr && *old_key != *key) {
        if (auto status = add_deletion(table, *old_columns); !status) return status;
      }
      return add_row(table, *columns);
    }
    const auto columns = parse_columns(change);
    if (!columns) return std::unexpected(columns.error());
    return add_row(table, *columns);
  }
  if (take_prefix(change, "DELETE: ")) {
    const auto columns = parse_columns(change);
    if (!columns) return std::unexpected(columns.error());
    return add_deletion(table, *columns);
  }
  return fail(ErrorCode::kCorrupt, "a change the oracle cannot follow (TRUNCATE?)");
}

Result<CommitStream::Columns> CommitStream::parse_columns(std::string_view text) const {
  Columns columns;
  while (!text.empty()) {
    auto name = take_name(text);
    if (!name || !skip_type(text)) return fail(ErrorCode::kCorrupt, "a column does not parse");
    auto value = take_value(text);
    if (!value) return fail(ErrorCode::kCorrupt, "a value does not end");
    columns.emplace_back(std::move(*name), std::move(*value));
    if (!text.empty() && !take_prefix(text, " ")) return fail(ErrorCode::kCorrupt, "no space after a value");
  }
  return columns;
}

Status CommitStream::add_row(uint8_t table, const Columns& columns) {
  const Table& options = options_.tables[table];
  const std::string* key = find_column(columns, options.key_column);
  const std::string* version = find_column(columns, options.version_column);
  if (key == nullptr || version == nullptr) return fail(ErrorCode::kCorrupt, "no key or version column");
  const auto number = parse_i64(*version);
  if (!number) return fail(ErrorCode::kCorrupt, "the version is not a number");
  std::vector<std::string_view> content;
  for (const std::string& name : options.content_columns) {
    const std::string* value = find_column(columns, name);
    if (value == nullptr) return fail(ErrorCode::kCorrupt, fmt::format("no column {}", name));
    content.push_back(*value);
  }
  RowCommit row{.key = options.key_prefix + *key, .version = *number, .content = content_hash(content), .table = table};
  if (!options.state_column.empty()) {
    const std::string* state = find_column(columns, options.state_column);
    if (state == nullptr) return fail(ErrorCode::kCorrupt, fmt::format("no column {}", options.state_column));
    row.state = *state;
  }
  open_.push_back(std::move(row));
  return {};
}

Status CommitStream::add_deletion(uint8_t table, const Columns& columns) {
  const Table& options = options_.tables[table];
  const std::string* key = find_column(columns, options.key_column);
  if (key == nullptr) return fail(ErrorCode::kCorrupt, "a deletion without its key (replica identity?)");
  open_.push_back({.key = options.key_prefix + *key, .is_deleted = true, .table = table});
  return {};
}

Status CommitStream::feed_commit(std::string_view rest) {
  const size_t at = rest.find("(at ");
  if (at == std::string_view::npos || !rest.ends_with(")")) {
    return std::unexpected(unreadable("a COMMIT without time (option include-timestamp)", rest));
  }
  const auto commit_us = parse_utc_timestamp(rest.substr(at + 4, rest.size() - at - 5));
  if (!commit_us) return std::unexpected(commit_us.error());
  for (RowCommit& row : open_) {
    row.commit_us = *commit_us;
    committed_.push_back(std::move(row));
  }
  open_.clear();
  return {};
}

}  // namespace tidemark::bench
