// Items in the order of their value per byte: the one whose hits are dearest in memory goes first. Greedy-Dual-Size-
// Frequency without a heap.
//
// An item's priority is L + frequency / bytes at its last hit; the lowest leaves, and L rises to its priority, so that
// an item not hit for long is overtaken. Priorities are kept in the slots of a wheel, finer near L than far from it:
//
//     level 0: 64 slots of 1     level 1: 64 slots of 4     level 2: 64 slots of 16  …
//     distance 40 from L -> level 0, slot 40     distance 200 -> level 1, slot 50     distance 2000 -> level 3, slot 31
//
// A slot's width is at most a sixteenth of its distance, so the order is right to about 6 %. Inside a slot the item
// hit longest ago goes first. Every operation is a few list links.
//
// The frequency is the larger of two: hits while in the cache, kept in the item's marks as one of twelve steps that
// are climbed with falling probability, and what a sketch remembers from before.
// Threads: one owner. I/O: none. Source: L. Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-
// Frequency Caching Policy", HP Labs 1998. Changed: the wheel, the sketch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cacheserver/eviction/dice.h"
#include "cacheserver/eviction/item_lists.h"
#include "cacheserver/eviction/segments.h"

namespace tidemark::cacheserver {

class DensityWheel {
 public:
  static constexpr uint32_t kLevels = 16;
  static constexpr uint32_t kSlots = 64;
  static constexpr uint32_t kLists = kLevels * kSlots;
  static constexpr uint8_t kFirstState = Segments::kBeyond;  // the marks of its items are this and above
  static constexpr std::array<uint8_t, 12> kFrequencySteps = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

  // Uses the lists [first_list, first_list + kLists) of `lists`, which outlives it.
  DensityWheel(ItemLists& lists, uint32_t first_list) : lists_(lists), first_list_(first_list) {}

  // `remembered`: the sketch's frequency.
  void insert(ItemId id, uint32_t remembered, uint32_t bytes);
  void hit(ItemId id, uint32_t remembered, uint32_t bytes);
  void remove(ItemId id);
  ItemId next_to_leave();  // raises L

  static bool is_here(const ItemHead& head) { return head.policy_marks() >= kFirstState; }
  static uint32_t frequency_of(const ItemHead& head) { return kFrequencySteps[head.policy_marks() - kFirstState]; }
  size_t size() const { return size_; }
  void clear();

 private:
  void place(ItemId id, uint32_t frequency, uint32_t bytes);

  ItemLists& lists_;
  uint32_t first_list_;
  std::array<uint64_t, kLevels> occupied_{};  // a bit per slot
  uint64_t lowest_ = 0;                       // L
  size_t size_ = 0;
  Dice dice_;
};

}  // namespace tidemark::cacheserver
