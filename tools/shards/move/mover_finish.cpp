// Taking attempts back, publishing the map, cleaning up, aborting.
#include <fmt/format.h>

#include <map>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "tools/shards/move/mover_links.h"

namespace tidemark::shards {

using namespace shardrouter;

Status Mover::next_attempt() {
  const Status done = links_->target.run("SELECT shard.move_next_attempt($1, $2)",
                                         {options_.move_id, std::to_string(view_.target_attempt)});
  if (done) ++view_.target_attempt;
  return done;
}

Status Mover::unfence() {
  // Not waited for on the target's standbys: a promoted one hands nothing over (move_flip looks at the timeline).
  Status done =
      links_->source.run("SELECT shard.move_unfence($1, $2)", {options_.move_id, std::to_string(view_.source_attempt)});
  if (!done) return done;
  const bool is_timed = view_.is_streaming && view_.source == SourceStep::kFenced;
  if (is_timed) report_.failed_blocked_ms.push_back(ms_since(fence_began_));
  options_.log(fmt::format("attempt {} taken back after {:.1f} ms", view_.source_attempt,
                           is_timed ? report_.failed_blocked_ms.back() : 0.0));
  if (view_.can_check_again) done = links_->target_reader.run("ROLLBACK");
  if (!done) return done;
  view_.can_check_again = false;
  view_.is_caught_up = view_.is_source_map_published = false;
  // Longer with each attempt, so that a machine that is busy now is left alone for a while.
  return view_.is_streaming ? pump(std::min(50 * view_.source_attempt, 500)) : Status();
}

Status Mover::publish_map(PgLink& link, const ShardEnd& owner) {
  const auto set = link.query(
      "SELECT bucket, epoch FROM shard.bucket WHERE bucket BETWEEN $1 AND $2 AND state = 'owned' AND move_id = $3",
      {std::to_string(options_.range.lo), std::to_string(options_.range.hi), options_.move_id});
  if (!set) return std::unexpected(set.error());
  std::map<uint64_t, BucketEpoch> epochs;
  for (const auto& row : set->rows)
    epochs[parse_u64(row[0].value_or("0")).value_or(0)] =
        static_cast<BucketEpoch>(parse_u64(row[1].value_or("0")).value_or(0));
  const auto store = io::open_topology_store(options_.topology);
  if (!store) return std::unexpected(store.error());
  const auto stored = store->update([&](Topology& topology) -> Status {
    for (const auto& [bucket, epoch] : epochs)
      if (bucket < topology.buckets.size() && topology.buckets[bucket].epoch < epoch)
        topology.buckets[bucket] = {owner.id, epoch};
    return {};
  });
  if (!stored) return std::unexpected(stored.error().with_context("topology"));
  return {};
}

Status Mover::clean(const ShardEnd& end, bool is_source) {
  std::vector<std::string> names;
  for (const MovedTable& table : tables_) names.push_back(table.name);
  if (!is_source) {  // the session that applied them must not hold the origin any longer
    stream_.reset();
    applier_.reset();
    links_->apply.reset();
    view_.is_streaming = false;
  }
  const auto deleted = clean_rows(end, options_.move_id, names, [this] { return beat(); });
  if (!deleted) return std::unexpected(deleted.error());
  report_.rows_cleaned = *deleted;
  return {};
}

Status Mover::drop_all_artifacts() {
  stream_.reset();
  applier_.reset();
  links_->apply.reset();
  links_->stream.reset();
  view_.is_streaming = false;
  Status done;
  for (PgLink* link : {&links_->source, &links_->target}) {
    if (done) done = drop_artifacts(*link, options_.move_id);
    if (done && !options_.undoes.empty()) done = drop_artifacts(*link, options_.undoes);
  }
  return done;
}

Status Mover::abort_target(const std::string& reason) {
  if (report_.reason.empty()) report_.reason = reason;
  return links_->target.run("SELECT shard.move_abort_target($1, $2, $3, $4, $5)",
                            {options_.move_id, std::to_string(options_.range.lo), std::to_string(options_.range.hi),
                             std::to_string(options_.source.id), table_list(tables_)});
}

}  // namespace tidemark::shards
