#include "cacheserver/eviction/density_wheel.h"

#include <algorithm>
#include <bit>

namespace tidemark::cacheserver {
namespace {

constexpr unsigned kValueShift = 30;  // one hit on one byte is worth 2^30
constexpr unsigned kLevelShift = 2;   // each level's slots are four times as wide as the last one's
constexpr uint64_t kFarthest = (uint64_t{DensityWheel::kSlots} - 1) << kLevelShift * (DensityWheel::kLevels - 1);
static_assert(DensityWheel::kSlots == 64, "occupied_ has a bit per slot of a level");

}  // namespace

void DensityWheel::insert(ItemId id, uint32_t remembered, uint32_t bytes) {
  lists_.memory().at(id).set_policy_marks(kFirstState);
  place(id, std::max(remembered, 1u), bytes);
  ++size_;
}

void DensityWheel::hit(ItemId id, uint32_t remembered, uint32_t bytes) {
  ItemHead& head = lists_.memory().at(id);
  const size_t step = head.policy_marks() - kFirstState;
  if (step + 1 < kFrequencySteps.size() && dice_.one_in(kFrequencySteps[step + 1] - kFrequencySteps[step]))
    head.set_policy_marks(static_cast<uint8_t>(head.policy_marks() + 1));
  remove(id);
  place(id, std::max(remembered, frequency_of(head)), bytes);
  ++size_;
}

void DensityWheel::remove(ItemId id) {
  --size_;
  const uint32_t emptied = lists_.remove(id);
  if (emptied == ItemLists::kNowhere) return;
  const uint32_t slot = emptied - first_list_;
  occupied_[slot / kSlots] &= ~(uint64_t{1} << slot % kSlots);
}

// The first slot of each level is looked up in its bits, turned so that L's own slot comes first.
ItemId DensityWheel::next_to_leave() {
  uint64_t best = UINT64_MAX;
  uint32_t list = 0;
  for (uint32_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const uint64_t now = lowest_ >> kLevelShift * level;
    const auto turned = std::rotr(occupied_[level], static_cast<int>(now % kSlots));
    const uint64_t slot = now + static_cast<uint64_t>(std::countr_zero(turned));
    const uint64_t priority = slot << kLevelShift * level;
    if (priority >= best) continue;
    best = priority;
    list = first_list_ + level * kSlots + static_cast<uint32_t>(slot % kSlots);
  }
  if (best == UINT64_MAX) return kNoItem;
  lowest_ = std::max(lowest_, best);
  return lists_.oldest(list);
}

void DensityWheel::clear() {
  occupied_ = {};
  lowest_ = 0;
  size_ = 0;
}

void DensityWheel::place(ItemId id, uint32_t frequency, uint32_t bytes) {
  const uint64_t value =
      std::clamp<uint64_t>((uint64_t{frequency} << kValueShift) / std::max(bytes, 1u), 1, kFarthest - 1);
  uint32_t level = 0;
  while (value >> kLevelShift * level >= kSlots - 1) ++level;
  const auto slot = static_cast<uint32_t>((lowest_ + value) >> kLevelShift * level) % kSlots;
  occupied_[level] |= uint64_t{1} << slot;
  lists_.push_newest(first_list_ + level * kSlots + slot, id);
}

}  // namespace tidemark::cacheserver
