#include "tools/shards/schema/migrating_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "base/parse.h"
#include "shardrouter/schema/ddl_rules.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {
namespace {

using namespace shardrouter;

constexpr const char* kLiveMoves =
    "SELECT coalesce(sum(bucket_hi - bucket_lo + 1) FILTER (WHERE role = 'target'), 0), "
    "coalesce(sum(bucket_hi - bucket_lo + 1) FILTER (WHERE role = 'source'), 0) "
    "FROM shard.move WHERE step NOT IN ('done', 'aborted', 'undone')";

uint32_t number(const std::optional<std::string>& cell) {
  return static_cast<uint32_t>(parse_u64(cell.value_or("0")).value_or(0));
}

// One that was interrupted may have been built already, or stand there unfinished.
constexpr const char* kIndexState =
    "SELECT c.oid::regclass::text, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE i.indrelid = to_regclass($1) AND c.relname = $2";

}  // namespace

Result<MigratingShard> MigratingShard::open(const AdminShard& shard, bool is_alone) {
  auto session = connect_owner(shard);
  if (!session) return std::unexpected(session.error());
  MigratingShard opened(shard.shard.id, std::move(*session));
  PgSession& s = opened.session_;
  const auto identity = s.value("SELECT to_regclass('shard.migration') IS NOT NULL");
  if (!identity) return std::unexpected(identity.error());
  if (*identity != "t")
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("shard {}: it has no migration ledger: run tidemark-shards init", opened.id_));
  const auto known = s.value("SELECT shard FROM shard.identity");
  if (!known) return std::unexpected(known.error());
  if (*known != std::to_string(opened.id_))
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("this database is shard {}, the shards file calls it shard {}", *known, opened.id_));
  if (!is_alone) return opened;
  const auto alone = s.value("SELECT pg_try_advisory_lock(7006, 0)");
  if (!alone) return std::unexpected(alone.error());
  if (*alone != "t") {
    const auto holder = s.value(
        "SELECT 'pid ' || pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 7006 AND granted AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())");
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("shard {}: another migration is at work there ({})", opened.id_, holder.value_or("?")));
  }
  const auto incarnation = s.value("SELECT tidemark.open_incarnation()");
  if (!incarnation) return std::unexpected(incarnation.error());
  return opened;
}

Result<ShardSituation> MigratingShard::read_situation() {
  ShardSituation situation;
  situation.shard = id_;
  const auto ledger = session_.query("SELECT id, phase, checksum, state, rows FROM shard.migration ORDER BY id, phase");
  if (!ledger) return std::unexpected(ledger.error());
  for (const auto& row : ledger->rows) {
    const auto phase = parse_phase(row[1].value_or(""));
    const auto state = parse_ledger_state(row[3].value_or(""));
    if (!phase || !state)
      return fail(ErrorCode::kCorrupt, fmt::format("shard {}: ledger entry {}", id_, row[0].value_or("")));
    situation.ledger.push_back(
        {row[0].value_or(""), *phase, row[2].value_or(""), *state, parse_u64(row[4].value_or("0")).value_or(0)});
  }
  const auto readers =
      session_.query("SELECT name, understands FROM shard.reader WHERE expires_at > clock_timestamp() ORDER BY name");
  if (!readers) return std::unexpected(readers.error());
  for (const auto& row : readers->rows) situation.readers.push_back({row[0].value_or(""), row[1].value_or("")});
  const auto buckets = session_.query(
      "SELECT count(*) FILTER (WHERE state = 'importing'), count(*) FILTER (WHERE state = 'fenced'), "
      "count(*) FILTER (WHERE state = 'owned'), to_regclass('shard.move') IS NOT NULL FROM shard.bucket");
  if (!buckets) return std::unexpected(buckets.error());
  const auto& counts = buckets->rows[0];
  situation.buckets_importing = number(counts[0]);
  situation.buckets_leaving = number(counts[1]);
  situation.buckets_owned = number(counts[2]);
  if (counts[3] != "t") return situation;
  const auto moves = session_.query(kLiveMoves);
  if (!moves) return std::unexpected(moves.error());
  situation.buckets_importing = std::max(situation.buckets_importing, number(moves->rows[0][0]));
  situation.buckets_leaving = std::max(situation.buckets_leaving, number(moves->rows[0][1]));
  return situation;
}

