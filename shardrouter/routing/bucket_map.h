// bucket -> (shard, bucket_epoch), healed by the shards' refusals.
//
// The topology store holds a copy of the truth; the shards hold the truth. A write sent by an old map is refused with
// the shard's own state, and that is enough to find the owner:
//
//   map says (0, epoch 1)   shard 0 answers state=moved epoch=3 forward=1   ->   map says (1, epoch 3), kRetry
//                           shard 0 answers state=fenced epoch=2 forward=1  ->   nobody owns it for a moment, kWait
//
// What comes next after a fence is known before it happens: shard 1 with epoch 3, or shard 0 again with epoch 4. Until
// the hand-over is on disks everywhere shard 0 goes on to say "fenced", so the next question goes to shard 1, as a
// guess; its refusal ends the guess, and the one after goes to shard 0. So a router is sent on as soon as the new owner
// takes writes, and asks nobody else for it.
//
// Invariant: the epoch of a bucket never decreases (that of a guess may be taken back). Threads: owned by one; not
// shared. I/O: none.
#pragma once

#include <optional>
#include <unordered_map>
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
  std::vector<BucketOwner> owners_;                  // kBucketCount, or empty
  std::unordered_map<Bucket, BucketOwner> guesses_;  // newer than the owners; of buckets that were fenced when asked
};

}  // namespace tidemark::shardrouter
