// The two comparisons: before the fence at one position of the stream, and after the hand-over at the fence.
#include <fmt/format.h>

#include "base/parse.h"
#include "tools/shards/move/mover_links.h"

namespace tidemark::shards {

using namespace shardrouter;

namespace {

constexpr size_t kDifferencesShown = 5;
constexpr int kVerifyPollMs = 5;
constexpr int kNudgeTurns = 10;

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text;
}

}  // namespace

std::string Mover::digests_sql() const {
  std::string sql;
  for (const MovedTable& table : tables_) {
    std::vector<std::string> columns;
    for (const TableColumn& column : table.columns) columns.push_back(column.name);
    sql += fmt::format("{}SELECT {}, d.* FROM ({}) d", sql.empty() ? "" : " UNION ALL ",
                       links_->source.quote_text(table.name),
                       digest_sql(table.name, columns, options_.range.lo, options_.range.hi));
  }
  return sql;
}

Result<std::vector<BucketDigest>> Mover::read_digests(PgLink& link) {
  const auto set = await_answer(link);
  if (!set) return std::unexpected(set.error());
  std::vector<BucketDigest> digests;
  for (const auto& row : set->rows)
    digests.push_back({row[0].value_or(""), parse_i64(row[1].value_or("0")).value_or(0),
                       parse_i64(row[2].value_or("0")).value_or(0), parse_i64(row[3].value_or("0")).value_or(0)});
  return digests;
}

// A second slot gives a snapshot and the position V it stands for; the target is stopped exactly there.
Status Mover::verify() {
  const auto start = Clock::now();
  auto slot_link = PgLink::connect(fmt::format("shard {} (verify)", options_.source.id), options_.source.admin,
                                   PgLink::Kind::kReplication);
  if (!slot_link) return std::unexpected(slot_link.error());
  Status ready = slot_link->send(fmt::format(
      "CREATE_REPLICATION_SLOT {}_v TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')", stream_name(options_.move_id)));
  if (!ready) return ready;
  const auto slot = await_answer(*slot_link, Meanwhile::kWait);  // applying on could pass the position
  if (!slot) return std::unexpected(slot.error());
  const auto position = Lsn::parse(slot->rows.at(0).at(1).value_or(""));
  if (!position) return fail(ErrorCode::kInternal, "the slot has no consistent point");
  PgLink& source = links_->source_reader;
  PgLink& target = links_->target_reader;
  stream_->stop_at(*position);
  ready = source.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (ready) ready = source.run("SET TRANSACTION SNAPSHOT " + source.quote_text(slot->rows.at(0).at(2).value_or("")));
  if (ready) ready = source.send(digests_sql());
  for (int turn = 0; ready && !stream_->has_reached(*position); ++turn) {
    if (turn % kNudgeTurns == 0) ready = links_->source.run("SELECT pg_logical_emit_message(false, 'mv', '')");
    if (ready) ready = stream_->send_status(Lsn{}, true);
    if (ready) ready = pump(kVerifyPollMs);
  }
  if (ready) ready = applier_->flush();
  if (ready) ready = target.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (ready) ready = target.run("SELECT count(*) FROM shard.identity");  // BEGIN alone takes no snapshot
  if (ready) ready = target.send(digests_sql());
  stream_->stop_at(std::nullopt);
  if (!ready) return ready;
  auto at_target = read_digests(target);
  if (!at_target) return std::unexpected(at_target.error());
  auto at_source = read_digests(source);
  if (!at_source) return std::unexpected(at_source.error());
  ready = source.run("COMMIT");
  if (ready) ready = target.run("COMMIT");
  if (!ready) return ready;
  report_.rows_verified = rows_of(*at_source);
  report_.verify_ms = ms_since(start);
  const auto differences = compare_digests(std::move(*at_source), std::move(*at_target), kDifferencesShown);
  view_.verified = differences.empty();
  view_.is_caught_up = false;
  options_.log(fmt::format("compared {} rows at {} in {:.0f} ms: {}", report_.rows_verified, position->to_string(),
                           report_.verify_ms, differences.empty() ? "equal" : join(differences)));
  if (!differences.empty()) return request_abort("source and target differ: " + join(differences));
  return {};
}

// The source's rows are frozen since the fence; the target's snapshot is from before its first own write.
Status Mover::second_check() {
  Status ready = links_->source_reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (ready) ready = links_->source_reader.send(digests_sql());
  if (ready) ready = links_->target_reader.send(digests_sql());
  if (!ready) return ready;
  auto at_source = read_digests(links_->source_reader);
  if (!at_source) return std::unexpected(at_source.error());
  auto at_target = read_digests(links_->target_reader);
  if (!at_target) return std::unexpected(at_target.error());
  ready = links_->source_reader.run("COMMIT");
  if (ready) ready = links_->target_reader.run("COMMIT");
  if (!ready) return ready;
  const auto differences = compare_digests(std::move(*at_source), std::move(*at_target), kDifferencesShown);
  view_.second_check = differences.empty();
  view_.can_check_again = false;
  options_.log("second comparison, at the fence: " + (differences.empty() ? "equal" : join(differences)));
  return links_->source.run("UPDATE shard.move SET checked = $2, note = $3 WHERE move_id = $1",
                            {options_.move_id, differences.empty() ? "true" : "false", join(differences)});
}

}  // namespace tidemark::shards
