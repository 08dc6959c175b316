// Splits a batch of keys by slot, so that every part is a request that one worker takes whole (no CROSSSLOT).
//
//   scatter_by_slot({"a", "b", "a"})   ->   {slot of a: 0, 2} {slot of b: 1}      parts in the order of their first key
//
// Threads: pure. I/O: none.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/slot.h"

namespace tidemark::client {

struct SlotPart {
  Slot slot = 0;
  std::vector<size_t> indexes;  // into the batch, ascending
  bool operator==(const SlotPart&) const = default;
};

// At most `part_max` keys in one part; more make several parts.
std::vector<SlotPart> scatter_by_slot(std::span<const std::string> keys, size_t part_max);

}  // namespace tidemark::client
