#include "tools/shards/table_lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/parse.h"

namespace tidemark::shards {
namespace {

using Findings = std::vector<std::string>;

// "{a,b}" of names without quotes and commas, as array_to_string(…, ',') gives them: "a,b"
std::set<std::string> name_set(const std::string& list) {
  std::set<std::string> names;
  for (const std::string_view name : split(list, ','))
    if (!name.empty()) names.emplace(name);
  return names;
}

Result<std::set<std::string>> columns(PgSession& session, const std::string& sql, const std::string& oid) {
  const auto list = session.value(sql, {oid});
  if (!list) return std::unexpected(list.error());
  return name_set(*list);
}

constexpr const char* kAllColumns =
    "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped";
constexpr const char* kGeneratedColumns =
    "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped "
    "AND attgenerated <> ''";
constexpr const char* kPrimaryKey =
    "SELECT string_agg(a.attname, ',') FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
    "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = $1::oid AND i.indisprimary";
constexpr const char* kIdentityIndex =
    "SELECT string_agg(a.attname, ',') FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
    "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = $1::oid AND i.indisreplident";

Status lint_identity(PgSession& session, const SourceTable& source, const std::string& oid, const std::string& kind,
                     Findings& findings) {
  if (kind == "f") return {};  // FULL: the whole old row
  if (kind == "n") {
    findings.push_back(
        fmt::format("{0}: REPLICA IDENTITY NOTHING: a deleted row would not be told; ALTER TABLE {0} REPLICA "
                    "IDENTITY DEFAULT",
                    source.table));
    return {};
  }
  const auto identity = columns(session, kind == "i" ? kIdentityIndex : kPrimaryKey, oid);
  if (!identity) return std::unexpected(identity.error());
  std::vector<std::string> needed{"bucket"};
  needed.insert(needed.end(), source.key_columns.begin(), source.key_columns.end());
  for (const std::string& column : needed) {
    if (identity->contains(column)) continue;
    findings.push_back(
        fmt::format("{0}: column \"{1}\"{2} is not in the replica identity: a deleted or changed row would not say "
                    "whose key it was; CREATE UNIQUE INDEX … ({1}, …) and ALTER TABLE {0} REPLICA IDENTITY USING "
                    "INDEX …",
                    source.table, column, source.family.empty() ? "" : " of family " + source.family));
  }
  return {};
}

Status lint_columns(PgSession& session, const SourceTable& source, const std::string& oid, Findings& findings) {
  const auto all = columns(session, kAllColumns, oid);
  if (!all) return std::unexpected(all.error());
  for (const std::string& column : source.key_columns)
    if (!all->contains(column))
      findings.push_back(
          fmt::format("{}: there is no column \"{}\", which family {} names", source.table, column, source.family));
  const auto generated = columns(session, kGeneratedColumns, oid);
  if (!generated) return std::unexpected(generated.error());
  for (const std::string& column : source.key_columns)
    if (generated->contains(column))
      findings.push_back(
          fmt::format("{}: column \"{}\" of family {} is generated, and the stream does not carry it: no change would "
                      "say whose key "
                      "it was; make it an ordinary column that the writer fills",
                      source.table, column, source.family));
  const auto bucket = session.value(
      "SELECT atttypid = 'int4'::regtype AND attnotnull FROM pg_attribute "
      "WHERE attrelid = $1::oid AND attname = 'bucket' AND NOT attisdropped",
      {oid});
  if (!bucket) return std::unexpected(bucket.error());
  if (*bucket != "t") {
    findings.push_back(fmt::format(
        "{0}: it has no column \"bucket int NOT NULL\"; ALTER TABLE {0} ADD COLUMN bucket int NOT NULL", source.table));
    return {};
  }
  const auto primary = columns(session, kPrimaryKey, oid);
  if (!primary) return std::unexpected(primary.error());
  if (!primary->contains("bucket"))
    findings.push_back(
        fmt::format("{}: its primary key lacks the bucket; make it PRIMARY KEY (bucket, …)", source.table));
  return {};
}

Status lint_publication(PgSession& session, const SourceTable& source, const std::string& oid, Findings& findings) {
  const auto published = session.query(
      "SELECT p.pubinsert AND p.pubupdate AND p.pubdelete, r.prqual IS NULL AND r.prattrs IS NULL "
      "FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid "
      "WHERE p.pubname = 'tidemark' AND r.prrelid = $1::oid",
      {oid});
  if (!published) return std::unexpected(published.error());
  if (published->rows.empty()) {
    findings.push_back(
        fmt::format("{0}: it is not in the publication; run tidemark-shards init --tables {0}", source.table));
    return {};
  }
  if (published->rows[0][0].value_or("f") != "t")
    findings.push_back(
        "publication tidemark must publish insert, update and delete; ALTER PUBLICATION tidemark SET "
        "(publish = 'insert, update, delete, truncate')");
  if (published->rows[0][1].value_or("f") != "t")
    findings.push_back(fmt::format("{}: the publication filters its rows or columns; publish it whole", source.table));
  const auto fenced = session.value(
      "SELECT tgenabled IN ('O', 'A') FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = 'tidemark_fence'", {oid});
  if (!fenced) return std::unexpected(fenced.error());
  if (*fenced != "t")
    findings.push_back(
        fmt::format("{0}: the fence trigger is missing or disabled; SELECT shard.protect_table('{0}')", source.table));
  return {};
}

}  // namespace

Result<std::vector<std::string>> lint_table(PgSession& session, const SourceTable& source) {
  Findings findings;
  const auto table = session.query(
      "SELECT oid, relkind, relpersistence, relreplident FROM pg_class WHERE oid = to_regclass($1)", {source.table});
  if (!table) return std::unexpected(table.error());
  if (table->rows.empty()) {
    findings.push_back(source.table + ": there is no such table; create it by --schema FILE.sql");
    return findings;
  }
  const auto& row = table->rows[0];
  const std::string oid = row[0].value_or("0");
  if (row[1] != "r") {
    findings.push_back(source.table +
                       ": it is not an ordinary table (views and partitioned tables cannot be a source)");
    return findings;
  }
  if (row[2] != "p")
    findings.push_back(fmt::format("{0}: it is not logged, so its changes are in no stream; ALTER TABLE {0} SET LOGGED",
                                   source.table));
  Status done = lint_columns(session, source, oid, findings);
  if (done) done = lint_identity(session, source, oid, row[3].value_or("n"), findings);
  if (done) done = lint_publication(session, source, oid, findings);
  if (!done) return std::unexpected(done.error());
  return findings;
}

}  // namespace tidemark::shards
