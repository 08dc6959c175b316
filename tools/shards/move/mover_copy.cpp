// Reservation, copy from an exported snapshot, and the reverse stream that a rollback would need.
#include <fmt/format.h>
#include <libpq-fe.h>

#include <thread>

#include "base/parse.h"
#include "services/platform/kill_point.h"
#include "tools/shards/move/mover_links.h"

namespace tidemark::shards {
namespace {

constexpr size_t kCopyLookBytes = 64 << 10;  // between two looks at the clock

std::string column_list(const MovedTable& table) {
  std::string list;
  for (const TableColumn& column : table.columns) list += (list.empty() ? "" : ", ") + column.name;
  return list;
}

std::optional<std::string> or_null(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

Status Mover::reserve_source() {
  return links_->source.run("SELECT shard.move_reserve_source($1, $2, $3, $4, $5, $6, $7)",
                            {options_.move_id, std::to_string(options_.range.lo), std::to_string(options_.range.hi),
                             std::to_string(options_.target.id), table_list(tables_),
                             options_.is_held ? "true" : "false", or_null(options_.undoes)});
}

Status Mover::reserve_target() {
  const auto epochs = links_->source.value(
      "SELECT array_agg(epoch ORDER BY bucket) FROM shard.bucket WHERE move_id = $1 AND state = 'owned'",
      {options_.move_id});
  if (!epochs) return std::unexpected(epochs.error());
  const Status done =
      links_->target.run("SELECT shard.move_reserve_target($1, $2, $3, $4, $5, $6, $7)",
                         {options_.move_id, std::to_string(options_.range.lo), std::to_string(options_.range.hi),
                          std::to_string(options_.source.id), table_list(tables_), *epochs, or_null(options_.undoes)});
  return done ? record_pids() : done;
}

Status Mover::open_apply_link() {
  if (links_->apply) return {};
  auto link = PgLink::connect(fmt::format("shard {} (apply)", options_.target.id), options_.target.admin);
  if (!link) return std::unexpected(link.error());
  links_->apply = std::move(*link);
  Status ready = links_->apply->run("SET session_replication_role = 'replica'");
  if (ready)
    ready = links_->apply->run("SELECT pg_replication_origin_session_setup($1)", {stream_name(options_.move_id)});
  if (ready) ready = record_pids();
  return ready;
}

Status Mover::copy() {
  const std::string name = stream_name(options_.move_id);
  stream_.reset();
  applier_.reset();
  links_->apply.reset();
  Status ready = drop_slot(links_->source, name);
  if (ready) ready = drop_publication(links_->source, name);
  if (ready) ready = drop_origin(links_->target, name);
  if (ready) ready = links_->target.run("SELECT pg_replication_origin_create($1)", {name});
  if (ready)
    ready = links_->source.run(publication_sql(links_->source, name, tables_, options_.range, options_.move_id));
  if (!ready) return ready;

  auto slot_link = PgLink::connect(fmt::format("shard {} (stream)", options_.source.id), options_.source.admin,
                                   PgLink::Kind::kReplication);
  if (!slot_link) return std::unexpected(slot_link.error());
  links_->stream = std::move(*slot_link);
  ready = record_pids();
  if (ready)
    ready = links_->stream->send(fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'export')", name));
  if (!ready) return ready;
  const auto slot = await_answer(*links_->stream);
  if (!slot) return std::unexpected(slot.error());
  const std::string consistent = slot->rows.at(0).at(1).value_or("");
  const std::string snapshot = slot->rows.at(0).at(2).value_or("");
  services::kill_point("slot created");

  ready = open_apply_link();
  if (ready) ready = links_->source_reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (ready)
    ready = links_->source_reader.run("SET TRANSACTION SNAPSHOT " + links_->source_reader.quote_text(snapshot));
  if (ready) ready = count_rows();
  if (ready) ready = links_->apply->run("BEGIN");
  if (ready) ready = links_->apply->run("SELECT shard.move_applying($1, 'reserved')", {options_.move_id});
  const auto start = Clock::now();
  report_.rows_copied = report_.bytes_copied = 0;
  for (const MovedTable& table : tables_)
    if (ready) ready = copy_table(table);
  if (ready) ready = links_->apply->run("SELECT pg_replication_origin_xact_setup($1, now())", {consistent});
  if (ready)
    ready = links_->apply->run(
        "SELECT shard.move_copied($1, $2, $3)",
        {options_.move_id, std::to_string(report_.rows_copied), std::to_string(report_.bytes_copied)});
  if (ready) ready = links_->apply->run("COMMIT");
  if (ready) ready = links_->source_reader.run("COMMIT");
  if (!ready) return ready;
  report_.copy_ms = ms_since(start);
  options_.log(fmt::format("copied {} rows, {:.1f} MB in {:.0f} ms: {:.0f} rows/s", report_.rows_copied,
                           static_cast<double>(report_.bytes_copied) / 1e6, report_.copy_ms,
                           static_cast<double>(report_.rows_copied) / report_.copy_ms * 1e3));
  for (const MovedTable& table : tables_) {
    ready = links_->target.send("ANALYZE " + table.name);
    if (!ready) return ready;
    const auto analyzed = await_answer(links_->target);
    if (!analyzed) return std::unexpected(analyzed.error());
  }
  return {};
}

// The standbys of both sides must keep up with what the copy writes.
Status Mover::beat_while_copying() {
  const auto last = last_beat_;
  Status alive = beat();
  if (!alive || last_beat_ == last) return alive;
  uint64_t lag = 0;
  for (PgLink* link : {&links_->source, &links_->target}) {
    const auto behind = link->value(
        "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), flush_lsn)), 0)::bigint FROM "
        "pg_stat_replication "
        "WHERE application_name NOT LIKE 'tidemark%'");
    if (!behind) return std::unexpected(behind.error());
    lag = std::max(lag, parse_u64(*behind).value_or(0));
  }
  throttle_.note_standby_lag(lag);
  return {};
}

// So that whoever watches knows how much is left.
Status Mover::count_rows() {
  std::string sum;
  for (const MovedTable& table : tables_)
    sum += fmt::format("{}(SELECT count(*) FROM {} WHERE {})", sum.empty() ? "" : " + ", table.name, range_condition());
  const Status asked = links_->source_reader.send("SELECT " + sum);
  if (!asked) return asked;
  const auto total = await_answer(links_->source_reader);
  if (!total) return std::unexpected(total.error());
  return links_->source.run(
      "UPDATE shard.move SET rows_total = $2, rows_copied = 0, bytes_copied = 0 WHERE move_id = $1",
      {options_.move_id, total->rows.at(0).at(0)});
}

Status Mover::copy_table(const MovedTable& table) {
  PgLink& from = links_->source_reader;
  PgLink& to = *links_->apply;
  const std::string columns = column_list(table);
  const auto out = from.script(fmt::format("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT binary)", columns,
                                           table.name, range_condition()));
  if (!out) return std::unexpected(out.error().with_context(table.name));
  const auto in = to.script(fmt::format("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, columns));
  if (!in) return std::unexpected(in.error().with_context(table.name));
  const int64_t rows_before = report_.rows_copied;
  char* bytes = nullptr;
  int size = 0;
  size_t unlooked = 0;
  while ((size = PQgetCopyData(from.raw(), &bytes, 0)) > 0) {
    const int put = PQputCopyData(to.raw(), bytes, size);
    PQfreemem(bytes);
    if (put != 1) return std::unexpected(to.error().with_context(table.name));
    report_.bytes_copied += size;
    ++report_.rows_copied;  // a message is a row; the first and the last are not, and are put right at the end
    unlooked += static_cast<size_t>(size);
    if (unlooked < kCopyLookBytes) continue;
    while (true) {
      const Duration delay =
          throttle_.delay_of(unlooked, Instant(std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch())));
      if (const Status alive = beat_while_copying(); !alive) return alive;
      if (delay <= Duration{0}) break;
      std::this_thread::sleep_for(std::min<Duration>(delay, std::chrono::milliseconds(50)));
    }
    unlooked = 0;
    services::kill_point("copying");
  }
  if (size == -2) return std::unexpected(from.error().with_context(table.name));
  const auto read = from.receive();
  if (!read) return std::unexpected(read.error().with_context(table.name));
  if (PQputCopyEnd(to.raw(), nullptr) != 1) return std::unexpected(to.error());
  const auto written = to.receive();
  if (!written) return std::unexpected(written.error().with_context(table.name));
  report_.rows_copied = rows_before + written->rows_affected;
  return {};
}

// Slot and publication at the target, before it can be written to; and at the source the position they begin at. Nobody
// reads it unless the move is taken back.
Status Mover::arm_reverse() {
  const std::string name = reverse_name(options_.move_id);
  Status ready = drop_slot(links_->target, name);
  if (ready) ready = drop_publication(links_->target, name);
  if (ready) ready = drop_origin(links_->source, name);
  if (ready)
    ready = links_->target.run(publication_sql(links_->target, name, tables_, options_.range, options_.move_id + "_r"));
  if (ready)
    ready = links_->target_reader.send(
        fmt::format("SELECT lsn FROM pg_create_logical_replication_slot('{}', 'pgoutput')", name));
  if (!ready) return ready;
  const auto slot = await_answer(links_->target_reader);
  if (!slot) return std::unexpected(slot.error());
  ready = links_->source.run("SELECT pg_replication_origin_create($1)", {name});
  // confirmed_flush of a new slot is what pg_create_logical_replication_slot returns.
  if (ready) ready = links_->source.run("SELECT pg_replication_origin_advance($1, $2)", {name, slot->rows.at(0).at(0)});
  return ready;
}

}  // namespace tidemark::shards
