#include "client/cluster/cluster_view.h"

#include <gtest/gtest.h>

#include "client/cluster/key_scatter.h"

namespace tidemark::client {
namespace {

// n1 has two workers and the lower half of the slots, n2 one worker and the next quarter, nobody the rest.
std::shared_ptr<const Topology> topology_of(uint64_t version, std::vector<uint16_t> ports_of_n1) {
  auto topology = std::make_shared<Topology>();
  topology->version = version;
  topology->nodes.push_back({"n1", "127.0.0.1", std::move(ports_of_n1), 0, 2});
  topology->nodes.push_back({"n2", "10.0.0.2", {7200}, 0, 1});
  topology->groups.push_back({"g1", 1, {"n1"}, 1.0});
  topology->groups.push_back({"g2", 1, {"n2"}, 1.0});
  topology->slot_groups.assign(kSlotCount, kNoGroup);
  for (size_t slot = 0; slot < 8192; ++slot) topology->slot_groups[slot] = 0;
  for (size_t slot = 8192; slot < 12288; ++slot) topology->slot_groups[slot] = 1;
  return topology;
}

std::string address_of(const ClusterView& view, Slot slot) {
  auto worker = view.worker_of(slot);
  return worker ? view.address(*worker).to_string() : std::string(to_string(worker.error().code));
}

TEST(ClusterView, FindsTheWorkerOfASlot) {
  ClusterView view;
  EXPECT_EQ(address_of(view, 0), "FAILED_PRECONDITION");
  EXPECT_TRUE(view.set_topology(topology_of(1, {7001, 7002})));
  EXPECT_EQ(address_of(view, 0), "127.0.0.1:7001");
  EXPECT_EQ(address_of(view, 4095), "127.0.0.1:7001");
  EXPECT_EQ(address_of(view, 4096), "127.0.0.1:7002");
  EXPECT_EQ(address_of(view, 8192), "10.0.0.2:7200");
  EXPECT_EQ(address_of(view, 12288), "FAILED_PRECONDITION");
}

TEST(ClusterView, ANodeWithoutAPortIsUnavailable) {
  ClusterView view;
  view.set_topology(topology_of(1, {7001}));
  EXPECT_EQ(address_of(view, 4096), "UNAVAILABLE");
}

TEST(ClusterView, TakesOnlyNewerVersions) {
  ClusterView view;
  EXPECT_TRUE(view.set_topology(topology_of(5, {7001, 7002})));
  EXPECT_FALSE(view.set_topology(topology_of(5, {8001, 8002})));
  EXPECT_FALSE(view.set_topology(topology_of(4, {8001, 8002})));
  EXPECT_FALSE(view.set_topology(nullptr));
  EXPECT_EQ(address_of(view, 0), "127.0.0.1:7001");
}

TEST(ClusterView, RemembersMovedUntilTheNextTopology) {
  ClusterView view;
  view.set_topology(topology_of(1, {7001, 7002}));
  ASSERT_TRUE(view.note_moved(1, "10.0.0.2:7200"));
  EXPECT_EQ(address_of(view, 1), "10.0.0.2:7200");
  EXPECT_EQ(address_of(view, 0), "127.0.0.1:7001") << "one slot was named";
  view.set_topology(topology_of(2, {7001, 7002}));
  EXPECT_EQ(address_of(view, 1), "127.0.0.1:7001");
}

TEST(ClusterView, TellsWhichWorkersAreNoLongerInUse) {
  ClusterView view;
  view.set_topology(topology_of(1, {7001, 7002}));
  const uint16_t old_worker = *view.worker_of(0);
  view.set_topology(topology_of(2, {9001, 7002}));
  EXPECT_FALSE(view.is_in_use(old_worker));
  EXPECT_TRUE(view.is_in_use(*view.worker_of(0)));
  EXPECT_EQ(address_of(view, 0), "127.0.0.1:9001");
}

TEST(ClusterView, RefusesAnAddressThatIsNone) {
  ClusterView view;
  for (const char* bad : {"", "host", "host:", ":7", "host:0", "host:70000", "host:7x"}) {
    EXPECT_EQ(view.note_moved(1, bad).error().code, ErrorCode::kInvalidArgument) << bad;
  }
}

TEST(ParseMoved, ReadsSlotAndAddress) {
  auto moved = parse_moved("MOVED 3999 127.0.0.1:6381", "10.0.0.9");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->address, "127.0.0.1:6381");
  EXPECT_EQ(parse_moved("MOVED 3999 :6381", "10.0.0.9")->address, "10.0.0.9:6381");
  for (const char* other : {"ERR no", "MOVED", "MOVED 1", "MOVED 16384 h:1", "MOVED x h:1", "MOVED 1 h", "ASK 1 h:1"}) {
    EXPECT_FALSE(parse_moved(other, "h")) << other;
  }
}

TEST(KeyScatter, GathersTheKeysOfASlotInTheOrderOfTheFirst) {
  const std::vector<std::string> keys{"{a}1", "b", "{a}2", "b"};
  const auto parts = scatter_by_slot(keys, 10);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0], (SlotPart{slot_of_key("a"), {0, 2}}));
  EXPECT_EQ(parts[1], (SlotPart{slot_of_key("b"), {1, 3}}));
}

TEST(KeyScatter, NoPartIsLargerThanAllowed) {
  const std::vector<std::string> keys(5, "a");
  const auto parts = scatter_by_slot(keys, 2);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].indexes, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(parts[2].indexes, (std::vector<size_t>{4}));
}

}  // namespace
}  // namespace tidemark::client
