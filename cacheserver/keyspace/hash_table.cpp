#include "cacheserver/keyspace/hash_table.h"

#include <algorithm>
#include <utility>

#include "base/invariant.h"

namespace tidemark::cacheserver {
namespace {

// A place: link bit 63, tag of 15 bits, address bits 47..4, slot & 15. Empty is 0; a tag is never 0.
constexpr uint64_t kLink = uint64_t{1} << 63;
constexpr uint64_t kAddress = 0x0000fffffffffff0;
constexpr uint64_t kMatch = ~kAddress;
constexpr size_t kLast = TableGroup::kPlaces - 1;

constexpr size_t kFullPercent = 80;    // grow beyond
constexpr size_t kSparsePercent = 20;  // shrink below
constexpr size_t kGroupsMin = 1;

uint64_t signature(uint64_t hash, Slot slot) {
  uint64_t tag = hash & 0x7fff;
  return (tag == 0 ? 1 : tag) << 48 | (slot & 15);
}

uint64_t signature(const KeyRef& ref) {
  return signature(ref.hash, ref.slot);
}
uint64_t place_of(uint64_t signature, const Entry* entry) {
  return signature | reinterpret_cast<uint64_t>(entry);
}
Entry* entry_at(uint64_t place) {
  return reinterpret_cast<Entry*>(place & kAddress);
}
TableGroup* group_at(uint64_t place) {
  return reinterpret_cast<TableGroup*>(place & kAddress);
}
bool is_link(uint64_t place) {
  return (place & kLink) != 0;
}
bool is_entry(uint64_t place) {
  return place != 0 && !is_link(place);
}
TableGroup* next_of(const TableGroup* group) {
  return is_link(group->places[kLast]) ? group_at(group->places[kLast]) : nullptr;
}

size_t group_index(uint64_t position, size_t count) {
  return static_cast<size_t>((position * count) >> 32);
}

// The first position that belongs to group `index` of `count`.
uint64_t first_position(uint64_t index, uint64_t count) {
  return ((index << 32) + count - 1) / count;
}

template <typename Visit>
void for_each_place(const TableGroup* group, Visit visit) {
  for (; group != nullptr; group = next_of(group)) {
    for (uint64_t place : group->places) {
      if (is_entry(place)) visit(place);
    }
  }
}

}  // namespace

HashTable::HashTable(HashTable&& other) noexcept
    : memory_(other.memory_),
      seed_(other.seed_),
      groups_(std::exchange(other.groups_, nullptr)),
      next_(std::exchange(other.next_, nullptr)),
      group_count_(std::exchange(other.group_count_, 0)),
      next_count_(std::exchange(other.next_count_, 0)),
      moved_(std::exchange(other.moved_, 0)),
      size_(std::exchange(other.size_, 0)) {}

HashTable::~HashTable() {
  if (size_ > 0) {  // without entries there are no overflow groups
    for (size_t i = 0; i < group_count_; ++i) free_chain(&groups_[i]);
    for (size_t i = 0; i < next_count_; ++i) free_chain(&next_[i]);
  }
  if (groups_ != nullptr) memory_->give_array(groups_, group_count_);
  if (next_ != nullptr) memory_->give_array(next_, next_count_);
}

TableGroup* HashTable::home(uint32_t position) const {
  size_t index = group_index(position, group_count_);
  if (index < moved_) return &next_[group_index(position, next_count_)];
  return &groups_[index];
}

void HashTable::prefetch(const KeyRef& ref) const {
  if (groups_ != nullptr) __builtin_prefetch(home(ref.position()));
}

void HashTable::prefetch_entry(const KeyRef& ref) const {
  if (size_ == 0) return;
  const uint64_t wanted = signature(ref);
  for (uint64_t place : home(ref.position())->places) {
    if ((place & kMatch) != wanted) continue;
    const char* entry = reinterpret_cast<const char*>(entry_at(place));
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + sizeof(TableGroup));  // a short value ends on the next line
    return;
  }
}

Entry* HashTable::find(const KeyRef& ref) const {
  if (size_ == 0) return nullptr;
  const uint64_t wanted = signature(ref);
  for (const TableGroup* group = home(ref.position()); group != nullptr; group = next_of(group)) {
    uint32_t matches = 0;
    for (size_t i = 0; i < TableGroup::kPlaces; ++i) {
      matches |= static_cast<uint32_t>((group->places[i] & kMatch) == wanted) << i;
    }
    for (; matches != 0; matches &= matches - 1) {
      Entry* entry = entry_at(group->places[__builtin_ctz(matches)]);
      if (entry->key() == ref.key) return entry;
    }
  }
  return nullptr;
}

uint64_t* HashTable::locate(const KeyRef& ref, const Entry* entry) const {
  const uint64_t wanted = place_of(signature(ref), entry);
  for (TableGroup* group = home(ref.position()); group != nullptr; group = next_of(group)) {
    for (uint64_t& place : group->places) {
      if (place == wanted) return &place;
    }
  }
  INVARIANT(false, ref.hash, ref.slot, size_);
  return nullptr;
}

void HashTable::insert(const KeyRef& ref, Entry* entry) {
  if (groups_ == nullptr) {
    group_count_ = kGroupsMin;
    groups_ = memory_->take_array(group_count_);
  }
  ++size_;
  if (!is_resizing() && size_ * 100 > group_count_ * TableGroup::kPlaces * kFullPercent) {
    start_resize(group_count_ + group_count_ / 2 + 1);
  }
  add_to_chain(home(ref.position()), place_of(signature(ref), entry));
}

void HashTable::replace(const KeyRef& ref, Entry* old, Entry* fresh) {
  *locate(ref, old) = place_of(signature(ref), fresh);
}

