// One of a keyspace's tables: ids of entries by key, twelve to a cache line, growing and shrinking a few at a time.
//
//     group, 64 bytes   | 12 tags of 8 bits | overflow | 3 unused | 12 ids of 32 bits |
//
// The upper 32 bits of a key's hash are its position on a line from 0 to 2^32; a table of G groups cuts the line into G
// equal pieces, and a key's home is the group of its piece. What finds its home full goes to the next group that has
// room; every group it passed counts one overflow, so a lookup goes on only behind a group that was passed. Two arrays
// of different size hold the same keys in the same order, and while entries move from the old array to the new one, one
// boundary says where to look:
//
//     old   | moved | moved | ---- boundary ---- |   |   |   |     home = position * G_old >> 32
//     new   | . . | . . | . |                                      home = position * G_new >> 32
//
// The boundary also makes scans simple: a cursor is a position, and what lies behind it was seen, whatever the size is
// now. Tables grow by a fifth, and every table of a keyspace at another moment (its phase), so that together they
// take about 6.5 bytes per entry and never all grow at once. A table from which keys were deleted in the order of a
// scan has all others at the end of the line: it does not shrink before they are spread evenly again, or few.
//
// Sources: overflow counts, F14 (Bronson and Shi, 2019); the ordered division, Lemire's fast range; tags, Swiss tables.
// What we changed: growth by a fifth with phases, in steps, and no second lookup while it is going on.
//
// Invariants: at most one id per key; an id stands at or behind its position's home, with overflow counted between.
// Limits: an array is one block of the heap; then, or when the heap has no room for a
// larger one, make_place() says no. Threads: one worker's own. I/O: none.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/slot.h"
#include "cacheserver/entry/entry.h"
#include "cacheserver/memory/heap.h"

namespace tidemark::cacheserver {

// A key with what is needed to find it.
struct KeyRef {
  std::string_view key;
  uint64_t hash = 0;
  Slot slot = 0;

  uint32_t position() const { return static_cast<uint32_t>(hash >> 32); }
  uint8_t tag() const { return static_cast<uint8_t>(hash) == 0 ? 1 : static_cast<uint8_t>(hash); }
  static KeyRef of(std::string_view key, uint64_t seed) { return {key, hash64(key, seed), slot_of_key(key)}; }
};

struct alignas(64) TableGroup {
  static constexpr size_t kPlaces = 12;
  static constexpr uint8_t kOverflowMax = 255;  // reached, it stays

  uint8_t tags[kPlaces];  // 0 = empty
  uint8_t overflow;
  uint8_t unused[3];
  ItemId ids[kPlaces];

  // One bit per place whose tag is `tag`.
  uint32_t places_with(uint8_t tag) const {
#ifdef __SSE2__
    const __m128i all = _mm_load_si128(reinterpret_cast<const __m128i*>(tags));
    const __m128i wanted = _mm_set1_epi8(static_cast<char>(tag));
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(all, wanted))) & kPlaceBits;
#else
    uint32_t bits = 0;
    for (size_t i = 0; i < kPlaces; ++i) bits |= static_cast<uint32_t>(tags[i] == tag) << i;
    return bits;
#endif
  }
  static constexpr uint32_t kPlaceBits = (1u << kPlaces) - 1;
};
static_assert(sizeof(TableGroup) == 64);

// What the tables of a keyspace share.
struct TableContext {
  Heap* heap = nullptr;
  uint64_t seed = 0;  // the one that the KeyRefs were made with
};

class alignas(64) HashTable {
 public:
  static constexpr unsigned kFullPercent = 90;     // grow beyond
  static constexpr unsigned kSparsePercent = 50;   // shrink below
  static constexpr unsigned kCrowdedPercent = 97;  // of a table that could not grow: no more
  static constexpr double kGrowth = 1.2;
  static constexpr size_t kPieces = 4, kGroupsPerPiece = 8;  // of the line, looked at before a table shrinks
  static constexpr unsigned kPhases = 1024;

  // `number`: which of the keyspace's tables it is; it decides the phase and names the arrays for on_array_moved.
  HashTable(const TableContext& context, uint32_t number) : context_(&context), number_(number) {}
  HashTable(const HashTable&) = delete;
  HashTable& operator=(const HashTable&) = delete;
  HashTable(HashTable&&) = default;  // for std::vector; before the first insert
  HashTable& operator=(HashTable&&) = delete;

