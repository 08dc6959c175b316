#include "cacheserver/freshness/moved_buckets.h"

#include <algorithm>

namespace tidemark::cacheserver {

bool MovedBuckets::note(Bucket bucket, BucketEpoch epoch, ShardId shard, Lsn lsn) {
  if (bucket >= kBucketCount) return false;
  std::vector<Record>& records = records_[bucket];
  const bool is_known = std::ranges::any_of(records, [&](const Record& record) {
    return record.shard == shard && record.epoch >= epoch && record.lsn <= lsn;
  });
  if (is_known) return false;
  if (std::ranges::count(records, shard, &Record::shard) == kRecordsMax) merge_two(records, shard);
  records.push_back({shard, epoch, lsn});
  known_.set(bucket);
  return true;
}

// The later of a shard's first two records takes the earlier one's place in the log: it is forgotten later than need
// be.
void MovedBuckets::merge_two(std::vector<Record>& records, ShardId shard) {
  const auto earlier = std::ranges::find(records, shard, &Record::shard);
  const auto later = std::ranges::find(earlier + 1, records.end(), shard, &Record::shard);
  later->epoch = std::max(later->epoch, earlier->epoch);
  later->lsn = std::min(later->lsn, earlier->lsn);
  records.erase(earlier);
}

bool MovedBuckets::is_over_by_records(Bucket bucket, const BucketOwner& owner) const {
  auto found = records_.find(bucket);
  return found != records_.end() && std::ranges::any_of(found->second, [&](const Record& record) {
           return record.shard == owner.shard && record.epoch > owner.epoch;
         });
}

template <typename Goes>
void MovedBuckets::forget_if(Goes goes) {
  for (auto at = records_.begin(); at != records_.end();) {
    std::erase_if(at->second, [&](const Record& record) { return goes(at->first, record); });
    if (at->second.empty()) {
      known_.reset(at->first);
      at = records_.erase(at);
    } else {
      ++at;
    }
  }
}

void MovedBuckets::adopt(const Topology& topology) {
  if (records_.empty()) return;
  forget_if([&](Bucket bucket, const Record& record) {
    return bucket < topology.buckets.size() && topology.buckets[bucket].epoch >= record.epoch;
  });
}

void MovedBuckets::forget_shard(ShardId shard) {
  forget_if([&](Bucket, const Record& record) { return record.shard == shard; });
}

void MovedBuckets::forget_beyond(ShardId shard, Lsn switch_lsn) {
  forget_if([&](Bucket, const Record& record) { return record.shard == shard && record.lsn > switch_lsn; });
}

}  // namespace tidemark::cacheserver
