// The planner of the slot table: minimal moves, exact quotas, deterministic.
//
// plan(old table, groups) gives every group its weighted share of the 16,384 slots to within one slot, and moves no slot
// it need not move. Which slots a group gives or takes follows weighted rendezvous hashing (score = -w / ln(u), u from
// hash64(group id, block)), scored per block of 64 slots so that ranges stay long and CLUSTER SLOTS stays short. An
// empty table is filled by the same rule, so it is consistent hashing with the table as its memo.
// Source: rendezvous hashing (Thaler, Ravishankar 1998) with the quota step of capacity-bounded placement.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/topology/topology.h"

namespace tidemark {

struct SlotMove {
  Slot slot = 0;
  uint16_t from = kNoGroup;  // kNoGroup: the slot had no owner
  uint16_t to = kNoGroup;
  bool operator==(const SlotMove&) const = default;
};

struct SlotPlan {
  std::vector<uint16_t> slot_groups;  // kSlotCount
  std::vector<SlotMove> moves;        // ascending by slot
};

inline constexpr uint32_t kSlotsPerBlock = 64;

// `current` holds indexes into `groups` (kNoGroup = none) and has kSlotCount entries, or is empty. Groups of weight 0
// give everything away. Requires at least one group of positive weight.
SlotPlan plan_slots(const std::vector<uint16_t>& current, const std::vector<Group>& groups);

}  // namespace tidemark
