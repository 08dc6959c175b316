#include "cacheserver/freshness/freshness_state.h"

#include <algorithm>

#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {
namespace {

// Records looked at per call: a fence comes 20 times a second, a batch drops what it brought twice over.
constexpr size_t kCollectPerFence = 1024;
constexpr size_t kCollectPerBatch = 16;
constexpr size_t kLeasesPerTick = 1024;

}  // namespace

FreshnessState::FreshnessState(FreshnessIdentity identity, FreshnessLimits limits, const Ingredients& ingredients)
    : limits_(limits),
      ingredients_(ingredients),
      tombstones_({.bytes_max = limits.tombstone_bytes_max, .retention = limits.retention}),
      leases_(identity, {.life = limits.lease_life, .leases_max = limits.leases_max}) {}

void FreshnessState::set_topology(uint32_t group_epoch, uint32_t slots_version, bool gained_slots) {
  leases_.set_identity({leases_.identity().incarnation, group_epoch, slots_version});
  if (!gained_slots) return;
  for (auto& [id, shard] : shards_) {
    shard.leave();
    leases_.kill_shard(id);
  }
}

ShardTide* FreshnessState::tide(ShardId shard) {
  auto found = shards_.find(shard);
  return found == shards_.end() ? nullptr : &found->second;
}

const ShardTide* FreshnessState::find_shard(ShardId shard) const {
  auto found = shards_.find(shard);
  return found == shards_.end() ? nullptr : &found->second;
}

bool FreshnessState::is_valid(const EntryClaims& claims, const BucketOwner& owner) const {
  if (claims.shard != owner.shard || claims.bucket_epoch != owner.epoch) return false;
  const ShardTide* shard = find_shard(owner.shard);
  return shard != nullptr && shard->is_joined() && claims.db_epoch == shard->db_epoch() &&
         claims.lo >= shard->refloor();
}

std::optional<Duration> FreshnessState::bound(ShardId shard, Instant now) const {
  const ShardTide* found = find_shard(shard);
  return found == nullptr ? std::nullopt : found->bound(now);
}

// A valid entry has every commit that was applied here (G1), whatever it proved when it was filled.
bool FreshnessState::contains_after(const EntryClaims& claims, const After& after) const {
  const ShardTide* shard = find_shard(claims.shard);
  if (shard == nullptr || shard->db_epoch() != after.db_epoch || claims.db_epoch != after.db_epoch) return false;
  return shard->complete_through() >= after.lsn || claims.lo >= after.lsn;
}

FreshnessState::Miss FreshnessState::on_miss(uint64_t key_hash, const BucketOwner& owner, Instant now) {
  const ShardTide* shard = find_shard(owner.shard);
  if (shard == nullptr || !shard->is_joined()) return {};
  FillLeases::Grant grant = leases_.grant(key_hash, owner.shard, now);
  Miss miss;
  if (!grant.lease) {
    miss.kind = Miss::Kind::kBusy;
    miss.retry_after = grant.retry_after;
    return miss;
  }
  miss.kind = Miss::Kind::kLease;
  miss.lease = grant.lease->to_string();
  miss.need = shard->floor().lsn;
  miss.visible = !shard->floor().snapshot.has_value();
  miss.settled = shard->settled();
  const CommitDomain ours{owner.shard, shard->db_epoch(), owner.epoch};
  for (auto* record = tombstones_.first(key_hash); record != nullptr; record = tombstones_.next(*record)) {
    bool is_ended = record->domain.shard == ours.shard && record->domain.db_epoch < ours.db_epoch;
    if (is_ended) continue;
    Lsn greatest = record->greatest_lsn();
    miss.visible = miss.visible || record->domain != ours || greatest > shard->settled();
    if (record->domain == ours) miss.need = std::max(miss.need, greatest);
  }
  return miss;
}

FreshnessState::Fill FreshnessState::on_fill(uint64_t key_hash, std::string_view lease, const Proof& proof,
                                             const BucketOwner& owner, const EntryClaims* existing, Instant now) {
  Fill fill;
  const ShardTide* shard = find_shard(owner.shard);
  auto id = LeaseId::parse(lease);
  bool is_current = id && leases_.is_current(key_hash, *id, now);
  if (shard != nullptr && shard->is_joined()) {
    fill.db_epoch = shard->db_epoch();
    fill.lo = shard->lo_of(proof);
    bool has_valid = existing != nullptr && is_valid(*existing, owner);
    fill.judgement = judge_fill({.lease_is_current = is_current,
                                 .proof = proof,
                                 .owner = owner,
                                 .db_epoch = shard->db_epoch(),
                                 .tombstones = tombstones_,
                                 .key_hash = key_hash,
                                 .floor = shard->floor(),
                                 .proof_lo = fill.lo,
                                 .existing_lo = has_valid ? std::optional(existing->lo) : std::nullopt},
                                ingredients_);
  }
  if (is_current) leases_.kill(key_hash);
  ++counters_.fills[static_cast<size_t>(fill.judgement.verdict)];
  return fill;
}

