#include "cacheserver/freshness/freshness_state.h"

#include <algorithm>
#include <utility>

#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {
namespace {

// Records looked at per call: a fence comes 20 times a second, a batch drops what it brought twice over.
constexpr size_t kCollectPerFence = 1024;
constexpr size_t kCollectPerBatch = 16;
constexpr size_t kLeasesPerTick = 1024;
constexpr size_t kStagedPerTick = 1024;

}  // namespace

FreshnessState::FreshnessState(FreshnessIdentity identity, FreshnessLimits limits, const Ingredients& ingredients)
    : limits_(limits),
      ingredients_(ingredients),
      tombstones_({.bytes_max = limits.tombstone_bytes_max, .retention = limits.retention}),
      leases_(identity, {.life = limits.lease_life, .leases_max = limits.leases_max}),
      staged_(
          {.bytes_max = limits.staged_bytes_max, .values_max = limits.staged_values_max, .life = limits.staged_life}) {
#ifdef TIDEMARK_TEST_NO_PROOF_RULE  // of the end-to-end tests: a staged value is known by its xid alone (fill_rule.h)
  ingredients_.stage_settled = ingredients_.stage_id = ingredients_.stage_epoch = false;
  ingredients_.epoch_drops_lost = false;
#endif
}

void FreshnessState::set_topology(uint32_t group_epoch, uint32_t slots_version, bool gained_slots) {
  const FreshnessIdentity next{leases_.identity().incarnation, group_epoch, slots_version};
  if (next != leases_.identity() || gained_slots) staged_.drop_all();
  leases_.set_identity(next);
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
  return shard != nullptr && shard->stands(claims.db_epoch, claims.lo, claims.hi);
}

FreshnessState::AfterVerdict FreshnessState::translate(ShardId shard, After& after) const {
  const ShardTide* found = find_shard(shard);
  if (found == nullptr || !found->is_joined() || found->db_epoch() == after.db_epoch) return AfterVerdict::kComparable;
  const auto switch_lsn = found->switch_of(after.db_epoch);
  if (!switch_lsn) return AfterVerdict::kOtherEpoch;
  if (after.lsn > *switch_lsn) return AfterVerdict::kLost;
  after.db_epoch = found->db_epoch();
  return AfterVerdict::kComparable;
}

std::optional<Duration> FreshnessState::bound(ShardId shard, Instant now) const {
  const ShardTide* found = find_shard(shard);
  return found == nullptr ? std::nullopt : found->bound(now);
}

// A valid entry has every commit that was applied here (G1), whatever it proved when it was filled.
bool FreshnessState::contains_after(const EntryClaims& claims, const After& after) const {
  const ShardTide* shard = find_shard(claims.shard);
  if (shard == nullptr || shard->db_epoch() != after.db_epoch) return false;
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
  if (fill.judgement.verdict == FillVerdict::kAccepted) drop_contained(key_hash);
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
  BucketEpoch bucket_epoch = owner && owner->shard == commit.shard ? owner->epoch : 0;
  const CommitDomain domain{commit.shard, commit.db_epoch, bucket_epoch};
  // The stream was faster: what is here, or is being filled, was judged with this commit known.
  if (commit.is_hint && tombstones_.is_confirmed(key_hash, domain, commit.xid)) return false;
  leases_.kill(key_hash);
  const ShardTide* shard = find_shard(commit.shard);
  Lsn covered = shard != nullptr && shard->db_epoch() == commit.db_epoch ? shard->collectable() : Lsn{};
  auto overflow =
      tombstones_.add(key_hash, domain, {commit.end_lsn, commit.xid}, commit.is_hint, covered, now, commit.stage);
  if (overflow) {
    if (ShardTide* of = tide(overflow->shard)) of->raise_floor(overflow->db_epoch, overflow->lsn);
  }
  rejudge_staged(key_hash);
  if (existing == nullptr) return false;
  bool must_drop = !contains(*existing, commit);
  ++(must_drop ? counters_.invalidated_entries : counters_.kept_entries);
  return must_drop;
}

void FreshnessState::forget_key(uint64_t key_hash) {
  leases_.kill(key_hash);
  staged_.drop_key(key_hash);
}

void FreshnessState::forget_all() {
  for (auto& [id, shard] : shards_) leases_.kill_shard(id);
  staged_.drop_all();
}

// ---- staged write-through

FreshnessState::StageAnswer FreshnessState::stage(StagedValue value, Instant now) {
  const ShardTide* shard = find_shard(value.domain.shard);
  if (shard == nullptr || !shard->is_joined()) return StageAnswer::kNotJoined;  // a FENCEALL would end it anyhow
  const uint32_t place = staged_.park(std::move(value), now);
  if (place == StagedValues::kNone) return StageAnswer::kFull;
  const StagedJudgement judgement = judge_parked(staged_.at(place));
  if (judgement.end) staged_.confirm(place, *judgement.end);
  if (!judgement.drop) return StageAnswer::kStaged;
  staged_.drop(place, *judgement.drop);
  return *judgement.drop == StagedEnd::kNoStage ? StageAnswer::kNoStage : StageAnswer::kSuperseded;
}

StagedJudgement FreshnessState::judge_parked(const StagedValue& value) const {
  const ShardTide* shard = find_shard(value.domain.shard);
  if (shard == nullptr || !shard->is_joined()) return {StagedEnd::kForgotten, {}};
  return judge_staged({.value = value,
                       .domain = {value.domain.shard, shard->db_epoch(), value.domain.bucket_epoch},
                       .tombstones = tombstones_,
                       .floor = shard->floor(),
                       .complete_through = shard->complete_through(),
                       .existing_lo = std::nullopt},
                      ingredients_);
}

