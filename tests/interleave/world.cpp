#include "tests/interleave/world.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::interleave {

using namespace cacheserver;

namespace {

uint32_t bit(size_t commit) {
  return uint32_t{1} << commit;
}

}  // namespace

World::World(size_t commits, const Ingredients& with, FreshnessLimits within)
    : ingredients(with), limits(within), node({.incarnation = 1, .group_epoch = 1, .slots_version = 1}, within, with) {
  for (size_t i = 0; i < commits; ++i) {
    transactions.push_back({.xid = 725 + i, .end_lsn = Lsn{0x200 + 0x100 * i}});
  }
  join(1, kBase);
  take_fence(0);
  apply_fence(0);
}

// ---- the database

PgSnapshot World::snapshot() const {
  PgSnapshot snapshot{725, 725, {}};
  for (const Transaction& t : transactions) {
    if (t.is_visible) snapshot.xmax = std::max(snapshot.xmax, t.xid + 1);
  }
  snapshot.xmin = snapshot.xmax;
  for (const Transaction& t : transactions) {
    if (t.is_visible || t.xid >= snapshot.xmax) continue;
    snapshot.xip.push_back(t.xid);
    snapshot.xmin = std::min(snapshot.xmin, t.xid);
  }
  std::ranges::sort(snapshot.xip);
  return snapshot;
}

uint32_t World::visible_commits() const {
  uint32_t value = 0;
  for (size_t i = 0; i < transactions.size(); ++i) value |= transactions[i].is_visible ? bit(i) : 0;
  return value;
}

uint32_t World::replayed_commits() const {
  uint32_t value = 0;
  for (size_t i = 0; i < transactions.size(); ++i) value |= transactions[i].is_replayed ? bit(i) : 0;
  return value;
}

// ---- the node

void World::restart_node() {
  ++incarnation;
  node = FreshnessState({.incarnation = incarnation, .group_epoch = 1, .slots_version = 1}, limits, ingredients);
  entry.reset();
  drop_lease();
}

void World::join(DbEpoch db_epoch, Lsn lsn) {
  if (node.fence_all(owner.shard, db_epoch, lsn)) drop_lease();
}

void World::succeed(DbEpoch db_epoch, Lsn at) {
  switch_lsn = at;
  if (node.succeed(owner.shard, db_epoch - 1, db_epoch, at) == TideAdmission::kApplied) drop_lease();
}

bool World::is_of(const Transaction& t, DbEpoch db_epoch) const {
  return t.db_epoch == db_epoch || (t.db_epoch + 1 == db_epoch && switch_lsn && t.end_lsn <= *switch_lsn);
}

void World::invalidate(size_t commit, Lsn end_lsn, bool is_hint) {
  const Transaction& t = transactions[commit];
  FreshnessState::Commit what{t.shard, t.db_epoch, t.xid, end_lsn, is_hint};
  if (!is_hint) what.stage = t.stage;
  if (node.invalidate(kKeyHash, owner, what, entry ? &entry->claims : nullptr, now)) entry.reset();
  applied |= bit(commit);
  // A writer's word for what the stream has brought already is no news.
  if (!is_hint || !node.is_leased(kKeyHash, now)) drop_lease();
}

bool World::apply(const BatchHead& head, const std::vector<size_t>& commits) {
  ShardId shard = commits.empty() ? owner.shard : transactions[commits.front()].shard;
  if (node.admit(shard, head) != TideAdmission::kApplied) return false;
  for (size_t commit : commits) {
    if (transactions[commit].touches_key) invalidate(commit, transactions[commit].end_lsn, false);
  }
  node.advance(shard, head, commits.size(), now);
  install_settled();
  return true;
}

void World::inval(size_t commit) {
  const ShardTide* tide = node.find_shard(transactions[commit].shard);
  if (tide == nullptr || tide->db_epoch() != transactions[commit].db_epoch) return;
  invalidate(commit, Lsn{transactions[commit].end_lsn.value + 0x80}, true);
}

