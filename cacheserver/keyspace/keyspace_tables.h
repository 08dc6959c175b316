// The heap, tables, slot counts, timers and far values of one generation of a keyspace: what FLUSHALL puts aside as a
// whole, to be given back chunk by chunk.
//
// Threads: one worker's own. I/O: none.
#pragma once

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
    while (!far_values.empty()) remove_far(far_values.back());
  }
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  HashTable& of(Slot slot) { return tables[SlotIndex::table_of(slot)]; }
  Entry& at(ItemId id) const { return static_cast<Entry&>(heap.at(id)); }
  ItemId id_of(const Entry& entry) const { return heap.memory().id_of(entry); }

  void add_far(FarValue* value) {
    value->set_number(static_cast<uint32_t>(far_values.size()));
    far_values.push_back(value);
    far_bytes += value->bytes_held();
  }
  // Ends the entry's hold on it.
  void remove_far(FarValue* value) {
    far_bytes -= value->bytes_held();
    far_values.back()->set_number(value->number());
    far_values[value->number()] = far_values.back();
    far_values.pop_back();
    value->drop();
  }

  // The far value whose bytes begin at `data`; nullptr: none of these.
  FarValue* far_of(const char* data) const {
    const FarValue* maybe = data == nullptr ? nullptr : FarValue::maybe_of(data);
    if (maybe == nullptr || maybe->number() >= far_values.size()) return nullptr;
    FarValue* listed = far_values[maybe->number()];
    return listed == maybe ? listed : nullptr;
  }

  // Gives back a bounded part of it; true when nothing is left.
  bool drop(size_t chunks_max) {
    for (size_t i = 0; i < chunks_max * kFarValuesPerDrop && !far_values.empty(); ++i) remove_far(far_values.back());
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
  std::vector<FarValue*> far_values;
  size_t far_bytes = 0;
};

}  // namespace tidemark::cacheserver
