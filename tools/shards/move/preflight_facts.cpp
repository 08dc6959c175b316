#include "tools/shards/move/preflight_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/parse.h"

namespace tidemark::shards {

using namespace shardrouter;

namespace {

constexpr int kProbes = 5;
constexpr size_t kReferencesMax = 100'000;  // distinct values of one foreign key that are looked up at the target

constexpr const char* kServer =
    "SELECT current_setting('server_version_num'), NOT pg_is_in_recovery(), "
    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), to_regclass('shard.move') IS NOT NULL, "
    "current_setting('wal_level'), "
    "current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots), "
    "current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_origin_status), "
    "current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication), pg_backend_pid()";
constexpr const char* kOldTransactions =
    "SELECT format('session %s (%s) is in a transaction for %s s', pid, coalesce(left(query, 60), ''), "
    "extract(epoch FROM clock_timestamp() - xact_start)::int) FROM pg_stat_activity "
    "WHERE backend_xid IS NOT NULL AND xact_start < clock_timestamp() - interval '5 s' AND pid <> pg_backend_pid()";
constexpr const char* kPrepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
// (Autovacuum holds such a lock for a moment, to give back the end of a file; it yields.)
constexpr const char* kDdl =
    "SELECT format('session %s holds %s on %s', l.pid, l.mode, l.relation::regclass) FROM pg_locks l "
    "JOIN pg_trigger t ON t.tgrelid = l.relation AND t.tgname = 'tidemark_fence' "
    "JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_type <> 'autovacuum worker' "
    "WHERE l.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock') AND l.pid <> pg_backend_pid()";
constexpr const char* kTable =
    "SELECT c.relkind = 'r' AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid "
    "OR inhrelid "
    "= c.oid), c.relpersistence = 'p', c.relreplident, "
    "EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) "
    "  WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'bucket'), "
    "c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = "
    "ANY "
    "  (i.indkey) WHERE i.indrelid = c.oid AND a.attname = 'bucket' AND "
    "  CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END), "
    "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND NOT i.indimmediate) "
    "FROM pg_class c WHERE c.oid = to_regclass($1)";
constexpr const char* kColumns =
    "SELECT format('%s %s %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' ELSE "
    "'null' END, "
    "CASE WHEN attgenerated <> '' THEN ' generated' ELSE '' END) FROM pg_attribute "
    "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
constexpr const char* kUnique =
    "SELECT i.indexrelid::regclass FROM pg_index i WHERE i.indrelid = to_regclass($1) AND (i.indisunique OR "
    "i.indisexclusion) "
    "AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND "
    "a.attname = 'bucket')";
// Of keys to tables with buckets: those that do not refer from a bucket column to a bucket column at the same place.
constexpr const char* kAstray =
    "SELECT k.conname FROM pg_constraint k WHERE k.conrelid = to_regclass($1) AND k.contype = 'f' "
    "AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = k.confrelid AND t.tgname = 'tidemark_fence') "
    "AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS p(here, there) "
    "  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.here AND a.attname = 'bucket' "
    "  JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = p.there AND b.attname = 'bucket')";
constexpr const char* kAlways =
    "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgenabled IN ('A', 'R') AND NOT tgisinternal";
// Keys to tables without buckets: "(a, b)", table, "(x, y)".
constexpr const char* kReferences =
    "SELECT (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n) FROM unnest(k.conkey) WITH ORDINALITY u(c, n) "
    "  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.c), k.confrelid::regclass, "
    "(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY n) FROM unnest(k.confkey) WITH ORDINALITY u(c, n) "
    "  JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.c) "
    "FROM pg_constraint k WHERE k.conrelid = to_regclass($1) AND k.contype = 'f' "
    "AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = k.confrelid AND t.tgname = 'tidemark_fence')";

int number(const std::optional<std::string>& cell) {
  return static_cast<int>(parse_i64(cell.value_or("0")).value_or(0));
}

Result<std::vector<std::string>> list(PgLink& link, const std::string& sql, const Params& params = {}) {
  const auto set = link.query(sql, params);
  if (!set) return std::unexpected(set.error());
  std::vector<std::string> texts;
  for (const auto& row : set->rows) texts.push_back(row[0].value_or(""));
  return texts;
}

Result<ServerFacts> read_server(PgLink& link, const ShardEnd& end) {
  ServerFacts facts;
  facts.name = fmt::format("shard {}", end.id);
  const auto row = link.query(kServer);
  if (!row) return std::unexpected(row.error());
  const auto& c = row->rows.at(0);
  facts.version = number(c[0]);
  facts.is_primary = c[1] == "t";
  facts.is_superuser = c[2] == "t";
  facts.knows_moves = c[3] == "t";
  facts.wal_level = c[4].value_or("");
  facts.free_slots = number(c[5]);
  facts.free_origins = number(c[6]);
  facts.free_walsenders = number(c[7]);
  facts.is_direct = number(c[8]) == link.backend_pid();
  for (auto& [target, sql] : {std::pair{&facts.old_transactions, kOldTransactions},
                              {&facts.prepared_transactions, kPrepared},
                              {&facts.running_ddl, kDdl}}) {
    auto texts = list(link, sql);
    if (!texts) return std::unexpected(texts.error());
    *target = std::move(*texts);
  }
  const auto streaming = list(link, "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'");
  if (!streaming) return std::unexpected(streaming.error());
  for (const std::string& standby : end.standbys)
    if (std::ranges::find(*streaming, standby) == streaming->end()) facts.absent_standbys.push_back(standby);
  return facts;
}

// Of the disks that hold WAL and these tables, the least: only the server's own `df` knows. -1: it cannot be asked
// (there is none, or programs may not be run). A server's programs start in its data directory.
int64_t read_free_bytes(PgLink& link) {
  const auto spaces = link.value(
      "SELECT coalesce(string_agg(DISTINCT 'pg_tblspc/' || c.reltablespace, ' '), '') FROM pg_trigger t JOIN pg_class "
      "c "
      "ON c.oid = t.tgrelid WHERE t.tgname = 'tidemark_fence' AND c.reltablespace <> 0");
  if (!spaces) return -1;
  const auto free = link.script(
      fmt::format("BEGIN; CREATE TEMP TABLE tidemark_df (line text) ON COMMIT DROP; "
                  "COPY tidemark_df FROM PROGRAM 'df -Pk . pg_wal {}'; "
                  "SELECT min((regexp_match(line, '\\s(\\d+)\\s+\\d+%'))[1]::bigint) * 1024 FROM tidemark_df",
                  *spaces));
  const auto bytes = free && !free->rows.empty() && free->rows[0][0] ? parse_i64(*free->rows[0][0]) : std::nullopt;
  (void)link.script("ROLLBACK");
  return bytes ? *bytes : -1;
}

Status read_references(PgLink& source, PgLink& target, BucketRange range, TableFacts& facts) {
  const auto keys = source.query(kReferences, {facts.name});
  if (!keys) return std::unexpected(keys.error());
  for (const auto& key : keys->rows) {
    const std::string here = key[0].value_or(""), table = key[1].value_or(""), there = key[2].value_or("");
    const auto used =
        source.query(fmt::format("SELECT array_agg(v) FROM (SELECT DISTINCT ROW({})::text v FROM {} WHERE bucket "
                                 "BETWEEN {} AND {} AND ({}) IS NOT "
                                 "NULL LIMIT {}) x",
                                 here, facts.name, range.lo, range.hi, here, kReferencesMax));
    if (!used) return std::unexpected(used.error());
    if (!used->rows.at(0).at(0)) continue;
    const auto missing = list(
        target,
        fmt::format("SELECT v FROM unnest($1::text[]) v EXCEPT SELECT ROW({})::text FROM {} LIMIT 3", there, table),
        {used->rows[0][0]});
    if (!missing) return std::unexpected(missing.error());
    for (const std::string& one : *missing) facts.missing_references.push_back(table + " " + one);
  }
  return {};
}

Result<TableFacts> read_table(PgLink& source, PgLink& target, const MovedTable& table, BucketRange range) {
  TableFacts facts;
  facts.name = table.name;
  const auto at_target = target.value("SELECT to_regclass($1) IS NOT NULL", {table.name});
  if (!at_target) return std::unexpected(at_target.error());
  facts.is_at_target = *at_target == "t";
  const auto row = source.query(kTable, {table.name});
  if (!row) return std::unexpected(row.error());
  const auto& c = row->rows.at(0);
  facts.is_ordinary = c[0] == "t";
  facts.is_logged = c[1] == "t";
  facts.identity = c[2].value_or("d")[0];
  facts.has_bucket_in_key = c[3] == "t";
  facts.has_bucket_in_identity = c[4] == "t";
  facts.has_deferrable_key = c[5] == "t";
  for (auto& [link, out, sql] : {std::tuple{&source, &facts.source_columns, kColumns},
                                 {&target, &facts.target_columns, kColumns},
                                 {&source, &facts.unique_without_bucket, kUnique},
                                 {&source, &facts.keys_across_buckets, kAstray},
                                 {&target, &facts.always_triggers, kAlways}}) {
    auto texts = list(*link, sql, {table.name});
    if (!texts) return std::unexpected(texts.error());
    std::ranges::sort(*texts);
    *out = std::move(*texts);
  }
  if (facts.is_at_target) {
    const Status read = read_references(source, target, range, facts);
    if (!read) return std::unexpected(read.error());
  }
  return facts;
}

// Milliseconds until a commit at this server is on its standbys too: the middle of a few.
Result<double> probe_commit(PgLink& link, const ShardEnd& end) {
  std::vector<double> samples;
  for (int i = 0; i < kProbes; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const Status wrote = link.run("SELECT pg_logical_emit_message(true, 'mv', 'probe')");
    if (!wrote) return std::unexpected(wrote.error());
    const auto position = insert_position(link);
    if (!position) return std::unexpected(position.error());
    std::chrono::duration<double, std::milli> took{};
    while (took.count() < 1000) {
      const auto durable = is_durable(link, end.standbys, *position);
      if (!durable) return std::unexpected(durable.error());
      took = std::chrono::steady_clock::now() - start;
      if (*durable) break;
    }
    samples.push_back(took.count());
  }
  std::ranges::sort(samples);
  return samples[samples.size() / 2];
}

}  // namespace