  ItemId find(const KeyRef& ref) const;
  // Of a lookup that comes soon, each some time after the one before: the table itself, the home group's line, the
  // entry. False: the entry is not in the home group, and may be in the next one, which is being loaded now; then
  // prefetch_entry_behind follows.
  void prefetch_table() const { __builtin_prefetch(this); }
  void prefetch(const KeyRef& ref) const;
  bool prefetch_entry(const KeyRef& ref) const;
  void prefetch_entry_behind(const KeyRef& ref) const;
  // Starts growing where that is due. False: one entry more would find no place, for the table has reached its limit or
  // the heap has no block for a larger array.
  bool make_place();
  void insert(const KeyRef& ref, ItemId id);  // requires that the key is not there, and make_place() shortly before
  void replace(const KeyRef& ref, ItemId old, ItemId id);  // requires that `old` is there; same key
  void remove(const KeyRef& ref, ItemId id);               // requires that it is there
  // The heap has moved one of the table's arrays (`owner`: word1 of the raw block).
  void on_array_moved(uint32_t owner, ItemId to);
  static uint32_t number_of_owner(uint32_t owner) { return owner / 2; }

  size_t size() const { return size_; }
  bool is_resizing() const { return next_ != nullptr; }
  // Goes on with growing or shrinking: whole groups, until entries moved and groups visited together reach
  // `entries_max`. Returns how many entries moved.
  size_t step(size_t entries_max);

  // Appends the entries at `position` and a little behind it; returns the position to go on from, kEnd at the end.
  uint64_t scan(uint64_t position, std::vector<const Entry*>& out) const;
  static constexpr uint64_t kEnd = uint64_t{1} << 32;
  // Of those that have not expired.
  void collect_slot(Slot slot, size_t count_max, Instant now, std::vector<const Entry*>& out) const;
  // An item near a random place of the line, or kNoItem if that place is empty.
  ItemId sample(uint64_t random) const;
  size_t bytes_used() const { return (size_t{group_count_} + next_count_) * sizeof(TableGroup); }

 private:
  struct Array {
    TableGroup* groups;
    size_t count;
  };
  struct Place {
    TableGroup* group;
    size_t index;
  };

  const Entry& entry(ItemId id) const { return static_cast<const Entry&>(context_->heap->at(id)); }
  uint32_t position_of(ItemId id) const;
  static size_t group_at(uint64_t position, size_t count) { return static_cast<size_t>((position * count) >> 32); }
  Array array_of(uint32_t position) const {
    if (next_ != nullptr && group_at(position, group_count_) < moved_) return {next_, next_count_};
    return {groups_, group_count_};
  }
  static size_t after(size_t group, const Array& array) { return group + 1 < array.count ? group + 1 : 0; }
  Place locate(const KeyRef& ref, ItemId id) const;
  static void add(const Array& array, uint32_t position, uint8_t tag, ItemId id);
  static void take(const Array& array, size_t home, const Place& place);
  size_t groups_max() const { return (context_->heap->block_bytes_max() - 128) / sizeof(TableGroup); }
  size_t groups_for(size_t entries) const;
  ItemId take_array(size_t groups, bool is_next, TableGroup*& out);
  void start_resize(size_t groups);  // or leaves it: a later change will try again
  void finish_resize();
  void shrink_if_sparse();
  bool is_even_enough(size_t groups) const;
  size_t move_home(size_t home);
  void prefetch_entries(const TableGroup& group) const;
  bool prefetch_tagged(const TableGroup& group, uint8_t tag) const;

  const TableContext* context_;
  TableGroup* groups_ = nullptr;
  TableGroup* next_ = nullptr;
  uint32_t group_count_ = 0;
  uint32_t next_count_ = 0;
  uint32_t moved_ = 0;  // homes of groups_ whose entries are in next_
  uint32_t size_ = 0;
  uint32_t shrink_below_ = UINT32_MAX;             // after a look at an uneven table: no other look before
  ItemId array_ = kNoItem, next_array_ = kNoItem;  // the raw blocks they lie in
  uint32_t number_;
};
static_assert(sizeof(HashTable) == 64);  // one cache line each

// Here for every lookup goes through it.
inline ItemId HashTable::find(const KeyRef& ref) const {
  if (size_ == 0) return kNoItem;
  const Array array = array_of(ref.position());
  const uint8_t tag = ref.tag();
  size_t index = group_at(ref.position(), array.count);
  for (size_t passed = 0; passed < array.count; ++passed, index = after(index, array)) {
    const TableGroup& group = array.groups[index];
    for (uint32_t bits = group.places_with(tag); bits != 0; bits &= bits - 1) {
      const ItemId id = group.ids[std::countr_zero(bits)];
      if (entry(id).has_key(ref.key)) [[likely]]
        return id;
    }
    if (group.overflow == 0) [[likely]]
      break;
  }
  return kNoItem;
}

}  // namespace tidemark::cacheserver