Status MigratingShard::in_transaction(const std::string& lock_timeout, const std::function<Status()>& work) {
  Status done = session_.run("BEGIN");
  if (done) done = session_.run(fmt::format("SET LOCAL lock_timeout = '{}'", lock_timeout));
  if (done) done = work();
  if (done) return session_.run("COMMIT");
  (void)session_.run("ROLLBACK");
  return done;
}

Status MigratingShard::run_script(const Migration& migration, Phase phase, ShardId original,
                                  const std::vector<SourceTable>& families) {
  const MigrationFile& file = *migration.file(phase);
  keys_.clear();
  if (file.is_concurrent) return run_concurrently(migration, file);
  return in_transaction(kLockTimeout, [&] { return run_in_transaction(migration, file, original, families); });
}

Status MigratingShard::run_in_transaction(const Migration& migration, const MigrationFile& file, ShardId original,
                                          const std::vector<SourceTable>& families) {
  Status done;
  if (file.phase != Phase::kExpand) done = forbid_moves_and_readers(migration, file.phase);
  if (done) done = refuse_full_tables(file);
  if (!done) return done;
  const auto before = lint(families);
  if (!before) return std::unexpected(before.error());
  // A reference table is filled with the same rows everywhere, on its copies too.
  done = session_.run("SET LOCAL tidemark.reference_copy = 'on'");
  for (const SqlStatement& statement : file.statements) {
    if (!done) return done;
    done = session_.run(statement.text);
    if (!done) return std::unexpected(done.error().with_context(fmt::format("{} line {}", file.name, statement.line)));
  }
  for (const std::string& table : file.adopted_tables)
    if (done) done = adopt_table(session_, table);
  for (const std::string& table : file.reference_tables)
    if (done) done = adopt_reference(session_, table, original);
  if (!done) return done;
  const auto after = lint(families);
  if (!after) return std::unexpected(after.error());
  for (const std::string& finding : *after)
    if (std::ranges::find(*before, finding) == before->end())
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("{}: afterwards caches would miss changes, so nothing was done: {}", file.name, finding));
  return write_ledger(migration, file.phase, "done");
}

Status MigratingShard::forbid_moves_and_readers(const Migration& migration, Phase phase) {
  Status done = session_.run("SELECT pg_advisory_xact_lock(7005, 0)");
  if (done) done = session_.run("LOCK TABLE shard.bucket IN SHARE MODE");
  if (!done) return done;
  const auto has_moves = session_.value("SELECT to_regclass('shard.move') IS NOT NULL");
  if (!has_moves) return std::unexpected(has_moves.error());
  if (*has_moves == "t") done = session_.run("LOCK TABLE shard.move IN SHARE MODE");
  if (!done) return done;
  const auto now = read_situation();
  if (!now) return std::unexpected(now.error());
  if (now->buckets_importing + now->buckets_leaving > 0)
    return fail(ErrorCode::kFailedPrecondition, "a bucket move has begun: wait for its end, or abort it");
  for (const Reader& reader : now->readers) {
    const bool knows = number_of_migration(reader.understands).value_or(0) >= migration.number;
    if (knows != (phase == Phase::kContract))
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("reader {} understands the schema up to {}: {} it first", reader.name, reader.understands,
                              phase == Phase::kContract ? "upgrade or stop" : "stop"));
  }
  return {};
}

// A dropped table takes its rows along without an event. Locked before it is looked at.
Status MigratingShard::refuse_full_tables(const MigrationFile& file) {
  for (const std::string& table : file.dropped_tables) {
    const auto is_published = session_.value(
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = 'tidemark_fence'", {table});
    if (!is_published) return std::unexpected(is_published.error());
    if (*is_published == "0") continue;
    const auto name = session_.value("SELECT to_regclass($1)::text", {table});
    if (!name) return std::unexpected(name.error());
    const Status locked = session_.run(fmt::format("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", *name));
    if (!locked) return locked;
    const auto has_rows = session_.value(fmt::format("SELECT EXISTS (SELECT FROM {})", *name));
    if (!has_rows) return std::unexpected(has_rows.error());
    if (*has_rows == "t")
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("{}: table {} still has rows, and no event would tell the caches that they are gone: "
                              "DELETE them in a backfill first",
                              file.name, table));
  }
  if (!file.dropped_tables.empty()) return session_.run("SET LOCAL tidemark.eventless_ddl = 'empty'");
  return {};
}

