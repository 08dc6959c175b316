// How an eviction policy sees an entry: a 32-bit name, and twelve bytes at the place the name points to.
//
//     ItemId 7, shift 4:   base ──────────────── base + 112: | word0 | word1 | block | marks | key_size | value_size |
//     …
//                                                            └─ the policy's 8 bytes   └ low four bits too
//
// Invariants: 0 names nothing; the words and the low marks belong to one policy at a time and mean nothing to others.
// Threads: one worker's own. I/O: none. Limit: 2^32 - 1 places of 2^shift bytes each.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::cacheserver {

using ItemId = uint32_t;
inline constexpr ItemId kNoItem = 0;

struct ItemHead {
  uint32_t word0, word1;         // the policy's: list links, ticks, a priority …
  uint8_t block;                 // the arena's and the entry's, not the policy's
  uint8_t marks;                 // low four bits: the policy's; high four bits: the value's type
  uint8_t key_size, value_size;  // the entry's

  uint8_t policy_marks() const { return marks & kPolicyMarks; }
  void set_policy_marks(uint8_t value) { marks = static_cast<uint8_t>((marks & ~kPolicyMarks) | value); }

  // The policy's part of another head; the rest stays.
  void take_policy_part(const ItemHead& other) {
    word0 = other.word0;
    word1 = other.word1;
    set_policy_marks(other.policy_marks());
  }

  static constexpr uint8_t kPolicyMarks = 0x0f;
};
static_assert(sizeof(ItemHead) == 12);

class ItemMemory {
 public:
  ItemMemory(std::byte* base, unsigned shift) : base_(base), shift_(shift) {}

  ItemHead& at(ItemId id) const { return *reinterpret_cast<ItemHead*>(base_ + (uint64_t{id} << shift_)); }
  ItemId id_of(const ItemHead& head) const {
    return static_cast<ItemId>(static_cast<uint64_t>(reinterpret_cast<const std::byte*>(&head) - base_) >> shift_);
  }
  void prefetch(ItemId id) const { __builtin_prefetch(base_ + (uint64_t{id} << shift_), 1); }

 private:
  std::byte* base_;
  unsigned shift_;
};

}  // namespace tidemark::cacheserver
