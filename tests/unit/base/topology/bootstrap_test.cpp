#include "base/topology/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace tidemark {
namespace {

using testing::HasSubstr;

TEST(Bootstrap, GivesEachNodeAGroupAndItsShareOfTheSlots) {
  Topology topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2", .workers = 2}}));
  EXPECT_EQ(topology.slots_version, 1u);
  EXPECT_EQ(topology.groups.at(1).id, "g-n2");
  EXPECT_EQ(topology.find_node("n2")->workers, 2u);
  EXPECT_EQ(std::ranges::count(topology.slot_groups, 0), 8192);
}

TEST(Bootstrap, ChangesNothingTheSecondTime) {
  Topology topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2"}}));
  topology.nodes[0].worker_ports = {7001};
  Topology before = topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2"}}));
  EXPECT_EQ(topology, before);
}

TEST(Bootstrap, MovesOnlyTheShareOfANodeThatJoins) {
  Topology topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2"}}));
  Topology before = topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n3"}}));
  EXPECT_EQ(topology.slots_version, 2u);
  size_t moved = 0;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (topology.slot_groups[slot] == before.slot_groups[slot]) continue;
    EXPECT_EQ(topology.slot_groups[slot], 2);
    ++moved;
  }
  EXPECT_EQ(moved, 5461u);
}

TEST(Bootstrap, ForgetsThePortsOfANodeThatMovedToAnotherHost) {
  Topology topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}}));
  topology.nodes[0].worker_ports = {7001};
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1", .host = "b"}}));
  EXPECT_TRUE(topology.nodes[0].worker_ports.empty());
}

TEST(Bootstrap, RefusesAndLeavesTheTopologyAlone) {
  Topology topology;
  EXPECT_THAT(add_nodes(topology, {{.id = "n1"}, {.id = "n1"}}).error().message, HasSubstr("named twice"));
  EXPECT_THAT(add_nodes(topology, {{.id = "a b"}}).error().message, HasSubstr("node id \"a b\""));
  EXPECT_THAT(add_nodes(topology, {{.id = "n1", .weight = 0}}).error().message, HasSubstr("positive weight"));
  EXPECT_EQ(topology, Topology{});
}

TEST(NodeSpec, ReadsItsForms) {
  EXPECT_EQ(parse_node_spec("n1", 2), (NodeSpec{.id = "n1", .workers = 2}));
  EXPECT_EQ(parse_node_spec("n1@h.x/4*2.5", 1), (NodeSpec{.id = "n1", .host = "h.x", .workers = 4, .weight = 2.5}));
  EXPECT_EQ(parse_node_spec("n1*0.5", 1), (NodeSpec{.id = "n1", .weight = 0.5}));
  for (std::string_view bad : {"", "@h", "n1@", "n1/0", "n1/x", "n1*x", "n1*-1", "n1*nan"})
    EXPECT_FALSE(parse_node_spec(bad, 1)) << bad;
}

}  // namespace
}  // namespace tidemark
