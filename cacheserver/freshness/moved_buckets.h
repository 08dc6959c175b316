// Which ownerships of buckets have ended, as the shards' own logs tell it (MOVED): often before the topology does.
//
// A shard whose log shows epoch b of a bucket at LSN l owns it no more under a smaller one: epochs of a bucket only
// grow. (What another shard's log shows is not asked: an attempt that the owner has forgotten in a crash may have left
// it.) The fence of a move stands in the log of the shard that gives the bucket away, before anybody else owns it; so a
// worker that has passed it knows in time that this shard's tide mark says nothing more about the bucket.
//
//   bucket 7: shard 0 owns it, epoch 4     MOVED of shard 0: epoch 5 at 0/900      is_over(7, {0, 4}) = true
//   the topology says {1, 6}               is_over(7, {1, 6}) = false, and the record goes: adopt()
//
// Invariants: what is_over() was told stays over until its shard rejoins (FENCEALL: floor and mark are beyond the
// fence) or its log is taken back to before it (EPOCH). Threads: one worker's. I/O: none. Limits: kRecordsMax records
// of a bucket and shard; beyond that two are made one that is over for longer.
#pragma once

#include <bitset>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include "base/proof/proof.h"
#include "base/slot.h"
#include "base/topology/topology.h"

namespace tidemark::cacheserver {

class MovedBuckets {
 public:
  static constexpr size_t kRecordsMax = 8;  // of one bucket and shard

  // False: nothing new.
  bool note(Bucket bucket, BucketEpoch epoch, ShardId shard, Lsn lsn);
  bool is_over(Bucket bucket, const BucketOwner& owner) const {
    return known_.test(bucket) && is_over_by_records(bucket, owner);
  }

  void adopt(const Topology& topology);               // what the topology knows as well is forgotten
  void forget_shard(ShardId shard);                   // it rejoined
  void forget_beyond(ShardId shard, Lsn switch_lsn);  // what its log said beyond is lost

  size_t buckets() const { return records_.size(); }

 private:
  struct Record {
    ShardId shard = 0;
    BucketEpoch epoch = 0;
    Lsn lsn;
  };
  template <typename Goes>
  void forget_if(Goes goes);
  bool is_over_by_records(Bucket bucket, const BucketOwner& owner) const;
  static void merge_two(std::vector<Record>& records, ShardId shard);

  std::bitset<kBucketCount> known_;  // keys of records_: every hit asks
  std::unordered_map<Bucket, std::vector<Record>> records_;
};

}  // namespace tidemark::cacheserver