Result<PreflightReport> preflight(const MoveOptions& options) {
  auto source = PgLink::connect(fmt::format("shard {}", options.source.id), options.source.admin);
  if (!source) return std::unexpected(source.error());
  auto target = PgLink::connect(fmt::format("shard {}", options.target.id), options.target.admin);
  if (!target) return std::unexpected(target.error());
  PreflightReport report;
  auto at_source = read_server(*source, options.source);
  if (!at_source) return std::unexpected(at_source.error());
  auto at_target = read_server(*target, options.target);
  if (!at_target) return std::unexpected(at_target.error());
  report.facts.source = std::move(*at_source);
  report.facts.target = std::move(*at_target);
  report.facts.target.free_bytes = read_free_bytes(*target);
  const auto tables = read_tables(*source);
  if (!tables) return std::unexpected(tables.error());
  for (const MovedTable& table : *tables) {
    auto facts = read_table(*source, *target, table, options.range);
    if (!facts) return std::unexpected(facts.error());
    report.facts.tables.push_back(std::move(*facts));
    const auto size = source->query(
        fmt::format("SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM {} t WHERE bucket BETWEEN {} AND {}",
                    table.name, options.range.lo, options.range.hi));
    if (!size) return std::unexpected(size.error());
    report.facts.rows += parse_i64(size->rows.at(0).at(0).value_or("0")).value_or(0);
    report.facts.bytes += parse_i64(size->rows.at(0).at(1).value_or("0")).value_or(0);
  }
  report.refusals = preflight_refusals(report.facts);
  if (!report.refusals.empty()) return report;
  // The fence's commit on the standby, and the flip's commit.
  const auto fence = probe_commit(*source, options.source);
  if (!fence) return std::unexpected(fence.error());
  ShardEnd alone = options.target;
  alone.standbys.clear();
  const auto flip = probe_commit(*target, alone);
  if (!flip) return std::unexpected(flip.error());
  report.prediction_ms = *fence + 2 * *flip;
  return report;
}

}  // namespace tidemark::shards
