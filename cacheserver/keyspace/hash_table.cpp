#include "cacheserver/keyspace/hash_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/invariant.h"

namespace tidemark::cacheserver {
namespace {

constexpr size_t kPlaces = TableGroup::kPlaces;
constexpr uint32_t kPlaceBits = TableGroup::kPlaceBits;

uint32_t free_places(const TableGroup& group) {
  return group.places_with(0);
}
uint32_t used_places(const TableGroup& group) {
  return ~free_places(group) & kPlaceBits;
}

template <typename Visit>
void for_each_place(const TableGroup& group, Visit visit) {
  for (uint32_t bits = used_places(group); bits != 0; bits &= bits - 1) {
    visit(static_cast<size_t>(std::countr_zero(bits)));
  }
}

// The first position that belongs to group `index` of `count`.
uint64_t first_position(uint64_t index, uint64_t count) {
  return ((index << 32) + count - 1) / count;
}

TableGroup* groups_in(ItemHead& raw) {
  auto address = reinterpret_cast<uintptr_t>(&raw) + sizeof(ItemHead);
  return reinterpret_cast<TableGroup*>((address + sizeof(TableGroup) - 1) & ~uintptr_t{sizeof(TableGroup) - 1});
}

}  // namespace

// --- lookups ---------------------------------------------------------------------------------------------------------

void HashTable::prefetch(const KeyRef& ref) const {
  if (groups_ == nullptr) return;
  const Array array = array_of(ref.position());
  __builtin_prefetch(&array.groups[group_at(ref.position(), array.count)]);
}

// The entry that is most likely meant. False: no entry of the group has this tag.
bool HashTable::prefetch_tagged(const TableGroup& group, uint8_t tag) const {
  const uint32_t bits = group.places_with(tag);
  if (bits == 0) return false;
  const auto* bytes = reinterpret_cast<const char*>(&context_->heap->at(group.ids[std::countr_zero(bits)]));
  __builtin_prefetch(bytes);
  __builtin_prefetch(bytes + sizeof(TableGroup));  // a short value ends on the next line
  return true;
}

bool HashTable::prefetch_entry(const KeyRef& ref) const {
  if (size_ == 0) return true;
  const Array array = array_of(ref.position());
  const size_t home = group_at(ref.position(), array.count);
  if (prefetch_tagged(array.groups[home], ref.tag()) || array.groups[home].overflow == 0) return true;
  __builtin_prefetch(&array.groups[after(home, array)]);
  return false;
}

void HashTable::prefetch_entry_behind(const KeyRef& ref) const {
  const Array array = array_of(ref.position());
  prefetch_tagged(array.groups[after(group_at(ref.position(), array.count), array)], ref.tag());
}

HashTable::Place HashTable::locate(const KeyRef& ref, ItemId id) const {
  const Array array = array_of(ref.position());
  size_t index = group_at(ref.position(), array.count);
  for (size_t passed = 0; passed < array.count; ++passed, index = after(index, array)) {
    TableGroup& group = array.groups[index];
    for (uint32_t bits = group.places_with(ref.tag()); bits != 0; bits &= bits - 1) {
      const auto place = static_cast<size_t>(std::countr_zero(bits));
      if (group.ids[place] == id) return {&group, place};
    }
    if (group.overflow == 0) break;
  }
  INVARIANT(false, ref.hash, ref.slot, id, size_);
  return {};
}

uint32_t HashTable::position_of(ItemId id) const {
  return static_cast<uint32_t>(hash64(entry(id).key(), context_->seed) >> 32);
}

// --- changes ---------------------------------------------------------------------------------------------------------

void HashTable::add(const Array& array, uint32_t position, uint8_t tag, ItemId id) {
  size_t index = group_at(position, array.count);
  while (free_places(array.groups[index]) == 0) {
    uint8_t& overflow = array.groups[index].overflow;
    if (overflow != TableGroup::kOverflowMax) ++overflow;
    index = after(index, array);
  }
  TableGroup& group = array.groups[index];
  const auto place = static_cast<size_t>(std::countr_zero(free_places(group)));
  group.tags[place] = tag;
  group.ids[place] = id;
}

void HashTable::take(const Array& array, size_t home, const Place& place) {
  place.group->tags[place.index] = 0;
  place.group->ids[place.index] = kNoItem;
  for (size_t index = home; &array.groups[index] != place.group; index = after(index, array)) {
    uint8_t& overflow = array.groups[index].overflow;
    if (overflow != TableGroup::kOverflowMax) --overflow;
  }
}

bool HashTable::make_place() {
  if (groups_ == nullptr) {
    array_ = take_array(1, false, groups_);
    if (array_ == kNoItem) return false;
    group_count_ = 1;
  }
  if (is_resizing()) return true;
  const size_t size = size_t{size_} + 1;
  if (size * 100 <= size_t{group_count_} * kPlaces * kFullPercent) return true;
  const size_t groups = groups_for(size);
  if (groups > group_count_) start_resize(groups);
  return is_resizing() || size * 100 <= size_t{group_count_} * kPlaces * kCrowdedPercent;
}

void HashTable::insert(const KeyRef& ref, ItemId id) {
  ++size_;
  if (is_resizing()) {
    // Growth keeps far ahead of the inserts, but for tables of a few groups.
    const size_t places = size_t{std::min(group_count_, next_count_)} * kPlaces;
    if (size_ * size_t{100} > places * 95) step(SIZE_MAX);
  }
  add(array_of(ref.position()), ref.position(), ref.tag(), id);
}

void HashTable::replace(const KeyRef& ref, ItemId old, ItemId id) {
  const Place place = locate(ref, old);
  place.group->ids[place.index] = id;
}

void HashTable::remove(const KeyRef& ref, ItemId id) {
  const Array array = array_of(ref.position());
  take(array, group_at(ref.position(), array.count), locate(ref, id));
  --size_;
  shrink_if_sparse();
}

// --- growing and shrinking -------------------------------------------------------------------------------------------

void HashTable::shrink_if_sparse() {
  if (is_resizing() || size_ >= shrink_below_) return;
  if (size_ * size_t{100} >= size_t{group_count_} * kPlaces * kSparsePercent) return;
  const size_t groups = groups_for(size_ + size_ / 8);
  if (groups >= group_count_) return;
  if (is_even_enough(groups)) return start_resize(groups);
  shrink_below_ = size_ - size_ / 16;
}

// Whether no piece of the line, nor its end, would be overfull in so many groups, by a few groups of each.
bool HashTable::is_even_enough(size_t groups) const {
  if (groups <= kGroupsPerPiece) return true;
  const size_t pieces = kPieces + 1, samples = kPieces * kGroupsPerPiece;
  for (size_t piece = 0; piece < pieces; ++piece) {
    size_t used = 0;
    for (size_t i = 0; i < kGroupsPerPiece; ++i) {
      const size_t index =
          piece < kPieces ? (piece * kGroupsPerPiece + i) * group_count_ / samples : group_count_ - 1 - i;
      used += static_cast<size_t>(std::popcount(used_places(groups_[index])));
    }
    if (used * group_count_ > kGroupsPerPiece * kPlaces * groups) return false;
  }
  return true;
}

// The smallest size of this table's sequence, growth^(k + phase), that holds so many entries.
size_t HashTable::groups_for(size_t entries) const {
  const double needed = static_cast<double>(entries) * 100 / (kFullPercent * kPlaces);
  if (needed <= 1) return 1;
  const double phase = static_cast<double>(number_ % kPhases) / kPhases;
  const double steps = std::ceil(std::log(needed) / std::log(kGrowth) - phase);
  return std::min(groups_max(), static_cast<size_t>(std::ceil(std::pow(kGrowth, steps + phase))));
}

ItemId HashTable::take_array(size_t groups, bool is_next, TableGroup*& out) {
  const size_t bytes = groups * sizeof(TableGroup);
  const ItemId id = context_->heap->allocate_raw(bytes + sizeof(TableGroup), number_ * 2 + (is_next ? 1 : 0));
  if (id == kNoItem) return kNoItem;
  out = groups_in(context_->heap->at(id));
  std::memset(static_cast<void*>(out), 0, bytes);
  return id;
}

void HashTable::on_array_moved(uint32_t owner, ItemId to) {
  const bool is_next = owner % 2 == 1;
  TableGroup*& groups = is_next ? next_ : groups_;
  TableGroup* moved = groups_in(context_->heap->at(to));
  std::memcpy(static_cast<void*>(moved), groups, (is_next ? next_count_ : group_count_) * sizeof(TableGroup));
  groups = moved;
  (is_next ? next_array_ : array_) = to;
}

void HashTable::start_resize(size_t groups) {
  next_array_ = take_array(groups, true, next_);
  if (next_array_ == kNoItem) return;
  next_count_ = static_cast<uint32_t>(groups);
  moved_ = 0;
}

void HashTable::prefetch_entries(const TableGroup& group) const {
  for_each_place(group, [&](size_t place) { __builtin_prefetch(&context_->heap->at(group.ids[place])); });
}

size_t HashTable::step(size_t entries_max) {
  size_t moved = 0;
  if (next_ != nullptr) prefetch_entries(groups_[moved_]);
  for (size_t groups = 0; next_ != nullptr && moved + groups < entries_max; ++groups) {
    if (moved_ + 1 < group_count_) prefetch_entries(groups_[moved_ + 1]);
    moved += move_home(moved_);
    if (++moved_ == group_count_) finish_resize();
  }
  return moved;
}

// All entries of one home: they stand in its group and in those behind it that it overflowed into.
size_t HashTable::move_home(size_t home) {
  const Array from{groups_, group_count_};
  const Array to{next_, next_count_};
  size_t moved = 0;
  size_t index = home;
  for (size_t passed = 0; passed < from.count; ++passed) {
    TableGroup& group = groups_[index];
    const bool goes_on = group.overflow != 0;
    for_each_place(group, [&](size_t place) {
      const ItemId id = group.ids[place];
      const uint32_t position = position_of(id);
      if (group_at(position, group_count_) != home) return;
      const uint8_t tag = group.tags[place];
      take(from, home, {&group, place});
      add(to, position, tag, id);
      ++moved;
    });
    if (!goes_on) break;
    index = after(index, from);
  }
  return moved;
}

void HashTable::finish_resize() {
  context_->heap->release(array_);
  array_ = std::exchange(next_array_, kNoItem);
  context_->heap->at(array_).word1 = number_ * 2;
  groups_ = std::exchange(next_, nullptr);
  group_count_ = std::exchange(next_count_, 0);
  moved_ = 0;
  shrink_below_ = UINT32_MAX;
}

// --- iteration -------------------------------------------------------------------------------------------------------

uint64_t HashTable::scan(uint64_t position, std::vector<const Entry*>& out) const {
  if (size_ == 0 || position >= kEnd) return kEnd;
  const bool is_moved = next_ != nullptr && group_at(position, group_count_) < moved_;
  const Array array = array_of(static_cast<uint32_t>(position));
  const size_t home = group_at(position, array.count);
  size_t index = home;
  for (size_t passed = 0; passed < array.count; ++passed, index = after(index, array)) {
    const TableGroup& group = array.groups[index];
    for_each_place(group, [&](size_t place) {
      const uint32_t at = position_of(group.ids[place]);
      if (group_at(at, array.count) == home && at >= position) out.push_back(&entry(group.ids[place]));
    });
    if (group.overflow == 0) break;
  }
  const uint64_t end = first_position(home + 1, array.count);
  // A new group may reach beyond the boundary: what lies there is still in the old groups.
  return is_moved ? std::min(end, first_position(moved_, group_count_)) : end;
}

void HashTable::collect_slot(Slot slot, size_t count_max, Instant now, std::vector<const Entry*>& out) const {
  if (size_ == 0) return;
  auto collect = [&](const TableGroup* groups, size_t count) {
    for (size_t i = 0; i < count && out.size() < count_max; ++i) {
      if (i + 1 < count) prefetch_entries(groups[i + 1]);
      for_each_place(groups[i], [&](size_t place) {
        const Entry& found = entry(groups[i].ids[place]);
        if (out.size() < count_max && slot_of_key(found.key()) == slot && !found.is_expired(now)) out.push_back(&found);
      });
    }
  };
  collect(groups_, group_count_);
  if (next_ != nullptr) collect(next_, next_count_);
}

ItemId HashTable::sample(uint64_t random) const {
  if (size_ == 0) return kNoItem;
  const auto position = static_cast<uint32_t>(random >> 32);
  const Array array = array_of(position);
  const TableGroup& group = array.groups[group_at(position, array.count)];
  return group.ids[static_cast<uint32_t>(random) % kPlaces];
}

}  // namespace tidemark::cacheserver
