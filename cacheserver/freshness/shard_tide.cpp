#include "cacheserver/freshness/shard_tide.h"

#include <algorithm>

namespace tidemark::cacheserver {

ShardTide::ShardTide(Options options, const Ingredients& ingredients) : options_(options), ingredients_(ingredients) {
  // The history must span the retention, or its oldest point would be dropped before it may become the floor.
  Duration step_min = options_.retention / static_cast<int64_t>(kHistoryMax - 2);
  options_.history_step = std::max(options_.history_step, step_min);
}

bool ShardTide::join(DbEpoch db_epoch, Lsn lsn) {
  if (db_epoch < db_epoch_) return false;
  if (db_epoch > db_epoch_)
    floor_ = {}, refloor_ = {}, collectable_ = {};  // positions of another database mean nothing
  leave();
  inherited_.clear();
  joined_ = true;
  db_epoch_ = db_epoch;
  complete_through_ = lsn;
  if (ingredients_.join_raises_floor) floor_.lsn = std::max(floor_.lsn, lsn);
  if (ingredients_.join_revalidates) refloor_ = std::max(refloor_, lsn);
  collectable_ = std::max(collectable_, lsn);
  return true;
}

TideAdmission ShardTide::succeed(DbEpoch prev, DbEpoch db_epoch, Lsn switch_lsn) {
  if (db_epoch < db_epoch_) return TideAdmission::kOldEpoch;
  if (!joined_) return TideAdmission::kGap;
  if (db_epoch == db_epoch_) return TideAdmission::kApplied;  // again
  if (prev != db_epoch_) return TideAdmission::kNewEpoch;
  if (ingredients_.epoch_needs_prefix && complete_through_ < switch_lsn) return TideAdmission::kGap;
  if (inherited_.size() == kInheritedMax) inherited_.erase(inherited_.begin());
  inherited_.push_back({prev, switch_lsn, refloor_});
  leave();
  joined_ = true;
  db_epoch_ = db_epoch;
  complete_through_ = collectable_ = switch_lsn;
  refloor_ = {};
  // Every proof of the new epoch was read after its first transaction, hence after the switch.
  floor_ = {switch_lsn, std::nullopt};
  return TideAdmission::kApplied;
}

bool ShardTide::stands(DbEpoch db_epoch, Lsn lo, Lsn hi) const {
  if (!joined_) return false;
  if (db_epoch == db_epoch_) return lo >= refloor_;
  for (const Inherited& one : inherited_) {
    if (one.db_epoch != db_epoch) continue;
    return (!ingredients_.epoch_drops_lost || hi <= one.switch_lsn) && lo >= one.refloor;
  }
  return false;
}

std::optional<Lsn> ShardTide::switch_of(DbEpoch db_epoch) const {
  for (const Inherited& one : inherited_)
    if (one.db_epoch == db_epoch) return one.switch_lsn;
  return std::nullopt;
}

void ShardTide::leave() {
  joined_ = false;
  complete_through_ = settled_ = {};
  floor_.snapshot.reset();
  echo_.reset();
  newest_.reset();
  history_.clear();
  open_batch_.reset();
}

TideAdmission ShardTide::epoch_admission(DbEpoch db_epoch) const {
  if (db_epoch < db_epoch_) return TideAdmission::kOldEpoch;
  if (!joined_) return TideAdmission::kGap;
  return db_epoch > db_epoch_ ? TideAdmission::kNewEpoch : TideAdmission::kApplied;
}

TideAdmission ShardTide::admit(const BatchHead& head) const {
  TideAdmission admission = epoch_admission(head.db_epoch);
  if (admission != TideAdmission::kApplied || !ingredients_.chained_invalidations) return admission;
  if (head.prev_lsn > complete_through_) return TideAdmission::kGap;
  if (head.part == 0) return admission;
  bool follows = open_batch_ && open_batch_->prev_lsn == head.prev_lsn && open_batch_->last_lsn == head.last_lsn &&
                 open_batch_->part + 1 == head.part;
  return follows ? admission : TideAdmission::kGap;
}

void ShardTide::advance(const BatchHead& head) {
  if (head.has_more) {
    open_batch_ = head;
    return;
  }
  open_batch_.reset();
  complete_through_ = std::max(complete_through_, head.last_lsn);
}

TideAdmission ShardTide::fence(const FenceMessage& message, Instant now) {
  TideAdmission admission = epoch_admission(message.db_epoch);
  if (admission != TideAdmission::kApplied) return admission;
  if (ingredients_.chained_fence && message.prev_lsn > complete_through_) return TideAdmission::kGap;
  complete_through_ = std::max(complete_through_, message.lsn);
  if (message.echo) echo_ = std::max(echo_.value_or(*message.echo), *message.echo);
  if (message.snapshot && !message.settled.is_zero()) remember(message, now);
  move_floor(now);
  return admission;
}

void ShardTide::remember(const FenceMessage& message, Instant now) {
  settled_ = std::max(settled_, message.settled);
  // After a join, or an overflow: the first that is late enough.
  if (!floor_.snapshot && message.settled >= floor_.lsn) floor_.snapshot = message.snapshot;
  // A point that does not cover the one before comes from another sender that lags; the history stays ascending.
  if (newest_ && (message.settled < newest_->settled || !message.snapshot->covers(newest_->snapshot))) return;
  newest_ = FencePoint{message.settled, *message.snapshot, now, complete_through_};
  if (!history_.empty() && now - history_.back().arrived < options_.history_step) return;
  if (history_.size() == kHistoryMax) history_.pop_front();
  history_.push_back(*newest_);
}

void ShardTide::move_floor(Instant now) {
  std::optional<FencePoint> point;
  while (!history_.empty() && now - history_.front().arrived >= options_.retention) {
    point = std::move(history_.front());
    history_.pop_front();
  }
  if (!point) return;
  Lsn lsn = ingredients_.collect_only_settled ? point->settled : point->position;
  if (lsn < floor_.lsn) return;  // a join or an overflow has raised it further
  collectable_ = std::max(collectable_, lsn);
  if (ingredients_.collect_raises_floor) floor_ = {lsn, std::move(point->snapshot)};
}

void ShardTide::raise_floor(DbEpoch db_epoch, Lsn lsn) {
  if (db_epoch != db_epoch_ || lsn <= floor_.lsn) return;
  collectable_ = std::max(collectable_, lsn);
  if (!ingredients_.overflow_raises_floor) return;
  floor_.lsn = lsn;
  if (newest_ && newest_->settled >= lsn)
    floor_.snapshot = newest_->snapshot;
  else
    floor_.snapshot.reset();
}

Lsn ShardTide::lo_of(const Proof& proof) const {
  if (proof.kind == Proof::Kind::kReplica) return proof.lsn;
  Lsn lo = floor_.snapshot && proof.snapshot.covers(*floor_.snapshot) ? floor_.lsn : Lsn{};
  if (newest_ && proof.snapshot.covers(newest_->snapshot)) return std::max(lo, newest_->settled);
  for (auto point = history_.rbegin(); point != history_.rend(); ++point) {
    if (proof.snapshot.covers(point->snapshot)) return std::max(lo, point->settled);
  }
  return lo;
}

std::optional<Duration> ShardTide::bound(Instant now) const {
  if (!joined_ || !echo_) return std::nullopt;
  return std::max(now - *echo_, Duration{});
}

}  // namespace tidemark::cacheserver
