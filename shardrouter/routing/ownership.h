// From the bucket rows of all shards to one bucket map, and to the rows that are missing: what `init` decides.
//
// Rules: two owners of a bucket are an error, never resolved by guessing. A bucket with rows but no owner is in the
// middle of a move: the target of the newest fence stands in the map, for that is where it will be. A bucket without
// any row is new: it goes to the shard that `share` gives it, contiguous ranges in the order of the shards. Threads:
// pure functions. I/O: none.
#pragma once

#include <map>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"
#include "shardrouter/routing/bucket_refusal.h"

namespace tidemark::shardrouter {

struct BucketRow {
  Bucket bucket = 0;
  BucketState state = BucketState::kAbsent;
  BucketEpoch epoch = 0;
  std::optional<ShardId> forward;
  bool operator==(const BucketRow&) const = default;
};

struct Ownership {
  std::vector<BucketOwner> map;                       // kBucketCount
  std::map<ShardId, std::vector<BucketRow>> missing;  // rows to insert, ascending by bucket
};

// `rows` has an entry (maybe empty) for every shard; at least one.
Result<Ownership> derive_ownership(const std::map<ShardId, std::vector<BucketRow>>& rows);

}  // namespace tidemark::shardrouter
