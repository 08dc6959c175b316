// Which buckets to take from a shard that is written to too much: its hottest ones, one by one.
//
// A rebalance weighs bytes, rows and writes together and moves long ranges; this looks at writes only, and moves as few
// buckets as it can. A bucket is taken if the receiver stays below what the giver had: `to + b < from`, so the load of
// the busiest of the two falls with every one. Neighbours that are both taken go in one move.
//
//     writes/s  shard 0: 400 (bucket 7: 250, 8: 100, the rest 50)   shard 1: 60
//     bucket 7 goes: 150 and 310. No other follows: shard 0 is not the busiest any more.
//
// Threads: pure function. I/O: none.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "shardrouter/rebalance/planner.h"

namespace tidemark::shardrouter {

struct SplitHotOptions {
  static constexpr uint32_t kBucketsDefault = 8;
  uint32_t buckets_max = kBucketsDefault;
  std::optional<ShardId> from = std::nullopt;  // nothing: the shard with the most writes
  std::optional<ShardId> to = std::nullopt;    // nothing: for each bucket the shard with the fewest
  PlannerOptions costs = {};                   // of a move
};

// The shares of the plan are shares of the writes; its target is the mean. Errors as for plan_rebalance().
Result<RebalancePlan> plan_split_hot(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
                                     const SplitHotOptions& options);

}  // namespace tidemark::shardrouter
