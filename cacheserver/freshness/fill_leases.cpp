#include "cacheserver/freshness/fill_leases.h"

#include <algorithm>

namespace tidemark::cacheserver {

FillLeases::FillLeases(FreshnessIdentity identity, Options options) : identity_(identity), options_(options) {}

bool FillLeases::is_alive(const Node& node, Instant now) const {
  if (now - node.granted >= options_.life) return false;
  auto killed = killed_up_to_.find(node.shard);
  return killed == killed_up_to_.end() || node.counter > killed->second;
}

FillLeases::Grant FillLeases::grant(uint64_t key_hash, ShardId shard, Instant now) {
  uint32_t at = index_.find(key_hash);
  if (at != kNone) {
    const Node& node = nodes_[at];
    if (is_alive(node, now)) {
      Duration held = now - node.granted;
      Duration retry = std::clamp(held, options_.busy_retry_min, options_.busy_retry_max);
      return {std::nullopt, std::min(retry, options_.life - held)};
    }
    remove(at);
  }
  if (used_ >= options_.leases_max) {
    if (is_alive(nodes_[oldest_], now)) ++ended_early_;
    remove(oldest_);
  }
  at = free_;
  if (at == kNone) {
    at = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    free_ = nodes_[at].newer;
  }
  nodes_[at] = {key_hash, ++counter_, now, shard, kNone, newest_};
  (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = at;
  newest_ = at;
  ++used_;
  index_.set(key_hash, at);
  return {LeaseId{identity_, counter_}, Duration{}};
}

bool FillLeases::is_current(uint64_t key_hash, const LeaseId& lease, Instant now) const {
  uint32_t at = index_.find(key_hash);
  if (at == kNone || lease.granted_by != identity_) return false;
  return nodes_[at].counter == lease.counter && is_alive(nodes_[at], now);
}

bool FillLeases::is_leased(uint64_t key_hash, Instant now) const {
  uint32_t at = index_.find(key_hash);
  return at != kNone && is_alive(nodes_[at], now);
}

bool FillLeases::kill(uint64_t key_hash) {
  uint32_t at = index_.find(key_hash);
  if (at == kNone) return false;
  remove(at);
  return true;
}

void FillLeases::kill_shard(ShardId shard) {
  killed_up_to_[shard] = counter_;
}

void FillLeases::set_identity(FreshnessIdentity identity) {
  if (identity == identity_) return;
  identity_ = identity;
  // A lease outside the table is refused, and one inside it must not make others wait for a fill that will be refused.
  nodes_.clear();
  index_ = HashIndex();
  free_ = oldest_ = newest_ = kNone;
  used_ = 0;
}

void FillLeases::expire(Instant now, size_t work_max) {
  for (size_t i = 0; i < work_max && oldest_ != kNone && !is_alive(nodes_[oldest_], now); ++i) remove(oldest_);
}

void FillLeases::remove(uint32_t at) {
  Node& node = nodes_[at];
  index_.erase(node.key_hash);
  (node.older == kNone ? oldest_ : nodes_[node.older].newer) = node.newer;
  (node.newer == kNone ? newest_ : nodes_[node.newer].older) = node.older;
  node.newer = free_;
  free_ = at;
  --used_;
}

}  // namespace tidemark::cacheserver
