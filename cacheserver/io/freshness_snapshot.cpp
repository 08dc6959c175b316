#include "cacheserver/io/freshness_snapshot.h"

namespace tidemark::cacheserver::io {

FreshnessSnapshot take_freshness_snapshot(const FreshnessState& freshness, Instant now) {
  FreshnessSnapshot snapshot{.taken_at = now,
                             .shards = {},
                             .counters = freshness.counters(),
                             .gauges = freshness.gauges(),
                             .lag_us = freshness.lag_us(),
                             .lag_replayed_us = freshness.lag_replayed_us()};
  for (ShardId id : freshness.joined_shards()) {
    const ShardTide* tide = freshness.find_shard(id);
    snapshot.shards.push_back({.id = id,
                               .complete_through = tide->complete_through(),
                               .settled = tide->settled(),
                               .floor = tide->floor().lsn,
                               .bound = freshness.bound(id, now)});
  }
  return snapshot;
}

}  // namespace tidemark::cacheserver::io