void HashTable::remove(const KeyRef& ref, const Entry* entry) {
  uint64_t* hole = locate(ref, entry);
  TableGroup* before = nullptr;
  TableGroup* tail = home(ref.position());
  for (TableGroup* next = next_of(tail); next != nullptr; next = next_of(tail)) {
    before = tail;
    tail = next;
  }
  *hole = 0;
  if (before != nullptr) {  // fill the hole from the tail, and let an empty tail go
    auto last = std::find_if(std::rbegin(tail->places), std::rend(tail->places), is_entry);
    if (last != std::rend(tail->places)) std::swap(*hole, *last);
    if (std::none_of(std::begin(tail->places), std::end(tail->places), is_entry)) {
      before->places[kLast] = 0;
      memory_->give_group(tail);
    }
  }
  --size_;
  if (!is_resizing() && group_count_ > kGroupsMin &&
      size_ * 100 < group_count_ * TableGroup::kPlaces * kSparsePercent) {
    start_resize(std::max(kGroupsMin, group_count_ / 2));
  }
}

void HashTable::add_to_chain(TableGroup* group, uint64_t place) {
  for (;; group = next_of(group)) {
    for (uint64_t& free : group->places) {
      if (free == 0) {
        free = place;
        return;
      }
    }
    if (next_of(group) == nullptr) break;
  }
  TableGroup* overflow = memory_->take_group();
  overflow->places[0] = group->places[kLast];
  overflow->places[1] = place;
  group->places[kLast] = kLink | reinterpret_cast<uint64_t>(overflow);
}

void HashTable::start_resize(size_t groups) {
  next_count_ = groups;
  next_ = memory_->take_array(groups);
  moved_ = 0;
}

size_t HashTable::step(size_t entries_max) {
  size_t moved = 0;
  for (size_t groups = 0; next_ != nullptr && moved + groups < entries_max; ++groups) {
    TableGroup* source = &groups_[moved_];
    for_each_place(source, [](uint64_t place) { __builtin_prefetch(entry_at(place)); });
    for_each_place(source, [&](uint64_t place) {
      auto position = static_cast<uint32_t>(hash64(entry_at(place)->key(), seed_) >> 32);
      add_to_chain(&next_[group_index(position, next_count_)], place);
      ++moved;
    });
    free_chain(source);
    if (++moved_ == group_count_) finish_resize();
  }
  return moved;
}

void HashTable::finish_resize() {
  memory_->give_array(groups_, group_count_);
  groups_ = next_;
  group_count_ = next_count_;
  next_ = nullptr;
  next_count_ = 0;
  moved_ = 0;
}

void HashTable::free_chain(TableGroup* first) {
  TableGroup* group = next_of(first);
  *first = {};
  while (group != nullptr) {
    TableGroup* next = next_of(group);
    memory_->give_group(group);
    group = next;
  }
}

uint64_t HashTable::scan(uint64_t position, std::vector<const Entry*>& out) const {
  if (size_ == 0 || position >= kEnd) return kEnd;
  const size_t index = group_index(position, group_count_);
  const bool is_moved = index < moved_;
  const size_t count = is_moved ? next_count_ : group_count_;
  const size_t group = group_index(position, count);
  const bool is_whole = first_position(group, count) == position;
  for_each_place(is_moved ? &next_[group] : &groups_[group], [&](uint64_t place) {
    const Entry* entry = entry_at(place);
    if (is_whole || hash64(entry->key(), seed_) >> 32 >= position) out.push_back(entry);
  });
  uint64_t end = first_position(group + 1, count);
  // A new group may reach beyond the boundary: what lies there is still in the old groups.
  return is_moved ? std::min(end, first_position(moved_, group_count_)) : end;
}

void HashTable::collect_slot(Slot slot, size_t count_max, std::vector<const Entry*>& out) const {
  if (size_ == 0) return;
  auto collect = [&](const TableGroup* groups, size_t from, size_t count) {
    for (size_t i = from; i < count && out.size() < count_max; ++i) {
      for_each_place(&groups[i], [&](uint64_t place) {
        if ((place & 15) == (slot & 15u) && out.size() < count_max) out.push_back(entry_at(place));
      });
    }
  };
  collect(groups_, moved_, group_count_);
  if (next_ != nullptr) collect(next_, 0, next_count_);
}

Entry* HashTable::sample(uint64_t random) const {
  if (size_ == 0) return nullptr;
  const TableGroup* first = home(static_cast<uint32_t>(random >> 32));
  size_t count = 0;
  for_each_place(first, [&](uint64_t) { ++count; });
  if (count == 0) return nullptr;
  size_t chosen = static_cast<uint32_t>(random) % count;
  Entry* found = nullptr;
  for_each_place(first, [&](uint64_t place) {
    if (chosen-- == 0) found = entry_at(place);
  });
  return found;
}

size_t HashTable::drain(size_t count_max, size_t& entry_bytes) {
  size_t drained = 0;
  size_t groups = 0;
  auto drain_group = [&](TableGroup* group) {
    for_each_place(group, [&](uint64_t place) {
      entry_bytes -= entry_at(place)->bytes_allocated();
      Entry::destroy(entry_at(place));
      ++drained;
    });
    free_chain(group);
    ++groups;
  };
  auto is_enough = [&] { return drained + groups / 8 >= count_max; };
  // The groups before moved_ are empty; those of next_ follow those of groups_.
  for (; moved_ < group_count_ && !is_enough(); ++moved_) drain_group(&groups_[moved_]);
  for (; moved_ < group_count_ + next_count_ && !is_enough(); ++moved_) drain_group(&next_[moved_ - group_count_]);
  size_ -= drained;
  return drained + groups / 8;
}

}  // namespace tidemark::cacheserver