Result<std::vector<std::string>> MigratingShard::lint(const std::vector<SourceTable>& families) {
  std::vector<SourceTable> sources = families;
  const auto tables = session_.query(
      "SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = "
      "c.relnamespace WHERE EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname LIKE 'tidemark\\_fence%') "
      "OR "
      "EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = "
      "'tidemark' "
      "AND r.prrelid = c.oid) ORDER BY 1");
  if (!tables) return std::unexpected(tables.error());
  for (const auto& row : tables->rows) sources.push_back({row[0].value_or(""), {}, ""});
  std::vector<std::string> all;
  for (const SourceTable& source : sources) {
    auto findings = lint_table(session_, source);
    if (!findings) return std::unexpected(findings.error());
    all.insert(all.end(), findings->begin(), findings->end());
  }
  return all;
}

Status MigratingShard::run_concurrently(const Migration& migration, const MigrationFile& file) {
  if (file.phase != Phase::kExpand) {
    const Status allowed =
        in_transaction(kLockTimeout, [&] { return forbid_moves_and_readers(migration, file.phase); });
    if (!allowed) return allowed;
  }
  Status done = session_.run(fmt::format("SET lock_timeout = '{}'", kConcurrentLockTimeout));
  if (done && file.phase != Phase::kUndo) done = write_ledger(migration, file.phase, "running");
  for (const SqlStatement& statement : file.statements)
    if (done) done = build_index(statement);
  if (done) done = write_ledger(migration, file.phase, "done");
  (void)session_.run(fmt::format("SET lock_timeout = '{}'", PgSession::kLockTimeout));
  return done;
}

Status MigratingShard::build_index(const SqlStatement& statement) {
  const ConcurrentIndex index = concurrent_index_of(statement);
  if (!index.is_created) return session_.run(statement.text);
  const auto state = session_.query(kIndexState, {index.table, index.name});
  if (!state) return std::unexpected(state.error());
  if (!state->rows.empty() && state->rows[0][1] == "t") return {};
  if (!state->rows.empty()) {
    const Status dropped = session_.run("DROP INDEX CONCURRENTLY " + state->rows[0][0].value_or(""));
    if (!dropped) return dropped;
  }
  return session_.run(statement.text);
}

Status MigratingShard::write_ledger(const Migration& migration, Phase phase, std::string_view state, uint64_t rows) {
  if (phase == Phase::kUndo)
    return session_.run(
        "UPDATE shard.migration SET state = 'undone', rows = 0, changed_at = clock_timestamp() WHERE id = $1",
        {migration.id});
  return session_.run(
      "INSERT INTO shard.migration AS m (id, phase, checksum, state, rows) VALUES ($1, $2, $3, $4, $5::bigint) "
      "ON CONFLICT (id, phase) DO UPDATE SET checksum = excluded.checksum, state = excluded.state, "
      "rows = m.rows + excluded.rows, changed_at = clock_timestamp()",
      {migration.id, std::string(to_string(phase)), migration.file(phase)->checksum, std::string(state),
       std::to_string(rows)});
}

Result<bool> MigratingShard::has_buckets(const std::string& table) {
  const auto found = session_.value(
      "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = 'tidemark_fence'", {table});
  if (!found) return std::unexpected(found.error());
  return *found != "0";
}

Result<std::vector<KeyColumn>> MigratingShard::key_of(const std::string& table) {
  if (const auto known = keys_.find(table); known != keys_.end()) return known->second;
  const auto set = session_.query(
      "SELECT quote_ident(a.attname), format_type(a.atttypid, a.atttypmod) FROM pg_index i CROSS JOIN LATERAL "
      "unnest(i.indkey) WITH ORDINALITY AS k (attnum, place) JOIN pg_attribute a ON a.attrelid = i.indrelid AND "
      "a.attnum = k.attnum WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY k.place",
      {table});
  if (!set) return std::unexpected(set.error());
  if (set->rows.empty())
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("shard {}: table {} does not exist or has no primary key", id_, table));
  std::vector<KeyColumn> key;
  for (const auto& row : set->rows) key.push_back({row[0].value_or(""), row[1].value_or("")});
  keys_[table] = key;
  return key;
}

