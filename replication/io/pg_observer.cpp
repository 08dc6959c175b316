#include "replication/io/pg_observer.h"

#include <fmt/format.h>

#include "base/parse.h"

namespace tidemark::replication::io {
namespace {

bool has_columns(const PgRows& rows, size_t columns) {
  return !rows.empty() && rows[0].size() >= columns;
}
std::string text_of(const std::optional<std::string>& cell) {
  return cell.value_or("");
}
bool is_true(const std::optional<std::string>& cell) {
  return cell == "t";
}

}  // namespace

std::string primary_state_sql() {
  // The control file's timeline lags behind a promotion until its checkpoint; the name of the WAL file does not.
  return "SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()), "
         "CASE WHEN pg_is_in_recovery() THEN 0 "
         "ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END";
}

Result<PrimaryState> read_primary_state(const PgRows& rows) {
  if (!has_columns(rows, 3)) return fail(ErrorCode::kInternal, "the primary's state: no row");
  auto timeline = parse_u64(text_of(rows[0][2]));
  if (!timeline) return fail(ErrorCode::kInternal, "the primary's timeline is '" + text_of(rows[0][2]) + "'");
  return PrimaryState{is_true(rows[0][0]), {text_of(rows[0][1]), static_cast<uint32_t>(*timeline)}};
}

std::string try_lock_sql(ShardId shard) {
  return fmt::format("SELECT pg_try_advisory_lock({}, {})", kInvalidatorLock, shard);
}

std::string slot_sql(std::string_view slot) {
  return fmt::format(
      "SELECT plugin, coalesce(wal_status, ''), database = current_database(), coalesce(confirmed_flush_lsn, '0/0'), "
      "coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = {}",
      quote_literal(slot));
}

Result<std::optional<SlotState>> read_slot(const PgRows& rows) {
  if (rows.empty()) return std::optional<SlotState>();
  if (!has_columns(rows, 5)) return fail(ErrorCode::kInternal, "pg_replication_slots: too few columns");
  auto confirmed = Lsn::parse(text_of(rows[0][3]));
  auto pid = parse_u64(text_of(rows[0][4]));
  if (!confirmed || !pid) return fail(ErrorCode::kInternal, "pg_replication_slots: not a position or pid");
  return std::optional<SlotState>(
      SlotState{text_of(rows[0][0]), text_of(rows[0][1]), is_true(rows[0][2]), *confirmed, static_cast<int>(*pid)});
}

std::string drop_slot_sql(std::string_view slot) {
  return fmt::format("SELECT pg_drop_replication_slot({})", quote_literal(slot));
}

std::string open_incarnation_sql() {
  return "SELECT tidemark.open_incarnation()";
}

std::string timeline_opening_sql() {
  return "SELECT t.prev_timeline, t.prev_e, t.opened_lsn FROM shard.timeline t JOIN tidemark.epoch e USING (e) "
         "WHERE t.timeline = tidemark.current_timeline() AND t.prev_timeline IS NOT NULL AND t.prev_e IS NOT NULL";
}

std::optional<TimelineOpening> read_timeline_opening(const PgRows& rows) {
  if (!has_columns(rows, 3)) return std::nullopt;
  const auto timeline = parse_u64(text_of(rows[0][0]));
  const auto epoch = parse_u64(text_of(rows[0][1]));
  const auto opened = Lsn::parse(text_of(rows[0][2]));
  if (!timeline || *timeline > UINT32_MAX || !epoch || *epoch > UINT32_MAX || !opened) return std::nullopt;
  return TimelineOpening{static_cast<uint32_t>(*timeline), static_cast<DbEpoch>(*epoch), *opened};
}

std::string sample_sql() {
  return "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn()";
}

Result<Sample> read_sample(const PgRows& rows) {
  if (!has_columns(rows, 2)) return fail(ErrorCode::kInternal, "sample: no row");
  auto snapshot = PgSnapshot::parse(text_of(rows[0][0]));
  auto lsn = Lsn::parse(text_of(rows[0][1]));
  if (!snapshot || !lsn) return fail(ErrorCode::kInternal, "sample: malformed snapshot or LSN");
  return Sample{std::move(*snapshot), *lsn};
}

std::string own_xid_sql() {
  return "SELECT pg_current_xact_id()";
}

std::string tick_sql() {
  return "SELECT pg_logical_emit_message(true, 'tidemark.tick', '')";
}

std::string table_sql(std::string_view table, std::string_view publication) {
  return fmt::format(
      "SELECT a.attname, a.atttypid, c.relreplident, "
      "  CASE c.relreplident WHEN 'f' THEN true WHEN 'd' THEN a.attnum = ANY(pk.indkey::int2[]) "
      "       WHEN 'i' THEN a.attnum = ANY(ri.indkey::int2[]) ELSE false END, "
      "  EXISTS (SELECT FROM pg_publication p WHERE p.pubname = {1} AND p.pubinsert AND p.pubupdate AND p.pubdelete "
      "            AND p.pubtruncate), "
      "  EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = {1} AND t.schemaname = n.nspname "
      "            AND t.tablename = c.relname AND t.rowfilter IS NULL), "
      "  c.relpersistence = 'p' AND c.relkind IN ('r', 'p') "
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' "
      "LEFT JOIN pg_index pk ON pk.indrelid = c.oid AND pk.indisprimary "
      "LEFT JOIN pg_index ri ON ri.indrelid = c.oid AND ri.indisreplident "
      "WHERE n.nspname || '.' || c.relname = {0} ORDER BY a.attnum",
      quote_literal(table), quote_literal(publication));
}

std::vector<std::string> check_table(const std::string& table, const std::string& publication, const PgRows& rows,
                                     const Keymap& keymap) {
  if (rows.empty()) return {fmt::format("table {} does not exist in this shard", table)};
  const PgRow& first = rows[0];
  if (first.size() < 7) return {"pg_class: too few columns"};
  std::vector<std::string> problems;
  if (!is_true(first[4])) {
    problems.push_back(
        fmt::format("publication {} does not exist, or leaves out insert, update, delete or truncate", publication));
  }
  if (!is_true(first[5])) {
    problems.push_back(
        fmt::format("table {} is not in publication {} (or has a row filter): ALTER PUBLICATION {} ADD TABLE {}", table,
                    publication, publication, table));
  }
  if (!is_true(first[6])) problems.push_back(fmt::format("{} is no permanent table", table));

  size_t dot = table.find('.');
  RelationMessage relation;
  relation.schema = std::string_view(table).substr(0, dot);
  relation.name = std::string_view(table).substr(dot + 1);
  relation.identity = first[2] && !first[2]->empty() ? (*first[2])[0] : 'd';
  for (const PgRow& row : rows) {
    auto type = parse_u64(text_of(row[1]));
    relation.columns.push_back({is_true(row[3]), row[0] ? std::string_view(*row[0]) : std::string_view(),
                                static_cast<uint32_t>(type.value_or(0))});
  }
  for (std::string& refusal : keymap.bind(relation).refusals) problems.push_back(std::move(refusal));
  return problems;
}

}  // namespace tidemark::replication::io