// The key's tombstones have changed.
void FreshnessState::rejudge_staged(uint64_t key_hash) {
  for (uint32_t place = staged_.first(key_hash); place != StagedValues::kNone;) {
    const uint32_t here = std::exchange(place, staged_.next(place));
    const StagedJudgement judgement = judge_parked(staged_.at(here));
    if (judgement.drop)
      staged_.drop(here, *judgement.drop);
    else if (judgement.end && !staged_.at(here).end)
      staged_.confirm(here, *judgement.end);
  }
}

// A fill that was accepted covers every tombstone of the key, so it contains each of these commits: it may contain
// later ones too, and the older row must not come back over it.
void FreshnessState::drop_contained(uint64_t key_hash) {
  for (uint32_t place = staged_.first(key_hash); place != StagedValues::kNone;) {
    const uint32_t here = std::exchange(place, staged_.next(place));
    const StagedValue& value = staged_.at(here);
    if (value.end || tombstones_.knows(key_hash, value.domain, value.xid)) staged_.drop(here, StagedEnd::kContained);
  }
}

std::optional<StagedValue> FreshnessState::take_settled(ShardId shard) {
  const ShardTide* found = find_shard(shard);
  if (found == nullptr || !found->is_joined()) return std::nullopt;
  return staged_.take_settled(shard, ingredients_.stage_settled ? found->settled() : Lsn{UINT64_MAX});
}

std::optional<EntryClaims> FreshnessState::on_install(const StagedValue& value, const std::optional<BucketOwner>& owner,
                                                      const EntryClaims* existing) {
  const ShardTide* shard = find_shard(value.domain.shard);
  std::optional<StagedEnd> drop;
  if (!value.end || !owner || owner->shard != value.domain.shard || shard == nullptr || !shard->is_joined()) {
    drop = StagedEnd::kForgotten;
  } else {
    const bool has_valid = existing != nullptr && is_valid(*existing, *owner);
    drop = judge_staged({.value = value,
                         .domain = {owner->shard, shard->db_epoch(), owner->epoch},
                         .tombstones = tombstones_,
                         .floor = shard->floor(),
                         .complete_through = shard->complete_through(),
                         .existing_lo = has_valid ? std::optional(existing->lo) : std::nullopt},
                        ingredients_)
               .drop;
    const Commit commit{value.domain.shard, value.domain.db_epoch, value.xid, *value.end};
    if (!drop && has_valid && contains(*existing, commit)) drop = StagedEnd::kContained;
  }
  staged_.count(drop.value_or(StagedEnd::kInstalled));
  if (drop) return std::nullopt;
  EntryClaims claims;
  claims.shard = owner->shard;
  claims.db_epoch = shard->db_epoch();
  claims.bucket_epoch = owner->epoch;
  claims.proof = ProofKind::kStream;
  claims.is_absent = value.is_absent;
  claims.lo = claims.hi = *value.end;
  return claims;
}

bool FreshnessState::has_room_for_shard(ShardId shard) const {
  return shards_.contains(shard) || shards_.size() < limits_.shards_max;
}

TideAdmission FreshnessState::succeed(ShardId shard, DbEpoch prev, DbEpoch db_epoch, Lsn switch_lsn) {
  ShardTide* found = tide(shard);
  const DbEpoch before = found == nullptr ? 0 : found->db_epoch();
  const TideAdmission admission = found == nullptr ? TideAdmission::kGap : found->succeed(prev, db_epoch, switch_lsn);
  if (admission != TideAdmission::kApplied) {
    ++counters_.successions_refused;
    return admission;
  }
  if (before == db_epoch) return admission;  // told twice
  leases_.kill_shard(shard);
  if (ingredients_.stage_epoch) staged_.drop_shard(shard);
  moved_.forget_beyond(shard, switch_lsn);
  ++counters_.successions;
  return admission;
}

bool FreshnessState::fence_all(ShardId shard, DbEpoch db_epoch, Lsn lsn) {
  auto [found, is_new] = shards_.try_emplace(shard, ShardTide::Options{.retention = limits_.retention}, ingredients_);
  if (!found->second.join(db_epoch, lsn)) return false;
  leases_.kill_shard(shard);
  if (ingredients_.stage_epoch) staged_.drop_shard(shard);
  moved_.forget_shard(shard);
  ++counters_.joins;
  return true;
}

TideAdmission FreshnessState::admit(ShardId shard, const BatchHead& head) {
  const ShardTide* found = find_shard(shard);
  TideAdmission admission = found == nullptr ? TideAdmission::kGap : found->admit(head);
  ++(admission == TideAdmission::kApplied ? counters_.batches : counters_.batch_gaps);
  return admission;
}

void FreshnessState::bucket_moved(Bucket bucket, BucketEpoch epoch, ShardId shard, Lsn lsn) {
  counters_.buckets_moved += moved_.note(bucket, epoch, shard, lsn);
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
  staged_.expire(now, kStagedPerTick);
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
          .shards = shards_.size(),
          .moved_buckets = moved_.buckets(),
          .staged = staged_.size(),
          .staged_max = limits_.staged_values_max,
          .staged_bytes = staged_.bytes(),
          .staged_bytes_max = limits_.staged_bytes_max,
          .staged_parked = staged_.parked(),
          .staged_ended = staged_.ended()};
}

}  // namespace tidemark::cacheserver
