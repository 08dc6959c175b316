#include "tools/shards/reference/reference_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "base/parse.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {
namespace {

// Without them the same row has another text on another server.
constexpr const char* kPinnedSettings =
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; "
    "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL lc_monetary = 'C'";

struct Columns {
  std::vector<std::string> all;  // quoted; without generated ones
  std::vector<std::string> key;
  std::string list() const { return fmt::format("{}", fmt::join(all, ", ")); }
  std::string row_of(std::string_view table) const {
    std::string text;
    for (const std::string& column : all) text += fmt::format("{}{}.{}", text.empty() ? "" : ", ", table, column);
    return "ROW(" + text + ")";
  }
};

Result<Columns> columns_of(PgSession& session, const std::string& table) {
  const auto set = session.query(
      "SELECT quote_ident(a.attname), a.attnum = ANY (i.indkey) FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid "
      "= "
      "a.attrelid AND i.indisprimary WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND "
      "a.attgenerated = '' ORDER BY a.attname",
      {table});
  if (!set) return std::unexpected(set.error());
  Columns columns;
  for (const auto& row : set->rows) {
    columns.all.push_back(row[0].value_or(""));
    if (row[1] == "t") columns.key.push_back(columns.all.back());
  }
  if (columns.key.empty())
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("reference table {} does not exist or has no primary key", table));
  return columns;
}

Status in_transaction(PgSession& session, const std::string& begin, const std::function<Status()>& work) {
  Status done = session.run(begin);
  if (done) {
    const auto pinned = session.script(kPinnedSettings);
    if (!pinned) done = std::unexpected(pinned.error());
  }
  if (done) done = work();
  if (done) return session.run("COMMIT");
  (void)session.run("ROLLBACK");
  return done;
}

constexpr const char* kBeginReading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

