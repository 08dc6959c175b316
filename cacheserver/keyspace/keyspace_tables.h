// The tables, slot counts and timers of one generation of a keyspace: what FLUSHALL puts aside as a whole.
//
// Threads: one worker's own. I/O: none.
#pragma once

#include <memory>
#include <vector>

#include "cacheserver/keyspace/expiry_wheel.h"
#include "cacheserver/keyspace/hash_table.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/keyspace/slot_index.h"

namespace tidemark::cacheserver {

struct Keyspace::Tables {
  explicit Tables(uint64_t seed) {
    tables.reserve(SlotIndex::kTables);
    for (size_t i = 0; i < SlotIndex::kTables; ++i) tables.emplace_back(memory, seed);
  }
  ~Tables() {
    size_t bytes = 0;  // wraps; nobody counts any more
    for (HashTable& table : tables) {
      while (table.size() > 0) table.drain(table.size(), bytes);
    }
  }

  HashTable& of(Slot slot) { return tables[SlotIndex::table_of(slot)]; }
  size_t bytes_used() const { return sizeof(*this) + kFixedBytes + memory.bytes_used() + wheel.bytes_used(); }

  static constexpr size_t kFixedBytes = kSlotCount * sizeof(uint32_t) + SlotIndex::kTables * sizeof(HashTable);

  TableMemory memory;
  std::vector<HashTable> tables;
  SlotIndex slots;
  ExpiryWheel wheel;
  size_t drained = 0;  // tables already emptied, once this generation has been flushed
};

}  // namespace tidemark::cacheserver
