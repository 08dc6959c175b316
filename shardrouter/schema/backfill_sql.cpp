#include "shardrouter/schema/backfill_sql.h"

#include <fmt/format.h>

#include "base/parse.h"

namespace tidemark::shardrouter {
namespace {

std::unexpected<Error> wrong(const SqlStatement& statement, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("line {}: {}", statement.line, what));
}

size_t find_outside(const SqlStatement& s, size_t from, std::string_view word) {
  for (size_t i = from; i < s.tokens.size(); ++i)
    if (s.tokens[i].depth == 0 && s.tokens[i].is(word)) return i;
  return s.tokens.size();
}

std::string slice(const SqlStatement& s, size_t from, size_t to) {
  return s.text.substr(s.tokens[from].begin, s.tokens[to - 1].end - s.tokens[from].begin);
}

std::string tuple(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return "(" + text + ")";
}

}  // namespace

Result<Backfill> read_backfill(const SqlStatement& s) {
  Backfill backfill;
  backfill.is_delete = has_words(s, 0, {"delete", "from"});
  if (!backfill.is_delete && !has_words(s, 0, {"update"}))
    return wrong(s, "a backfill is \"UPDATE table SET … WHERE …\" or \"DELETE FROM table WHERE …\"");
  size_t at = backfill.is_delete ? 2 : 1;
  const size_t name_begin = at;
  if (read_name(s, at).empty()) return wrong(s, "no table is named");
  backfill.table = slice(s, name_begin, at);
  const size_t where = find_outside(s, at, "where");
  if (where + 1 >= s.tokens.size())
    return wrong(s, "it has no WHERE: the condition says which rows still need it, and ends the backfill");
  if (find_outside(s, where, "returning") < s.tokens.size()) return wrong(s, "RETURNING has nobody to return to");
  for (const SqlToken& token : s.tokens)
    if (token.is("$")) return wrong(s, "a parameter ($1) has no value here");
  if (backfill.is_delete) {
    if (at != where) return wrong(s, "between the table and WHERE nothing may stand (no alias, no USING)");
  } else {
    if (!has_words(s, at, {"set"})) return wrong(s, "SET must follow the table's name (no alias)");
    if (find_outside(s, at, "from") < where) return wrong(s, "UPDATE … FROM is not run in batches: use a subquery");
    if (at + 1 >= where) return wrong(s, "SET is empty");
    backfill.assignments = slice(s, at + 1, where);
  }
  backfill.condition = slice(s, where + 1, s.tokens.size());
  return backfill;
}

Statement make_batch(const Backfill& backfill, const std::vector<KeyColumn>& key, const BatchRequest& request) {
  Statement statement;
  std::vector<std::string> columns, chosen, places, joined, order;
  if (request.bucket) statement.params.push_back(std::to_string(*request.bucket));
  for (size_t i = 0; i < key.size(); ++i) {
    const std::string alias = fmt::format("tidemark_k{}", i + 1);
    columns.push_back(key[i].name);
    chosen.push_back(key[i].name + " AS " + alias);
    order.push_back(alias);
    joined.push_back(fmt::format("{} = {}", key[i].name, alias));
    if (request.after_key.empty()) continue;
    statement.params.push_back(request.after_key[i]);
    places.push_back(fmt::format("${}::{}", statement.params.size(), key[i].type));
  }
  const auto list = [](const std::vector<std::string>& parts, std::string_view between) {
    return fmt::format("{}", fmt::join(parts, between));
  };
  std::string descending;
  for (const std::string& one : order) descending += (descending.empty() ? "" : ", ") + one + " DESC";
  std::string limits = "(" + backfill.condition + "\n)";
  if (request.bucket) limits = "bucket = $1::int AND " + limits;
  if (!places.empty()) limits += " AND " + tuple(columns) + " > " + tuple(places);
  // The join goes by the key: a row that was changed between the snapshot and its lock has another ctid by now.
  const std::string change =
      backfill.is_delete
          ? fmt::format("DELETE FROM {} USING tidemark_batch WHERE {} RETURNING false AS unsettled", backfill.table,
                        list(joined, " AND "))
          : fmt::format("UPDATE {} SET {} FROM tidemark_batch WHERE {} RETURNING ({}\n) IS TRUE AS unsettled",
                        backfill.table, backfill.assignments, list(joined, " AND "), backfill.condition);
  statement.sql = fmt::format(
      "WITH tidemark_batch AS MATERIALIZED (SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {} FOR "
      "UPDATE), tidemark_changed AS ({}) SELECT (SELECT count(*) FROM tidemark_batch), (SELECT count(*) FROM "
      "tidemark_changed), (SELECT count(*) FROM tidemark_changed WHERE unsettled), tidemark_last.* FROM (SELECT) AS "
      "one "
      "LEFT JOIN (SELECT {} FROM tidemark_batch ORDER BY {} LIMIT 1) AS tidemark_last ON true",
      list(chosen, ", "), backfill.table, limits, list(columns, ", "), request.rows_max, change, list(order, ", "),
      descending);
  return statement;
}

Result<BatchAnswer> read_batch(const ResultSet& set) {
  if (set.rows.size() != 1 || set.rows[0].size() < 4)
    return fail(ErrorCode::kInternal, "the answer to a batch is not one row");
  const auto& row = set.rows[0];
  BatchAnswer answer;
  answer.rows_chosen = parse_u64(row[0].value_or("0")).value_or(0);
  answer.rows_changed = parse_u64(row[1].value_or("0")).value_or(0);
  answer.rows_unsettled = parse_u64(row[2].value_or("0")).value_or(0);
  answer.last_key.assign(row.begin() + 3, row.end());
  return answer;
}

std::string count_remaining_sql(const Backfill& backfill, bool has_buckets) {
  return fmt::format("SELECT count(*) FROM {} WHERE {}({}\n)", backfill.table,
                     has_buckets ? "bucket IN (SELECT b.bucket FROM shard.bucket b WHERE b.state = 'owned') AND " : "",
                     backfill.condition);
}

}  // namespace tidemark::shardrouter
