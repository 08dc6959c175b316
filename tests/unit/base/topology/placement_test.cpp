#include "base/topology/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace tidemark {
namespace {

Group group(const std::string& id, double weight = 1.0) {
  return {.id = id, .nodes = {"n-" + id}, .weight = weight};
}

std::vector<uint32_t> counts_of(const std::vector<uint16_t>& table, size_t groups) {
  std::vector<uint32_t> counts(groups, 0);
  for (uint16_t index : table) ++counts.at(index);
  return counts;
}

size_t ranges_of(const std::vector<uint16_t>& table) {
  size_t ranges = 1;
  for (size_t i = 1; i < table.size(); ++i) ranges += table[i] != table[i - 1];
  return ranges;
}

// The fewest moves any table with the same counts could have made.
size_t moves_needed(const std::vector<uint16_t>& before, const std::vector<uint16_t>& after, size_t groups) {
  std::vector<uint32_t> have(groups, 0), want = counts_of(after, groups);
  for (uint16_t index : before) {
    if (index != kNoGroup) ++have[index];
  }
  size_t moves = 0;
  for (size_t i = 0; i < groups; ++i) moves += want[i] > have[i] ? want[i] - have[i] : 0;
  return moves;
}

TEST(Placement, GivesEqualGroupsEqualSharesToWithinOneSlot) {
  for (size_t n : {1u, 2u, 3u, 5u, 7u, 100u}) {
    std::vector<Group> groups;
    for (size_t i = 0; i < n; ++i) groups.push_back(group("g" + std::to_string(i)));
    auto counts = counts_of(plan_slots({}, groups).slot_groups, n);
    auto [least, most] = std::ranges::minmax(counts);
    EXPECT_LE(most - least, 1u) << n;
  }
}

TEST(Placement, GivesWeightedSharesToWithinOneSlot) {
  std::vector<Group> groups{group("a", 1), group("b", 2.5), group("c", 0.1), group("d", 0)};
  auto counts = counts_of(plan_slots({}, groups).slot_groups, groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    EXPECT_LT(std::abs(counts[i] - kSlotCount * groups[i].weight / 3.6), 1.0) << groups[i].id;
  }
  EXPECT_EQ(counts[3], 0u);
}

TEST(Placement, MovesNothingWhenNothingChanged) {
  std::vector<Group> groups{group("a"), group("b"), group("c")};
  SlotPlan first = plan_slots({}, groups);
  EXPECT_EQ(first.moves.size(), kSlotCount);
  EXPECT_EQ(first.moves[5], (SlotMove{5, kNoGroup, first.slot_groups[5]}));
  EXPECT_TRUE(plan_slots(first.slot_groups, groups).moves.empty());
}

TEST(Placement, DoesNotDependOnTheOrderOfTheGroups) {
  std::vector<Group> groups{group("a"), group("b", 2), group("c")};
  std::vector<Group> turned{group("c"), group("a"), group("b", 2)};
  auto first = plan_slots({}, groups).slot_groups;
  auto second = plan_slots({}, turned).slot_groups;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) ASSERT_EQ(groups[first[slot]].id, turned[second[slot]].id) << slot;
}

TEST(Placement, ListsExactlyTheSlotsThatChangedAscending) {
  std::vector<Group> groups{group("a"), group("b")};
  auto before = plan_slots({}, groups).slot_groups;
  groups.push_back(group("c"));
  SlotPlan plan = plan_slots(before, groups);
  ASSERT_EQ(plan.moves.size(), 5461u);  // 16384 / 3, the whole share of c and no slot more
  auto table = before;
  for (const SlotMove& move : plan.moves) {
    EXPECT_EQ(table[move.slot], move.from);
    table[move.slot] = move.to;
  }
  EXPECT_EQ(table, plan.slot_groups);
  EXPECT_TRUE(std::ranges::is_sorted(plan.moves, {}, &SlotMove::slot));
}

TEST(Placement, MovesTheFewestSlotsOverRandomHistoriesAndKeepsRangesFew) {
  std::mt19937_64 random(20261124);
  std::vector<Group> groups{group("g0"), group("g1"), group("g2")};
  std::vector<uint16_t> table = plan_slots({}, groups).slot_groups;
  int next_id = 3;
  for (int step = 0; step < 120; ++step) {
    uint64_t action = random() % 3;
    if (action == 0 && groups.size() < 12) {
      groups.push_back(group("g" + std::to_string(next_id++), 0.5 + static_cast<double>(random() % 8) / 4));
    } else if (action == 1 && groups.size() > 2) {
      auto gone = static_cast<uint16_t>(random() % groups.size());
      groups.erase(groups.begin() + gone);
      for (uint16_t& index : table) {
        if (index == gone)
          index = kNoGroup;
        else if (index > gone)
          --index;
      }
    } else {
      groups[random() % groups.size()].weight = 0.5 + static_cast<double>(random() % 8) / 4;
    }
    double weights = 0;
    for (const Group& each : groups) weights += each.weight;
    SlotPlan plan = plan_slots(table, groups);
    auto counts = counts_of(plan.slot_groups, groups.size());
    for (size_t i = 0; i < groups.size(); ++i) {
      ASSERT_LT(std::abs(counts[i] - kSlotCount * groups[i].weight / weights), 1.0) << "step " << step;
    }
    ASSERT_EQ(plan.moves.size(), moves_needed(table, plan.slot_groups, groups.size())) << "step " << step;
    table = plan.slot_groups;
    ASSERT_LE(ranges_of(table), 1200u) << "step " << step;
  }
}

TEST(Placement, KeepsAFreshTableInFewRanges) {
  std::vector<Group> groups{group("a"), group("b"), group("c")};
  EXPECT_LE(ranges_of(plan_slots({}, groups).slot_groups), 260u);
}

TEST(Placement, AGroupOfWeightZeroGivesEverythingAway) {
  std::vector<Group> groups{group("a"), group("b")};
  auto table = plan_slots({}, groups).slot_groups;
  groups[0].weight = 0;
  SlotPlan plan = plan_slots(table, groups);
  EXPECT_EQ(plan.moves.size(), 8192u);
  EXPECT_EQ(counts_of(plan.slot_groups, 2), (std::vector<uint32_t>{0, kSlotCount}));
}

}  // namespace
}  // namespace tidemark
