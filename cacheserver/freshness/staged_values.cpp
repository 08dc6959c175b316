#include "cacheserver/freshness/staged_values.h"

#include <utility>

namespace tidemark::cacheserver {
namespace {

// The key's record in the domain of the value's commit; nullptr: none.
const TombstoneRecord* record_of(const Tombstones& tombstones, const StagedValue& value) {
  const TombstoneRecord* record = tombstones.first(value.key_hash);
  while (record != nullptr && record->domain != value.domain) record = tombstones.next(*record);
  return record;
}

// The exact end of the value's commit, if the stream has brought it and it is remembered.
std::optional<Lsn> confirmed_end(const TombstoneRecord* record, Xid xid) {
  for (size_t i = 0; record != nullptr && i < record->count; ++i) {
    if (record->newest[i].xid == xid && record->is_confirmed(i)) return record->newest[i].end_lsn;
  }
  return std::nullopt;
}

// The fill rule for the row as the commit at `end` left it: its proof is R with that position. No lease is needed: the
// stream's word stands in its place.
FillVerdict judge_as_fill(const StagedQuestion& question, Lsn end, const Ingredients& ingredients) {
  const CommitDomain& domain = ingredients.stage_epoch ? question.value.domain : question.domain;
  const Proof proof{Proof::Kind::kReplica, domain.shard, domain.db_epoch, domain.bucket_epoch, end, {}};
  return judge_fill({.lease_is_current = true,
                     .proof = proof,
                     .owner = {question.domain.shard, question.domain.bucket_epoch},
                     .db_epoch = question.domain.db_epoch,
                     .tombstones = question.tombstones,
                     .key_hash = question.value.key_hash,
                     .floor = question.floor,
                     .proof_lo = end,
                     .existing_lo = question.existing_lo},
                    ingredients)
      .verdict;
}

}  // namespace

std::string_view to_string(StagedEnd end) {
  switch (end) {
    case StagedEnd::kInstalled:
      return "installed";
    case StagedEnd::kContained:
      return "contained";
    case StagedEnd::kSuperseded:
      return "superseded";
    case StagedEnd::kNoStage:
      return "nostage";
    case StagedEnd::kFull:
      return "full";
    case StagedEnd::kTimeout:
      return "timeout";
    case StagedEnd::kForgotten:
      return "forgotten";
    case StagedEnd::kNoRoom:
      return "noroom";
  }
  return "unknown";
}

StagedJudgement judge_staged(const StagedQuestion& question, const Ingredients& ingredients) {
  const StagedValue& value = question.value;
  if (ingredients.stage_epoch && value.domain != question.domain) return {StagedEnd::kForgotten, {}};
  std::optional<Lsn> end = value.end;
  bool is_named = true;
  if (!end) {
    const TombstoneRecord* record = record_of(question.tombstones, value);
    end = confirmed_end(record, value.xid);
    if (!end) {
      // The stream is past the commit and yet nothing is remembered of it: it named no such key, or its tombstone went.
      bool is_passed = !value.end_bound.is_zero() && value.end_bound <= question.complete_through;
      return {is_passed ? std::optional(StagedEnd::kNoStage) : std::nullopt, {}};
    }
    is_named = record->staged_xid == value.xid && record->stage == value.stage;
  }
  switch (judge_as_fill(question, *end, ingredients)) {
    case FillVerdict::kAccepted:
      break;
    case FillVerdict::kKept:
      return {StagedEnd::kContained, {}};
    case FillVerdict::kOlder:
    case FillVerdict::kFloor:
      return {StagedEnd::kSuperseded, {}};
    case FillVerdict::kEpoch:
    case FillVerdict::kLease:
      return {StagedEnd::kForgotten, {}};
  }
  if (ingredients.stage_id && !is_named) return {StagedEnd::kNoStage, {}};
  return {std::nullopt, end};
}

// ---------------------------------------------------------------------------------------------------------- container

bool StagedValues::make_place_for(const StagedValue& value) {
  size_t of_hash = 0;
  uint32_t oldest_of_hash = kNone;
  for (uint32_t place = first(value.key_hash); place != kNone;) {
    const uint32_t here = std::exchange(place, next(place));
    const StagedValue& other = at(here);
    if (other.xid == value.xid && other.stage == value.stage && other.key == value.key) {
      remove(here);
      continue;
    }
    ++of_hash;
    oldest_of_hash = here;
  }
  if (of_hash >= kPerKeyMax) drop(oldest_of_hash, StagedEnd::kFull);
  return used_ < options_.values_max && bytes_ + bytes_of(value) <= options_.bytes_max;
}

uint32_t StagedValues::park(StagedValue value, Instant now) {
  if (!make_place_for(value)) {
    count(StagedEnd::kFull);
    return kNone;
  }
  uint32_t place = free_;
  if (place == kNone) {
    place = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    free_ = nodes_[place].newer;
  }
  ++used_;
  ++parked_;
  bytes_ += bytes_of(value);
  const uint64_t hash = value.key_hash;
  nodes_[place] = {std::move(value), now, first(hash), kNone, newest_};
  (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = place;
  newest_ = place;
  index_.set(hash, place);
  return place;
}

bool StagedValues::contains(uint64_t key_hash, std::string_view key) const {
  for (uint32_t place = first(key_hash); place != kNone; place = next(place)) {
    if (at(place).key == key) return true;
  }
  return false;
}

void StagedValues::confirm(uint32_t place, Lsn end) {
  StagedValue& value = nodes_[place].value;
  if (value.end) waiting_.erase({value.domain.shard, *value.end, place});
  value.end = end;
  waiting_.insert({value.domain.shard, end, place});
}

void StagedValues::drop(uint32_t place, StagedEnd why) {
  count(why);
  remove(place);
}

std::optional<StagedValue> StagedValues::take_settled(ShardId shard, Lsn settled) {
  auto earliest = waiting_.lower_bound({shard, Lsn{}, 0});
  if (earliest == waiting_.end()) return std::nullopt;
  const auto [of_shard, end, place] = *earliest;
  if (of_shard != shard || end > settled) return std::nullopt;
  return remove(place);
}

void StagedValues::drop_key(uint64_t key_hash) {
  while (first(key_hash) != kNone) drop(first(key_hash), StagedEnd::kForgotten);
}

void StagedValues::drop_shard(ShardId shard) {
  for (uint32_t place = oldest_; place != kNone;) {
    const uint32_t here = std::exchange(place, nodes_[place].newer);
    if (at(here).domain.shard == shard) drop(here, StagedEnd::kForgotten);
  }
}

void StagedValues::drop_all() {
  while (oldest_ != kNone) drop(oldest_, StagedEnd::kForgotten);
}

void StagedValues::expire(Instant now, size_t work_max) {
  for (size_t i = 0; i < work_max && oldest_ != kNone && now - nodes_[oldest_].parked >= options_.life; ++i) {
    drop(oldest_, StagedEnd::kTimeout);
  }
}

StagedValue StagedValues::remove(uint32_t place) {
  Node& node = nodes_[place];
  StagedValue value = std::move(node.value);
  if (value.end) waiting_.erase({value.domain.shard, *value.end, place});
  const uint32_t head = first(value.key_hash);
  if (head != place) {
    uint32_t* link = &nodes_[head].next_of_hash;
    while (*link != place) link = &nodes_[*link].next_of_hash;
    *link = node.next_of_hash;
  } else if (node.next_of_hash == kNone) {
    index_.erase(value.key_hash);
  } else {
    index_.set(value.key_hash, node.next_of_hash);
  }
  (node.older == kNone ? oldest_ : nodes_[node.older].newer) = node.newer;
  (node.newer == kNone ? newest_ : nodes_[node.newer].older) = node.older;
  bytes_ -= bytes_of(value);
  --used_;
  node = Node();
  node.newer = free_;
  free_ = place;
  return value;
}

}  // namespace tidemark::cacheserver