Result<uint64_t> MigratingShard::count_remaining(const Backfill& backfill) {
  const auto buckets = has_buckets(backfill.table);
  if (!buckets) return std::unexpected(buckets.error());
  const auto count = session_.value(count_remaining_sql(backfill, *buckets));
  if (!count) return std::unexpected(count.error());
  return parse_u64(*count).value_or(0);
}

Result<migration::BucketList> MigratingShard::read_buckets(const Backfill& backfill) {
  migration::BucketList list;
  const auto buckets = has_buckets(backfill.table);
  if (!buckets) return std::unexpected(buckets.error());
  list.has_buckets = *buckets;
  if (!list.has_buckets) return list;
  const auto owned =
      session_.query(fmt::format("SELECT DISTINCT bucket FROM {} WHERE bucket IN (SELECT b.bucket FROM shard.bucket b "
                                 "WHERE b.state = 'owned') AND "
                                 "({}\n) ORDER BY bucket",
                                 backfill.table, backfill.condition));
  if (!owned) return std::unexpected(owned.error());
  for (const auto& row : owned->rows) list.buckets.push_back(static_cast<Bucket>(number(row[0])));
  return list;
}

Result<std::optional<BatchAnswer>> MigratingShard::run_batch(const Migration& migration, const Backfill& backfill,
                                                             const BatchRequest& request) {
  const auto key = key_of(backfill.table);
  if (!key) return std::unexpected(key.error());
  std::optional<BatchAnswer> answer;
  const Status done = in_transaction(kRowLockTimeout, [&]() -> Status {
    Status set = session_.run(fmt::format("SET LOCAL statement_timeout = '{}'", kBatchTimeout));
    if (set) set = session_.run("SET LOCAL tidemark.reference_copy = 'on'");
    if (!set) return set;
    if (request.bucket) {
      const auto guarded = session_.query(
          "SELECT shard.guard(bucket, epoch) FROM shard.bucket WHERE bucket = $1::int AND state = 'owned'",
          {std::to_string(*request.bucket)});
      if (!guarded) return std::unexpected(guarded.error());
      if (guarded->rows.empty()) return {};
    }
    const Statement statement = make_batch(backfill, *key, request);
    const auto set_of_rows = session_.query(statement.sql, statement.params);
    if (!set_of_rows) return std::unexpected(set_of_rows.error());
    auto read = read_batch(*set_of_rows);
    if (!read) return std::unexpected(read.error());
    answer = std::move(*read);
    // Not to be committed: the machine stops, and the file must be mended.
    if (answer->rows_unsettled > 0) return fail(ErrorCode::kInvalidArgument, "unsettled");
    return write_ledger(migration, Phase::kBackfill, "running", answer->rows_changed);
  });
  if (done || (answer && answer->rows_unsettled > 0)) return answer;
  if (done.error().message.find("SH001") != std::string::npos) return std::optional<BatchAnswer>();
  return std::unexpected(done.error());
}

Status MigratingShard::mark_backfilled(const Migration& migration) {
  return write_ledger(migration, Phase::kBackfill, "done");
}

Result<uint64_t> MigratingShard::lag_bytes() {
  const auto lag = session_.value(
      "SELECT greatest(0, (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) FROM pg_stat_replication "
      "WHERE "
      "replay_lsn IS NOT NULL), (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)) FROM "
      "pg_replication_slots WHERE slot_name = 'tidemark' AND active))::bigint");
  if (!lag) return std::unexpected(lag.error());
  return parse_u64(*lag).value_or(0);
}

std::string MigratingShard::oldest_transaction() {
  const auto row = session_.value(
      "SELECT format('pid %s (%s), %s ms: %s', pid, coalesce(nullif(application_name, ''), usename), "
      "(extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint, left(regexp_replace(query, '\\s+', ' ', "
      "'g'), 60)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start "
      "IS "
      "NOT NULL AND backend_type = 'client backend' ORDER BY xact_start LIMIT 1");
  if (!row || row->empty()) return "no transaction that is still open";
  return *row;
}

}  // namespace tidemark::shards
