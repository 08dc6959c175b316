// Which buckets should move where, so that every shard carries its share of bytes, rows and load.
//
//   shard 0: 4,096 buckets, weight 1     shard 1: none, weight 1
//   ->  0..63 to 1, 64..127 to 1, …      reason "shard 0 carries 100.0 % (share 50.0 %) …", after: 2,048 and 2,048
//
// A bucket's cost is the mean of its parts of all bytes, all rows and all writes (of those that are known); with no
// rows anywhere every bucket costs the same. The shard furthest above its share gives to the one furthest below, a
// range of at most `buckets_per_move` at a time, until both are within `tolerance`. Ranges at the edge of what a shard
// owns are preferred, so that ownership stays in few pieces; one in the middle is taken when it carries at least twice
// as much. A shard of weight 0 gives everything away. A bucket that is alone more than a shard's share is named: no
// move can help it. Deterministic. Threads: pure function. I/O: none. Limits: kMovesMax.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::shardrouter {

struct BucketStats {
  Bucket bucket = 0;
  ShardId owner = 0;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  double writes_per_second = 0;
  bool is_moving = false;  // in the middle of a move: not to be touched
};

struct ShardWeight {
  ShardId shard = 0;
  double weight = 1;  // of its share; 0: it is to be emptied
};

struct PlannerOptions {
  double tolerance = 0.05;  // of a shard's share
  uint32_t buckets_per_move = 64;
  // What a move costs: measured on a busy two-core machine, copy saturated.
  double copy_rows_per_second = 50'000;
  double copy_bytes_per_second = 12e6;
  double blocked_ms_base = 15;  // fence, flush of the candidate, marker, flip
  double blocked_ms_per_bucket = 0.25;
  double blocked_ms_max = 60;  // a move that took longer unfences and tries again
};

struct PlannedMove {
  ShardId from = 0;
  ShardId to = 0;
  Bucket first = 0;
  Bucket last = 0;  // inclusive; every bucket in between belongs to `from`
  uint64_t rows = 0;
  uint64_t bytes = 0;
  double writes_per_second = 0;
  double copy_seconds = 0;
  double blocked_ms = 0;  // predicted: no shard takes writes to the range for so long
  std::string reason;
};

struct ShardShare {
  ShardId shard = 0;
  double share_target = 0;
  uint32_t buckets = 0;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  double writes_per_second = 0;
  double share = 0;  // of the total cost
};

struct RebalancePlan {
  static constexpr size_t kMovesMax = 4096;
  std::vector<PlannedMove> moves;
  std::vector<ShardShare> before;
  std::vector<ShardShare> after;
  std::vector<std::string> notes;  // what no move can mend, and what was left out
};

// Fills in how long its copy takes and its writers wait, of a range of so many buckets.
void predict_move(PlannedMove& move, size_t buckets, const PlannerOptions& options);

// `buckets` ascending, each once; every owner and at least one shard of a weight above 0 is among `shards`.
Result<RebalancePlan> plan_rebalance(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
                                     const PlannerOptions& options);

}  // namespace tidemark::shardrouter
