// bucket -> (shard, bucket_epoch), healed by the shards' refusals.
//
// The topology store holds a copy of the truth; the shards hold the truth. A write sent by an old map is refused with
// the shard's own state, and that is enough to find the owner:
//
//   map says (0, epoch 1)   shard 0 answers state=moved epoch=3 forward=1   ->   map says (1, epoch 3), kRetry
//                           shard 0 answers state=fenced …                  ->   nobody owns it for a moment, kWait
//
// Invariant: the epoch of a bucket never decreases. Threads: owned by one; not shared. I/O: none.
#pragma once

#include <optional>
#include <vector>

#include "base/topology/topology.h"
#include "shardrouter/routing/bucket_refusal.h"

namespace tidemark::shardrouter {

class BucketMap {
 public:
  BucketMap() = default;
  explicit BucketMap(const Topology& topology) { merge(topology); }

  // Nothing: the bucket has no database (no shards yet).
  std::optional<BucketOwner> find(Bucket bucket) const;

  // Takes the topology's owner of every bucket where its epoch is not older than what is known here.
  void merge(const Topology& topology);

  enum class Heal : uint8_t {
    kRetry,    // the map knows better now (or did already): look up again and send again
    kWait,     // the bucket is being handed over: the same question again after a moment (tens of ms)
    kRefresh,  // the refusal does not say who owns it: read the topology again
  };
  Heal heal(Bucket bucket, ShardId refused_by, BucketEpoch sent_epoch, const BucketRefusal& refusal);

 private:
  void learn(Bucket bucket, BucketOwner owner);
  std::vector<BucketOwner> owners_;  // kBucketCount, or empty
};

}  // namespace tidemark::shardrouter
