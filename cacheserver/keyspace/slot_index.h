// How many keys each slot has, which table holds a slot, and a fair choice among tables.
//
// There are 1,024 tables, each of 16 consecutive slots: few enough to stay in the cache, many enough that one slot's
// keys are found by reading one small table. A Fenwick tree over the tables' sizes turns "the n-th entry" into a table
// in ten steps.
//
// Threads: one worker's own. I/O: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/slot.h"

namespace tidemark::cacheserver {

class SlotIndex {
 public:
  static constexpr size_t kSlotsPerTable = 16;
  static constexpr size_t kTables = kSlotCount / kSlotsPerTable;
  static size_t table_of(Slot slot) { return slot / kSlotsPerTable; }

  void on_insert(Slot slot) {
    ++counts_[slot];
    add(table_of(slot), 1);
  }
  void on_erase(Slot slot) {
    --counts_[slot];
    add(table_of(slot), -1);
  }
  size_t count(Slot slot) const { return counts_[slot]; }

  // The table that holds entry number `rank` when tables stand in a row. Requires rank < the number of entries.
  size_t table_of_rank(uint64_t rank) const {
    size_t table = 0;
    for (size_t step = kTables; step > 0; step /= 2) {
      if (table + step <= kTables && tree_[table + step] <= rank) {
        table += step;
        rank -= tree_[table];
      }
    }
    return table;
  }

 private:
  void add(size_t table, int64_t change) {
    for (size_t i = table + 1; i <= kTables; i += i & (~i + 1)) tree_[i] += static_cast<uint64_t>(change);
  }

  std::vector<uint32_t> counts_ = std::vector<uint32_t>(kSlotCount);
  std::array<uint64_t, kTables + 1> tree_{};
};

}  // namespace tidemark::cacheserver