bool FreshnessState::contains(const EntryClaims& claims, const Commit& commit) const {
  if (claims.shard != commit.shard || claims.db_epoch != commit.db_epoch) return false;
  return claims.lo >= commit.end_lsn || (claims.proof == ProofKind::kSnapshot && commit.xid < claims.xmin);
}

bool FreshnessState::invalidate(uint64_t key_hash, const std::optional<BucketOwner>& owner, const Commit& commit,
                                const EntryClaims* existing, Instant now) {
  ++counters_.invalidated_keys;
  leases_.kill(key_hash);
  const ShardTide* shard = find_shard(commit.shard);
  Lsn covered = shard != nullptr && shard->db_epoch() == commit.db_epoch ? shard->collectable() : Lsn{};
  BucketEpoch bucket_epoch = owner && owner->shard == commit.shard ? owner->epoch : 0;
  auto overflow = tombstones_.add(key_hash, {commit.shard, commit.db_epoch, bucket_epoch}, {commit.end_lsn, commit.xid},
                                  commit.is_hint, covered, now);
  if (overflow) {
    if (ShardTide* of = tide(overflow->shard)) of->raise_floor(overflow->db_epoch, overflow->lsn);
  }
  if (existing == nullptr) return false;
  bool must_drop = !contains(*existing, commit);
  ++(must_drop ? counters_.invalidated_entries : counters_.kept_entries);
  return must_drop;
}

void FreshnessState::forget_all_leases() {
  for (auto& [id, shard] : shards_) leases_.kill_shard(id);
}

bool FreshnessState::has_room_for_shard(ShardId shard) const {
  return shards_.contains(shard) || shards_.size() < limits_.shards_max;
}

bool FreshnessState::fence_all(ShardId shard, DbEpoch db_epoch, Lsn lsn) {
  auto [found, is_new] = shards_.try_emplace(shard, ShardTide::Options{.retention = limits_.retention}, ingredients_);
  if (!found->second.join(db_epoch, lsn)) return false;
  leases_.kill_shard(shard);
  ++counters_.joins;
  return true;
}

TideAdmission FreshnessState::admit(ShardId shard, const BatchHead& head) {
  const ShardTide* found = find_shard(shard);
  TideAdmission admission = found == nullptr ? TideAdmission::kGap : found->admit(head);
  ++(admission == TideAdmission::kApplied ? counters_.batches : counters_.batch_gaps);
  return admission;
}

void FreshnessState::advance(ShardId shard, const BatchHead& head, size_t keys, Instant now) {
  ShardTide* found = tide(shard);
  if (found == nullptr) return;
  found->advance(head);
  tombstones_.collect(shard, found->db_epoch(), found->collectable(), now, 2 * keys + kCollectPerBatch);
}

TideAdmission FreshnessState::fence(ShardId shard, const FenceMessage& message, Instant now) {
  ShardTide* found = tide(shard);
  TideAdmission admission = found == nullptr ? TideAdmission::kGap : found->fence(message, now);
  ++(admission == TideAdmission::kApplied ? counters_.fences : counters_.fence_gaps);
  if (admission == TideAdmission::kApplied) {
    tombstones_.collect(shard, found->db_epoch(), found->collectable(), now, kCollectPerFence);
  }
  return admission;
}

std::vector<ShardId> FreshnessState::joined_shards() const {
  std::vector<ShardId> joined;
  for (const auto& [id, shard] : shards_) {
    if (shard.is_joined()) joined.push_back(id);
  }
  return joined;
}

void FreshnessState::record_lag(int64_t lag_us, bool replayed) {
  (replayed ? lag_replayed_us_ : lag_us_).record(lag_us);
}

// At most 2^62 + 1, so that a stamp stays a positive number of 64 bits for centuries of uptime; never 0 (= none).
uint64_t FreshnessState::stamp_origin() const {
  return (leases_.identity().incarnation >> 2) + 1;
}

uint64_t FreshnessState::stamp(Instant now) const {
  return stamp_origin() + static_cast<uint64_t>(now.time_since_epoch().count());
}

std::optional<Instant> FreshnessState::instant_of_stamp(uint64_t stamp, Instant now) const {
  if (stamp < stamp_origin()) return std::nullopt;
  uint64_t micros = stamp - stamp_origin();
  if (micros > static_cast<uint64_t>(now.time_since_epoch().count())) return std::nullopt;
  return Instant(Duration(static_cast<int64_t>(micros)));
}

void FreshnessState::tick(Instant now) {
  leases_.expire(now, kLeasesPerTick);
}

FreshnessState::Gauges FreshnessState::gauges() const {
  return {.tombstones = tombstones_.size(),
          .tombstone_hints = tombstones_.hints(),
          .tombstone_bytes = tombstones_.bytes(),
          .tombstone_bytes_max = limits_.tombstone_bytes_max,
          .tombstone_overflows = tombstones_.overflows(),
          .leases_ended_early = leases_.ended_early(),
          .leases = leases_.size(),
          .leases_max = limits_.leases_max,
          .shards = shards_.size()};
}

}  // namespace tidemark::cacheserver
