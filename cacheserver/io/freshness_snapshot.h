// A copy of a worker's freshness figures, made by its thread at each tick for the metrics' thread to read.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/histogram.h"
#include "cacheserver/freshness/freshness_state.h"

namespace tidemark::cacheserver::io {

struct FreshnessSnapshot {
  struct Shard {
    ShardId id = 0;
    Lsn complete_through, settled, floor;
    std::optional<Duration> bound;  // at `taken_at`
  };
  Instant taken_at{};
  std::vector<Shard> shards;
  FreshnessState::Counters counters;
  FreshnessState::Gauges gauges;
  Histogram lag_us, lag_replayed_us;
};

FreshnessSnapshot take_freshness_snapshot(const FreshnessState& freshness, Instant now);

}  // namespace tidemark::cacheserver::io