// JSON texts of at most kReferenceRowsPerBatch rows each.
Result<std::vector<std::string>> read_rows(PgSession& session, const std::string& table, const Columns& columns) {
  std::vector<std::string> batches;
  const Status done = in_transaction(session, kBeginReading, [&]() -> Status {
    const auto bytes = session.value("SELECT pg_table_size(to_regclass($1))", {table});
    if (!bytes) return std::unexpected(bytes.error());
    if (parse_u64(*bytes).value_or(0) > kReferenceBytesMax)
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("reference table {} has {} bytes, at most {} are copied: give its rows buckets instead",
                              table, *bytes, kReferenceBytesMax));
    const auto set = session.query(fmt::format(
        "SELECT jsonb_agg(row)::text FROM (SELECT row, (row_number() OVER () - 1) / {} AS batch FROM (SELECT "
        "to_jsonb(r) AS row FROM (SELECT {} FROM {} ORDER BY {}) r) s) b GROUP BY batch ORDER BY batch",
        kReferenceRowsPerBatch, columns.list(), table, fmt::join(columns.key, ", ")));
    if (!set) return std::unexpected(set.error());
    for (const auto& row : set->rows) batches.push_back(row[0].value_or("[]"));
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return batches;
}

std::string upsert_sql(const std::string& table, const Columns& columns) {
  std::string assignments;
  for (const std::string& column : columns.all)
    if (std::ranges::find(columns.key, column) == columns.key.end())
      assignments += fmt::format("{}{} = excluded.{}", assignments.empty() ? "" : ", ", column, column);
  const std::string conflict = assignments.empty()
                                   ? "DO NOTHING"
                                   : fmt::format("DO UPDATE SET {} WHERE {}::text IS DISTINCT FROM {}::text",
                                                 assignments, columns.row_of("here"), columns.row_of("excluded"));
  return fmt::format(
      "INSERT INTO {} AS here ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM tidemark_incoming ON CONFLICT "
      "({}) {}",
      table, columns.list(), columns.list(), fmt::join(columns.key, ", "), conflict);
}

Status write_rows(PgSession& session, const std::string& table, const Columns& columns,
                  const std::vector<std::string>& batches, ReferenceCopy& copy) {
  Status done = session.run("SET LOCAL tidemark.reference_copy = 'on'");
  if (done) done = session.run(fmt::format("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", table));
  if (done)
    done =
        session.run(fmt::format("CREATE TEMPORARY TABLE tidemark_incoming ON COMMIT DROP AS SELECT {} FROM {} WHERE "
                                "false",
                                columns.list(), table));
  for (const std::string& batch : batches)
    if (done)
      done = session.run(fmt::format("INSERT INTO tidemark_incoming ({}) SELECT {} FROM "
                                     "jsonb_populate_recordset(NULL::{}, $1::jsonb)",
                                     columns.list(), columns.list(), table),
                         {batch});
  if (!done) return done;
  std::string same_key;
  for (const std::string& column : columns.key)
    same_key += fmt::format("{}incoming.{} = here.{}", same_key.empty() ? "" : " AND ", column, column);
  const auto deleted = session.query(fmt::format(
      "DELETE FROM {} AS here WHERE NOT EXISTS (SELECT FROM tidemark_incoming AS incoming WHERE {})", table, same_key));
  if (!deleted) return std::unexpected(deleted.error());
  const auto written = session.query(upsert_sql(table, columns));
  if (!written) return std::unexpected(written.error());
  copy.rows_deleted = static_cast<uint64_t>(deleted->rows_affected);
  copy.rows_written = static_cast<uint64_t>(written->rows_affected);
  return {};
}

OpenedShard* find(std::vector<OpenedShard>& opened, ShardId id) {
  const auto found = std::ranges::find(opened, id, &OpenedShard::id);
  return found == opened.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<ReferenceTable>> read_references(PgSession& session) {
  const auto set = session.query("SELECT name, original FROM shard.reference_table ORDER BY name");
  if (!set) return std::unexpected(set.error());
  std::vector<ReferenceTable> tables;
  for (const auto& row : set->rows)
    tables.push_back({row[0].value_or(""), static_cast<ShardId>(parse_u64(row[1].value_or("0")).value_or(0))});
  return tables;
}

Result<std::string> digest_reference(PgSession& session, const std::string& table) {
  const auto columns = columns_of(session, table);
  if (!columns) return std::unexpected(columns.error());
  std::string digest;
  const Status done = in_transaction(session, kBeginReading, [&]() -> Status {
    const auto value = session.value(fmt::format(
        "SELECT count(*) || ':' || coalesce(sum(hashtextextended({}::text, 0)::numeric), 0) FROM {} AS here",
        columns->row_of("here"), table));
    if (!value) return std::unexpected(value.error());
    digest = *value;
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return digest;
}

Result<ReferenceCopy> copy_reference(OpenedShard& from, OpenedShard& to, const std::string& table) {
  ReferenceCopy copy{table, from.id(), to.id(), 0, 0};
  const auto columns = columns_of(from.session, table);
  if (!columns) return std::unexpected(columns.error());
  const auto rows = read_rows(from.session, table, *columns);
  if (!rows) return std::unexpected(rows.error());
  const Status done =
      in_transaction(to.session, "BEGIN", [&] { return write_rows(to.session, table, *columns, *rows, copy); });
  if (!done) return std::unexpected(done.error().with_context("reference table " + table));
  return copy;
}

Result<std::vector<ReferenceCopy>> find_differences(std::vector<OpenedShard>& opened) {
  std::vector<ReferenceCopy> differences;
  for (OpenedShard& to : opened) {
    const auto tables = read_references(to.session);
    if (!tables) return std::unexpected(tables.error());
    for (const ReferenceTable& table : *tables) {
      OpenedShard* from = find(opened, table.original);
      if (!from)
        return fail(ErrorCode::kFailedPrecondition,
                    fmt::format("the original of reference table {} is on shard {}, which is not among those given",
                                table.name, table.original));
      if (from == &to) continue;
      const auto original = digest_reference(from->session, table.name);
      if (!original) return std::unexpected(original.error());
      const auto here = digest_reference(to.session, table.name);
      if (!here) return std::unexpected(here.error());
      if (*original != *here) differences.push_back({table.name, from->id(), to.id(), 0, 0});
    }
  }
  return differences;
}

Result<std::vector<ReferenceCopy>> copy_differences(std::vector<OpenedShard>& opened) {
  auto waiting = find_differences(opened);
  if (!waiting) return waiting;
  std::vector<ReferenceCopy> made;
  // A table that another one refers to must come first: what fails is tried again after the others.
  while (!waiting->empty()) {
    std::vector<ReferenceCopy> failed;
    Status last;
    for (const ReferenceCopy& one : *waiting) {
      auto copy = copy_reference(*find(opened, one.from), *find(opened, one.to), one.table);
      if (copy) {
        made.push_back(std::move(*copy));
      } else {
        failed.push_back(one);
        last = std::unexpected(copy.error());
      }
    }
    if (failed.size() == waiting->size()) return std::unexpected(last.error());
    *waiting = std::move(failed);
  }
  return made;
}

Result<std::vector<ReferenceCopy>> settle_references(std::vector<OpenedShard>& opened,
                                                     const std::vector<std::string>& tables) {
  const ShardId lowest = std::ranges::min_element(opened, {}, &OpenedShard::id)->id();
  std::map<std::string, ShardId> originals;
  for (OpenedShard& one : opened) {
    const auto declared = read_references(one.session);
    if (!declared) return std::unexpected(declared.error());
    for (const ReferenceTable& table : *declared) originals.emplace(table.name, table.original);
  }
  for (const std::string& table : tables) {
    const auto name = opened.front().session.value(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE "
        "c.oid = to_regclass($1)",
        {table});
    if (!name) return std::unexpected(name.error());
    originals.emplace(name->empty() ? table : *name, lowest);
  }
  for (OpenedShard& one : opened)
    for (const auto& [table, original] : originals) {
      const Status adopted =
          in_transaction(one.session, "BEGIN", [&] { return adopt_reference(one.session, table, original); });
      if (!adopted) return std::unexpected(adopted.error());
    }
  return copy_differences(opened);
}

}  // namespace tidemark::shards
