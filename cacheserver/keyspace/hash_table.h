// One of a keyspace's tables: entries by key, eight to a cache line, growing and shrinking a few entries at a time.
//
// The upper 32 bits of a key's hash are its position on a line from 0 to 2^32; a table of G groups cuts the line into G
// equal pieces. So two tables of different size hold the same entries in the same order, and while entries move from
// the old groups to the new ones one boundary says where to look:
//
//     old   | moved | moved | ---- boundary ---- |   |   |   |     group = position * G_old >> 32
//     new   | . . | . . | . |                                      group = position * G_new >> 32
//
// The boundary also makes scans simple: a cursor is a position, and what lies behind it was seen, whatever the size is
// now. A group that overflows links to another from a pool shared by all tables (the link takes its eighth place); a
// hole left by an erase is filled from the end of the chain, so chains do not stay long.
//
// Idea of the group with its link: valkey 8.1's hash table; of the ordered division: Lemire's fast range. What we
// changed: growth by half instead of doubling, and no second lookup while it is going on.
//
// Invariants: at most one entry per key; every entry hangs on the chain of its position's group.
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/slot.h"
#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {

// A key with what is needed to find it.
struct KeyRef {
  std::string_view key;
  uint64_t hash = 0;
  Slot slot = 0;

  uint32_t position() const { return static_cast<uint32_t>(hash >> 32); }
  static KeyRef of(std::string_view key, uint64_t seed) { return {key, hash64(key, seed), slot_of_key(key)}; }
};

struct alignas(64) TableGroup {
  static constexpr size_t kPlaces = 8;
  uint64_t places[kPlaces];
};

// Memory of all tables of a keyspace: arrays of groups, and single groups for overflow, taken 64 at a time.
class TableMemory {
 public:
  TableMemory() = default;
  ~TableMemory();
  TableMemory(const TableMemory&) = delete;
  TableMemory& operator=(const TableMemory&) = delete;

  TableGroup* take_array(size_t count);  // zeroed; pages are touched when first used
  void give_array(TableGroup* array, size_t count);
  TableGroup* take_group();  // zeroed
  void give_group(TableGroup* group);
  size_t bytes_used() const { return bytes_used_; }

 private:
  static constexpr size_t kGroupsPerSlab = 64;
  std::vector<std::pair<TableGroup*, size_t>> slabs_;
  TableGroup* free_ = nullptr;
  size_t bytes_used_ = 0;
};

class HashTable {
 public:
  // `memory` outlives the table. `seed` is the one the KeyRefs were made with.
  HashTable(TableMemory& memory, uint64_t seed) : memory_(&memory), seed_(seed) {}
  ~HashTable();  // gives back the groups; the entries must be gone (drain)
  HashTable(const HashTable&) = delete;
  HashTable& operator=(const HashTable&) = delete;
  HashTable(HashTable&& other) noexcept;  // for std::vector
  HashTable& operator=(HashTable&&) = delete;

  Entry* find(const KeyRef& ref) const;
  void prefetch(const KeyRef& ref) const;
  void prefetch_entry(const KeyRef& ref) const;               // of the key's own group; chains are left out
  void insert(const KeyRef& ref, Entry* entry);               // requires that the key is not there
  void replace(const KeyRef& ref, Entry* old, Entry* fresh);  // requires that `old` is there; same key
  void remove(const KeyRef& ref, const Entry* entry);         // requires that it is there

  size_t size() const { return size_; }
  bool is_resizing() const { return next_ != nullptr; }
  // Goes on with growing or shrinking: whole groups, until entries moved and groups visited together reach
  // `entries_max`. Returns how many entries moved.
  size_t step(size_t entries_max);

  // Appends the entries at `position` and a little behind it; returns the position to go on from, kEnd at the end.
  uint64_t scan(uint64_t position, std::vector<const Entry*>& out) const;
  static constexpr uint64_t kEnd = uint64_t{1} << 32;
  void collect_slot(Slot slot, size_t count_max, std::vector<const Entry*>& out) const;
  // An entry near a random place of the line, or nullptr if that place is empty.
  Entry* sample(uint64_t random) const;
  // Takes up to `count_max` entries out and destroys them, and takes their bytes off `entry_bytes`. The table is of no
  // other use afterwards. Returns how much was done: entries destroyed and, by eights, groups passed.
  size_t drain(size_t count_max, size_t& entry_bytes);

 private:
  TableGroup* home(uint32_t position) const;
  uint64_t* locate(const KeyRef& ref, const Entry* entry) const;
  void add_to_chain(TableGroup* group, uint64_t place);
  void start_resize(size_t groups);
  void finish_resize();
  void free_chain(TableGroup* first);

  TableMemory* memory_;
  uint64_t seed_;
  TableGroup* groups_ = nullptr;
  TableGroup* next_ = nullptr;
  size_t group_count_ = 0;
  size_t next_count_ = 0;
  size_t moved_ = 0;  // groups of groups_ whose entries are in next_
  size_t size_ = 0;
};

}  // namespace tidemark::cacheserver
