#include "base/topology/slot_workers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/topology/bootstrap.h"
#include "base/topology/placement.h"

namespace tidemark {
namespace {

Topology cluster_of(size_t nodes, uint32_t workers) {
  Topology topology;
  std::vector<NodeSpec> specs;
  for (size_t i = 0; i < nodes; ++i) specs.push_back({.id = "n" + std::to_string(i), .workers = workers});
  EXPECT_TRUE(add_nodes(topology, specs));
  return topology;
}

// Runs of slots with the same owner: what CLUSTER SLOTS has as ranges.
template <typename OwnerOf>
size_t count_ranges(OwnerOf owner_of) {
  size_t ranges = 1;
  for (uint32_t slot = 1; slot < kSlotCount; ++slot) ranges += owner_of(slot) != owner_of(slot - 1);
  return ranges;
}

TEST(SlotWorkers, CutsTheSlotsOfAGroupIntoEqualRuns) {
  Topology topology = cluster_of(1, 4);
  std::vector<uint16_t> workers = slot_workers(topology);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) ASSERT_EQ(workers[slot], slot / 4096) << slot;
}

TEST(SlotWorkers, CountsOnlyTheGroupsOwnSlots) {
  Topology topology = cluster_of(2, 2);
  topology.slot_groups.assign(kSlotCount, 1);
  for (uint32_t slot : {0u, 1u, 2u, 3u, 640u, 641u, 642u, 643u}) topology.slot_groups[slot] = 0;
  std::vector<uint16_t> workers = slot_workers(topology);
  EXPECT_EQ(workers[3], 0);
  EXPECT_EQ(workers[640], 1);
}

TEST(SlotWorkers, ANodeWithOneWorkerHasEverythingOnIt) {
  std::vector<uint16_t> workers = slot_workers(cluster_of(3, 1));
  EXPECT_EQ(std::ranges::count(workers, 0), kSlotCount);
}

TEST(SlotWorkers, ServesNobodysSlotByNobody) {
  Topology topology = cluster_of(2, 2);
  topology.slot_groups[7] = kNoGroup;
  EXPECT_EQ(slot_workers(topology)[7], kNoWorker);
  topology.groups[0].nodes = {"gone"};
  std::vector<uint16_t> workers = slot_workers(topology);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    ASSERT_EQ(workers[slot] == kNoWorker, topology.slot_groups[slot] != 1) << slot;
  }
  EXPECT_EQ(std::ranges::count(slot_workers({}), kNoWorker), kSlotCount);
}

TEST(SlotWorkers, SharesEvenlyInFewRangesAtEverySize) {
  for (size_t nodes : {1, 2, 3, 5, 10, 32}) {
    for (uint32_t workers : {1u, 2u, 3u, 4u, 8u}) {
      Topology topology = cluster_of(nodes, workers);
      std::vector<uint16_t> table = slot_workers(topology);
      std::map<std::pair<uint16_t, uint16_t>, uint32_t> slots;
      for (uint32_t slot = 0; slot < kSlotCount; ++slot) ++slots[{topology.slot_groups[slot], table[slot]}];
      ASSERT_EQ(slots.size(), nodes * workers);
      for (size_t group = 0; group < nodes; ++group) {
        auto of_group = static_cast<uint32_t>(std::ranges::count(topology.slot_groups, static_cast<uint16_t>(group)));
        for (uint32_t worker = 0; worker < workers; ++worker) {
          double share = of_group / static_cast<double>(workers);
          ASSERT_NEAR((slots[{group, worker}]), share, kSlotsPerBucket) << nodes << " nodes of " << workers;
        }
      }
      size_t of_groups = count_ranges([&](uint32_t slot) { return topology.slot_groups[slot]; });
      size_t of_workers =
          count_ranges([&](uint32_t slot) { return std::pair(topology.slot_groups[slot], table[slot]); });
      ASSERT_LE(of_workers, of_groups + nodes * (workers - 1)) << nodes << " nodes of " << workers;
    }
  }
}

TEST(SlotWorkers, NeverCutsABucket) {
  for (uint32_t workers : {2u, 3u, 7u, 256u}) {
    Topology topology = cluster_of(3, workers);
    std::vector<uint16_t> table = slot_workers(topology);
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      uint32_t first = slot - slot % kSlotsPerBucket;
      if (topology.slot_groups[first] == topology.slot_groups[slot]) ASSERT_EQ(table[first], table[slot]) << slot;
    }
  }
}

TEST(SlotWorkers, AReplicaCutsAsItsPrimaryDoes) {
  Topology topology = cluster_of(3, 2);
  std::vector<uint16_t> all = slot_workers(topology);
  for (size_t group = 0; group < 3; ++group) {
    std::vector<uint16_t> table = slot_workers_of_group(topology, group, 2);
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      ASSERT_EQ(table[slot], topology.slot_groups[slot] == group ? all[slot] : kNoWorker);
    }
  }
}

// What a further node costs beyond the slots it takes: slots that stay on their node and change the worker.
TEST(SlotWorkers, ANewNodeMovesFewOtherSlotsBetweenWorkers) {
  Topology before = cluster_of(3, 2);
  Topology after = before;
  ASSERT_TRUE(add_nodes(after, {{.id = "n3", .workers = 2}}));
  std::vector<uint16_t> old_table = slot_workers(before), new_table = slot_workers(after);
  uint32_t stay = 0, change = 0;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (before.slot_groups[slot] != after.slot_groups[slot]) continue;
    ++stay;
    change += old_table[slot] != new_table[slot];
  }
  EXPECT_LT(change, stay / 10) << change << " of " << stay;
}

}  // namespace
}  // namespace tidemark