void World::invalidate_other_keys(size_t count) {
  Lsn end_lsn = invalidators[0].position;
  for (size_t i = 0; i < count; ++i) {
    ++end_lsn.value;
    node.invalidate(kKeyHash + 1 + i, owner, {owner.shard, 1, 10'000 + i, end_lsn, false}, nullptr, now);
  }
  node.advance(owner.shard, {.db_epoch = 1, .prev_lsn = {}, .last_lsn = end_lsn}, count, now);
  invalidators[0].position = end_lsn;
}

// ---- an invalidator

void World::send_next_commit(size_t invalidator) {
  post_next_commit(invalidator);
  deliver(invalidator);
}

FenceMessage World::make_fence(size_t invalidator) const {
  const Invalidator& from = invalidators[invalidator];
  FenceMessage fence;
  fence.db_epoch = 1;
  fence.prev_lsn = fence.lsn = from.position;
  fence.settled = kBase;
  fence.snapshot = snapshot();
  size_t settled = 0;
  while (settled < from.decoded && fence.snapshot->sees(transactions[settled].xid)) ++settled;
  if (settled > 0) fence.settled = transactions[settled - 1].end_lsn;
  if (settled == from.decoded) fence.settled = from.position;  // and so is what other keys had up to here
  return fence;
}

void World::take_fence(size_t invalidator) {
  invalidators[invalidator].fence = make_fence(invalidator);
}

void World::apply_fence(size_t invalidator) {
  auto& fence = invalidators[invalidator].fence;
  if (fence) node.fence(owner.shard, *fence, now);
  fence.reset();
  install_settled();
}

void World::post_next_commit(size_t invalidator) {
  Invalidator& from = invalidators[invalidator];
  if (from.decoded == transactions.size() || !transactions[from.decoded].is_recorded) return;
  const Transaction& t = transactions[from.decoded];
  Message message;
  message.head = {.db_epoch = t.db_epoch, .prev_lsn = from.position, .last_lsn = t.end_lsn};
  message.commits = {from.decoded};
  from.link.push_back(message);
  from.position = t.end_lsn;
  ++from.decoded;
}

void World::post_fence(size_t invalidator) {
  Message message;
  message.is_fence = true;
  message.fence = make_fence(invalidator);
  invalidators[invalidator].link.push_back(message);
}

void World::deliver(size_t invalidator) {
  Invalidator& to = invalidators[invalidator];
  if (to.link.empty()) return;
  Message message = to.link.front();
  to.link.pop_front();
  bool is_applied = message.is_fence ? node.fence(owner.shard, message.fence, now) == TideAdmission::kApplied
                                     : apply(message.head, message.commits);
  if (is_applied) return install_settled();
  // GAP: the invalidator starts again from the node's position; what is on its way is refused likewise.
  const ShardTide* tide = node.find_shard(owner.shard);
  if (tide == nullptr || !tide->is_joined()) return;
  to.position = tide->complete_through();
  to.decoded = 0;
  while (to.decoded < transactions.size() && transactions[to.decoded].end_lsn <= to.position) ++to.decoded;
}

void World::lose(size_t invalidator) {
  invalidators[invalidator].link.clear();
}

// ---- the hand-over of the bucket

void World::adopt_topology() {
  owner = {1, 3};
  Topology topology;
  topology.buckets.resize(kBucketCount);
  topology.buckets[kBucket] = owner;
  node.adopt_owners(topology);
}

void World::take_sample(ShardId shard) {
  Sample sample{shard == 0 ? kBase : Lsn{0x80000}, 0};
  if (shard == 0) sample.end = std::max(sample.end, hand_over.fence_end);
  for (size_t i = 0; i < transactions.size(); ++i) {
    if (!transactions[i].is_recorded) continue;
    sample.recorded |= bit(i);
    if (transactions[i].shard == shard) sample.end = std::max(sample.end, transactions[i].end_lsn);
  }
  samples[shard] = sample;
}

void World::apply_up_to_sample(ShardId shard) {
  const Lsn from = node.find_shard(shard)->complete_through();
  const BatchHead head{.db_epoch = 1, .prev_lsn = from, .last_lsn = std::max(from, samples[shard]->end)};
  if (node.admit(shard, head) != TideAdmission::kApplied) return;
  for (size_t i = 0; i < transactions.size(); ++i) {
    const Transaction& t = transactions[i];
    if (t.shard == shard && t.is_recorded && t.end_lsn > from && t.end_lsn <= head.last_lsn)
      invalidate(i, t.end_lsn, false);
  }
  const Lsn fence = hand_over.fence_end;
  if (shard == 0 && fence > from && fence <= head.last_lsn) node.bucket_moved(kBucket, 2, 0, fence);
  node.advance(shard, head, 1, now);
}

bool World::may_echo(ShardId shard) const {
  return samples[shard] && node.find_shard(shard)->complete_through() >= samples[shard]->end;
}

// ---- a loader

void World::getl(size_t loader) {
  if (has_moved()) return;                                   // BYPASS MOVED
  if (entry && node.is_valid(entry->claims, owner)) return;  // a hit
  auto miss = node.on_miss(kKeyHash, owner, now);
  if (miss.kind != FreshnessState::Miss::Kind::kLease) return;
  loaders[loader].lease = current_lease = miss.lease;
  leased_at = now;
}

void World::read_primary(size_t loader) {
  Loader& by = loaders[loader];
  by.value = visible_commits();
  Lsn insert = kBase;
  for (const Transaction& t : transactions) insert = t.is_recorded ? std::max(insert, t.end_lsn) : insert;
  by.proof = Proof{Proof::Kind::kSnapshot, 0, 1, 1, insert, snapshot()};
}

void World::read_standby_position(size_t loader) {
  loaders[loader].proof = Proof{Proof::Kind::kReplica, 0, 1, 1, standby_position, {}};
}

void World::read_standby_data(size_t loader) {
  loaders[loader].value = replayed_commits();
}

void World::setv(size_t loader) {
  Loader& by = loaders[loader];
  if (by.lease.empty() || !by.value) return;
  bool had_valid = entry && node.is_valid(entry->claims, owner);
  const BucketOwner judged{owner.shard, has_moved() ? 0 : owner.epoch};
  auto fill = node.on_fill(kKeyHash, by.lease, by.proof, judged, entry ? &entry->claims : nullptr, now);
  bool lease_is_current = by.lease == current_lease && now - leased_at < limits.lease_life;
  if (by.lease == current_lease) drop_lease();
  if (fill.judgement.verdict != FillVerdict::kAccepted) return;
  ++fills_accepted;
  if (!lease_is_current && leases_matter) broken = "L1: a fill was accepted under a lease that is not the current one";
  if (had_valid && fill.lo < entry->claims.lo) broken = "M1: a valid entry was replaced by one with a smaller lo";
  bool is_snapshot = by.proof.kind == Proof::Kind::kSnapshot;
  EntryClaims claims;
  claims.shard = owner.shard;
  claims.db_epoch = fill.db_epoch;
  claims.bucket_epoch = owner.epoch;
  claims.proof = is_snapshot ? ProofKind::kSnapshot : ProofKind::kReplica;
  claims.is_absent = *by.value == 0;
  claims.lo = fill.lo;
  claims.hi = is_snapshot ? std::max(by.proof.lsn, fill.lo) : Lsn{UINT64_MAX};
  claims.xmin = is_snapshot ? by.proof.snapshot.xmin : 0;
  entry = Stored{claims, *by.value};
  if (!node.is_valid(claims, owner)) broken = "V1: a fill was accepted and is no hit";
}

void World::install_old_entry() {
  EntryClaims claims;
  claims.db_epoch = 1;
  claims.bucket_epoch = 1;
  claims.lo = claims.hi = kBase;
  entry = Stored{claims, 0};
}

// ---- the specification

std::string World::check() const {
  if (!broken.empty()) return broken;
  if (!entry || has_moved() || !node.is_valid(entry->claims, owner)) return {};
  const ShardTide& tide = *node.find_shard(owner.shard);
  const EntryClaims& claims = entry->claims;
  for (size_t i = 0; i < transactions.size(); ++i) {
    const Transaction& t = transactions[i];
    bool is_contained = (entry->value & bit(i)) != 0;
    if (is_contained && switch_lsn && t.db_epoch < tide.db_epoch() && !is_of(t, tide.db_epoch()))
      return fmt::format("G3: a valid entry contains commit {}, which was lost in a fail-over", t.xid);
    if (is_contained || !t.touches_key) continue;
    if ((applied & bit(i)) != 0)
      return fmt::format("G1: a valid entry lacks commit {}, whose invalidation was applied", t.xid);
    if ((promised[owner.shard] & bit(i)) != 0)
      return fmt::format("B1: a hit lacks commit {} of shard {}, which is older than its bound", t.xid, t.shard);
    if (t.shard != owner.shard || !is_of(t, tide.db_epoch()) || !t.is_recorded) continue;
    if (t.end_lsn <= tide.complete_through()) {
      return fmt::format("G2: a valid entry lacks commit {}; complete_through is {}", t.xid,
                         tide.complete_through().to_string());
    }
    if (t.end_lsn <= claims.lo) return fmt::format("LO: lo is {}, commit {} is missing", claims.lo.to_string(), t.xid);
    bool xmin_claims_it = claims.proof == ProofKind::kSnapshot && t.xid < claims.xmin;
    if (xmin_claims_it) return fmt::format("LO: xmin is {}, commit {} is missing", claims.xmin, t.xid);
  }
  return {};
}

}  // namespace tidemark::interleave
