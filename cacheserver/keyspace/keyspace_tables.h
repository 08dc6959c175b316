// The heap, tables, slot counts, timers and far values of one generation of a keyspace: what FLUSHALL puts aside as a
// whole, to be given back chunk by chunk.
//
// Threads: one worker's own. I/O: none.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "cacheserver/entry/far_value.h"
#include "cacheserver/keyspace/expiry_wheel.h"
#include "cacheserver/keyspace/hash_table.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/keyspace/slot_index.h"

namespace tidemark::cacheserver {

struct Keyspace::Tables {
  static constexpr size_t kFarValuesPerDrop = 64;  // given back in the time of one chunk

  Tables(unsigned granule_shift, size_t chunk_bytes, uint64_t seed)
      : heap(granule_shift, chunk_bytes), context{&heap, seed}, wheel(heap.memory()) {
    tables.reserve(SlotIndex::kTables);
    for (uint32_t i = 0; i < SlotIndex::kTables; ++i) tables.emplace_back(context, i);
  }
  ~Tables() {
    while (!far_values.empty()) remove_far(far_values.begin()->second);
  }
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  HashTable& of(Slot slot) { return tables[SlotIndex::table_of(slot)]; }
  Entry& at(ItemId id) const { return static_cast<Entry&>(heap.at(id)); }
  ItemId id_of(const Entry& entry) const { return heap.memory().id_of(entry); }

  void add_far(FarValue* value) {
    far_values.emplace(value->data(), value);
    far_bytes += value->bytes_held();
  }
  // The entry's hold on it goes on: the caller ends it.
  void forget_far(FarValue* value) {
    far_bytes -= value->bytes_held();
    far_values.erase(value->data());
  }
  // Ends the entry's hold on it.
  void remove_far(FarValue* value) {
    forget_far(value);
    value->drop();
  }
  // The far value that `bytes` are the beginning of; nullptr: none of these.
  FarValue* far_of(std::string_view bytes) const {
    if (bytes.size() < kFarValueBytes) return nullptr;
    auto at = far_values.find(bytes.data());
    return at == far_values.end() ? nullptr : at->second;
  }

  // Gives back a bounded part of it; true when nothing is left.
  bool drop(size_t chunks_max) {
    for (size_t i = 0; i < chunks_max * kFarValuesPerDrop && !far_values.empty(); ++i)
      remove_far(far_values.begin()->second);
    return heap.drop(chunks_max) && far_values.empty();
  }

  size_t bytes_used() const { return kFixedBytes + heap.bytes_used() + far_bytes; }
  size_t bytes_held() const { return kFixedBytes + heap.bytes_held() + far_bytes; }

  static constexpr size_t kFixedBytes =
      kSlotCount * sizeof(uint32_t) + SlotIndex::kTables * (sizeof(HashTable) + sizeof(uint64_t)) + sizeof(ExpiryWheel);

  Heap heap;
  TableContext context;
  std::vector<HashTable> tables;
  SlotIndex slots;
  ExpiryWheel wheel;
  std::unordered_map<const char*, FarValue*> far_values;  // by their bytes
  size_t far_bytes = 0;
};

}  // namespace tidemark::cacheserver
