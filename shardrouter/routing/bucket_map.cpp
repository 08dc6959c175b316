#include "shardrouter/routing/bucket_map.h"

namespace tidemark::shardrouter {

std::optional<BucketOwner> BucketMap::find(Bucket bucket) const {
  if (bucket >= owners_.size()) return std::nullopt;
  const auto guess = guesses_.find(bucket);
  return guess == guesses_.end() ? owners_[bucket] : guess->second;
}

void BucketMap::merge(const Topology& topology) {
  if (topology.buckets.size() != kBucketCount) return;
  if (owners_.empty()) {
    owners_ = topology.buckets;
    return;
  }
  for (size_t i = 0; i < owners_.size(); ++i) learn(static_cast<Bucket>(i), topology.buckets[i]);
}

void BucketMap::learn(Bucket bucket, BucketOwner owner) {
  if (bucket >= owners_.size() || owner.epoch < owners_[bucket].epoch) return;
  owners_[bucket] = owner;
  const auto guess = guesses_.find(bucket);
  if (guess != guesses_.end() && guess->second.epoch <= owner.epoch) guesses_.erase(guess);
}

BucketMap::Heal BucketMap::heal(Bucket bucket, ShardId refused_by, BucketEpoch sent_epoch,
                                const BucketRefusal& refusal) {
  if (bucket >= owners_.size()) return Heal::kRefresh;
  const auto guess = guesses_.find(bucket);
  if (guess != guesses_.end() && guess->second.shard == refused_by && guess->second.epoch <= sent_epoch)
    guesses_.erase(guess);
  const auto known = find(bucket);
  // Another answer has healed the map since this write was sent.
  if (known->epoch > sent_epoch && !(known->shard == refused_by && refusal.epoch > known->epoch)) return Heal::kRetry;
  switch (refusal.state) {
    case BucketState::kOwned:
      if (refusal.epoch <= sent_epoch) return Heal::kRefresh;  // a shard that is behind us: its fail-over lost a move
      learn(bucket, {refused_by, refusal.epoch});
      return Heal::kRetry;
    case BucketState::kMoved:
      if (!refusal.forward || refusal.epoch < known->epoch) return Heal::kRefresh;
      learn(bucket, {*refusal.forward, refusal.epoch});
      return Heal::kRetry;
    case BucketState::kFenced:
      if (refusal.forward && *refusal.forward != refused_by && refusal.epoch + 1 > known->epoch)
        guesses_[bucket] = {*refusal.forward, refusal.epoch + 1};
      return Heal::kWait;
    case BucketState::kImporting:
      return Heal::kWait;
    case BucketState::kAborted:
    case BucketState::kAbsent:
      return Heal::kRefresh;
  }
  return Heal::kRefresh;
}

}  // namespace tidemark::shardrouter
