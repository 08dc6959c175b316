#include "cacheserver/freshness/tombstones.h"

#include <algorithm>

#include "base/invariant.h"

namespace tidemark::cacheserver {
namespace {

// A record and its share of the index, which is at most half full and may just have doubled.
constexpr size_t kIndexBytesPerRecord = 4 * (sizeof(uint64_t) + sizeof(uint32_t));
constexpr size_t kRecordsMin = 4;

// The place of a commit that the record already has, its end merged; nothing: it is new.
std::optional<size_t> merge_same_xid(TombstoneRecord& record, const Tombstone& commit, bool is_hint) {
  for (size_t i = 0; i < record.count; ++i) {
    Tombstone& known = record.newest[i];
    if (known.xid != commit.xid) continue;
    if (!is_hint)
      known.end_lsn = commit.end_lsn;
    else if (!record.is_confirmed(i))  // the exact end stays whatever a writer says of it
      known.end_lsn = std::min(known.end_lsn, commit.end_lsn);
    return i;
  }
  return std::nullopt;
}

void drop_covered(TombstoneRecord& record, Lsn covered) {
  uint8_t count = 0, confirmed = 0;
  for (size_t i = 0; i < record.count; ++i) {
    if (record.newest[i].end_lsn <= covered) continue;
    if (record.is_confirmed(i)) confirmed = static_cast<uint8_t>(confirmed | (1u << count));
    record.newest[count++] = record.newest[i];
  }
  record.count = count;
  record.confirmed = confirmed;
  if (record.has_overflow && record.overflow.end_lsn <= covered) record.has_overflow = false;
}

// Returns its place.
size_t push(TombstoneRecord& record, const Tombstone& commit) {
  if (record.count == kTombstonesPerKey) {
    const Tombstone& pushed_out = record.newest.front();
    Tombstone maxima = record.has_overflow ? record.overflow : Tombstone{};
    record.overflow = {std::max(maxima.end_lsn, pushed_out.end_lsn), std::max(maxima.xid, pushed_out.xid)};
    record.has_overflow = true;
    std::shift_left(record.newest.begin(), record.newest.end(), 1);
    record.confirmed = static_cast<uint8_t>(record.confirmed >> 1);
    --record.count;
  }
  record.newest[record.count] = commit;
  return record.count++;
}

}  // namespace

Lsn TombstoneRecord::greatest_lsn() const {
  Lsn greatest = has_overflow ? overflow.end_lsn : Lsn{};
  for (size_t i = 0; i < count; ++i) greatest = std::max(greatest, newest[i].end_lsn);
  return greatest;
}

Tombstones::Tombstones(Options options)
    : options_(options),
      records_max_(std::max(kRecordsMin, options.bytes_max / (sizeof(Node) + kIndexBytesPerRecord))) {}

size_t Tombstones::bytes() const {
  return used_ * (sizeof(Node) + kIndexBytesPerRecord);
}

bool Tombstones::has_room_for_hints(size_t keys) const {
  return hints_ + keys <= records_max_ / 2;
}

const TombstoneRecord* Tombstones::first(uint64_t key_hash) const {
  uint32_t at = index_.find(key_hash);
  return at == kNone ? nullptr : &nodes_[at].record;
}

const TombstoneRecord* Tombstones::next(const TombstoneRecord& record) const {
  return record.next_domain == kNone ? nullptr : &nodes_[record.next_domain].record;
}

std::optional<Tombstones::Overflow> Tombstones::add(uint64_t key_hash, const CommitDomain& domain,
                                                    const Tombstone& commit, bool is_hint, Lsn covered, Instant now,
                                                    std::optional<uint64_t> stage) {
  if (commit.end_lsn <= covered) return std::nullopt;
  std::optional<Overflow> overflow;
  Node* node = find(key_hash, domain);
  if (node == nullptr) {
    if (used_ >= records_max_) overflow = make_room(domain.shard);
    uint32_t at = allocate();
    uint32_t head = index_.find(key_hash);
    nodes_[at].record = {.key_hash = key_hash,
                         .domain = domain,
                         .is_hint = is_hint,
                         .confirmed = 0,
                         .newest = {},
                         .overflow = {},
                         .arrived = now,
                         .next_domain = head};
    index_.set(key_hash, at);
    node = &nodes_[at];
  } else {
    unlink(static_cast<uint32_t>(node - nodes_.data()));
    node->record.is_hint = node->record.is_hint && is_hint;
    node->record.arrived = now;
  }
  TombstoneRecord& record = node->record;
  auto place = merge_same_xid(record, commit, is_hint);
  if (!place) {
    if (record.count == kTombstonesPerKey) drop_covered(record, covered);
    place = push(record, commit);
  }
  if (!is_hint) {
    record.confirmed = static_cast<uint8_t>(record.confirmed | (1u << *place));
    record.staged_xid = stage ? commit.xid : 0;
    record.stage = stage.value_or(0);
  }
  link_newest(static_cast<uint32_t>(node - nodes_.data()));
  return overflow;
}

std::optional<bool> Tombstones::confirmation(uint64_t key_hash, const CommitDomain& domain, Xid xid) const {
  for (auto* record = first(key_hash); record != nullptr; record = next(*record)) {
    for (size_t i = 0; record->domain == domain && i < record->count; ++i) {
      if (record->newest[i].xid == xid) return record->is_confirmed(i);
    }
  }
  return std::nullopt;
}

bool Tombstones::is_confirmed(uint64_t key_hash, const CommitDomain& domain, Xid xid) const {
  return confirmation(key_hash, domain, xid).value_or(false);
}

bool Tombstones::knows(uint64_t key_hash, const CommitDomain& domain, Xid xid) const {
  return confirmation(key_hash, domain, xid).has_value();
}

size_t Tombstones::collect(ShardId shard, DbEpoch db_epoch, Lsn covered, Instant now, size_t work_max) {
  auto lists = lists_.find(shard);
  if (lists == lists_.end()) return 0;
  size_t collected = 0;
  for (List* list : {&lists->second.confirmed, &lists->second.hinted}) {
    for (size_t work = 0; work < work_max && list->oldest != kNone; ++work) {
      uint32_t at = list->oldest;
      TombstoneRecord& record = nodes_[at].record;
      bool is_old_epoch = record.domain.db_epoch < db_epoch;
      if (is_old_epoch || record.greatest_lsn() <= covered) {
        release(at);
        ++collected;
        continue;
      }
      if (now - record.arrived < options_.retention) break;  // and so is everything behind it
      unlink(at);  // an INVAL's bound was far ahead: look again after another retention, do not hold up the others
      record.arrived = now;
      link_newest(at);
    }
  }
  return collected;
}

Tombstones::Node* Tombstones::find(uint64_t key_hash, const CommitDomain& domain) {
  uint32_t at = index_.find(key_hash);
  while (at != kNone && nodes_[at].record.domain != domain) at = nodes_[at].record.next_domain;
  return at == kNone ? nullptr : &nodes_[at];
}

uint32_t Tombstones::allocate() {
  ++used_;
  if (free_ == kNone) {
    nodes_.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
  }
  uint32_t at = free_;
  free_ = nodes_[at].newer;
  nodes_[at] = Node();
  return at;
}

void Tombstones::release(uint32_t at) {
  unlink(at);
  uint64_t hash = nodes_[at].record.key_hash;
  uint32_t head = index_.find(hash);
  if (head == at) {
    if (nodes_[at].record.next_domain == kNone)
      index_.erase(hash);
    else
      index_.set(hash, nodes_[at].record.next_domain);
  } else {
    while (nodes_[head].record.next_domain != at) head = nodes_[head].record.next_domain;
    nodes_[head].record.next_domain = nodes_[at].record.next_domain;
  }
  nodes_[at].newer = free_;
  free_ = at;
  --used_;
}

Tombstones::List& Tombstones::list_of(const TombstoneRecord& record) {
  ShardLists& lists = lists_[record.domain.shard];
  return record.is_hint ? lists.hinted : lists.confirmed;
}

void Tombstones::link_newest(uint32_t at) {
  List& list = list_of(nodes_[at].record);
  nodes_[at].older = list.newest;
  nodes_[at].newer = kNone;
  (list.newest == kNone ? list.oldest : nodes_[list.newest].newer) = at;
  list.newest = at;
  if (nodes_[at].record.is_hint) ++hints_;
}

void Tombstones::unlink(uint32_t at) {
  Node& node = nodes_[at];
  List& list = list_of(node.record);
  (node.older == kNone ? list.oldest : nodes_[node.older].newer) = node.newer;
  (node.newer == kNone ? list.newest : nodes_[node.newer].older) = node.older;
  if (node.record.is_hint) --hints_;
}

std::optional<Tombstones::Overflow> Tombstones::make_room(ShardId preferred) {
  uint32_t victim = kNone;
  auto own = lists_.find(preferred);
  if (own != lists_.end()) victim = own->second.confirmed.oldest;
  for (auto it = lists_.begin(); victim == kNone && it != lists_.end(); ++it) victim = it->second.confirmed.oldest;
  for (auto it = lists_.begin(); victim == kNone && it != lists_.end(); ++it) victim = it->second.hinted.oldest;
  INVARIANT(victim != kNone, used_, hints_, records_max_);
  const TombstoneRecord& record = nodes_[victim].record;
  Overflow overflow{record.domain.shard, record.domain.db_epoch, record.greatest_lsn()};
  release(victim);
  ++overflows_;
  return overflow;
}

}  // namespace tidemark::cacheserver
