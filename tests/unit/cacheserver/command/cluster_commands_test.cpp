#include "base/topology/slot_workers.h"
#include "cacheserver/worker/cluster_members.h"
#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

class ClusterCommandsTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    join(three_nodes());
  }
};

TEST_F(NodeTest, ALoneNodeHasNoCluster) {
  for (const char* command : {"cluster slots", "cluster info", "readonly", "asking", "cluster keyslot a"}) {
    EXPECT_EQ(send(std::string(command) + "\r\n"), "-ERR This instance has cluster support disabled\r\n") << command;
  }
}

TEST(ClusterView, MakesEveryWorkerAMemberAndLeavesOutWhatHasNoPort) {
  ClusterView view = cluster_view(three_nodes());
  ASSERT_EQ(view.members.size(), 3u);
  EXPECT_EQ(view.members[0].ranges, (std::vector<SlotRange>{{0, 5460}}));
  EXPECT_EQ(view.members[1].port, 7002);
  EXPECT_EQ(view.members[2].port, 7003);
  EXPECT_EQ(view.members[2].id, cluster_id_of("n2", 1));
  for (const SlotRange& range : view.members[2].ranges) {
    for (uint32_t slot = range.first; slot <= range.last; ++slot) {
      EXPECT_EQ(slot_workers(three_nodes())[slot], 1u);
    }
  }
  EXPECT_EQ(view.slots_assigned, kSlotCount);
  EXPECT_EQ(view.slots_served, 10923u);
}

TEST(ClusterView, AReplicaHasItsPrimarysSlots) {
  Topology topology = three_nodes();
  topology.groups[0].nodes = {"n1", "n3"};
  topology.nodes[2].worker_ports = {7009};
  ClusterView view = cluster_view(topology);
  ASSERT_EQ(view.shards[0].members.size(), 2u);
  const ClusterMember& replica = view.members[view.shards[0].members[1]];
  EXPECT_EQ(replica.primary_id, cluster_id_of("n1", 0));
  EXPECT_EQ(replica.ranges, view.members[0].ranges);
}

TEST_F(ClusterCommandsTest, SlotsNamesHostPortAndId) {
  const std::string reply = ask("cluster slots");
  const std::string first = "[[0, 5460, [\"10.0.0.1\", 7001, \"" + cluster_id_of("n1", 0) + "\", []]]";
  EXPECT_TRUE(reply.starts_with(first)) << reply.substr(0, 200);
  EXPECT_EQ(reply.find("\"\""), std::string::npos);
  EXPECT_EQ(reply.find("10.0.0.3"), std::string::npos);
}

TEST_F(ClusterCommandsTest, NodesMarksItself) {
  const std::string reply = send("cluster nodes\r\n");
  EXPECT_NE(reply.find(cluster_id_of("n1", 0) + " 10.0.0.1:7001@0 myself,master - 0 0 4 connected 0-5460\n"),
            std::string::npos)
      << reply.substr(0, 200);
  EXPECT_NE(reply.find(cluster_id_of("n2", 0) + " 10.0.0.2:7002@0 master - 0 0 5 connected "), std::string::npos);
}

TEST_F(ClusterCommandsTest, InfoFailsWhileSlotsAreNotServed) {
  EXPECT_NE(
      send("cluster info\r\n").find("cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:10923"),
      std::string::npos);
  Topology topology = three_nodes();
  topology.nodes[2].worker_ports = {7009};
  join(topology);
  EXPECT_NE(send("cluster info\r\n").find("cluster_state:ok\r\n"), std::string::npos);
}

TEST_F(ClusterCommandsTest, ShardsNamesRoleAndHealth) {
  const std::string reply = ask("cluster shards");
  EXPECT_NE(reply.find("\"endpoint\", \"10.0.0.1\", \"role\", \"master\""), std::string::npos) << reply.substr(0, 300);
}

TEST_F(ClusterCommandsTest, CountsAndListsTheKeysOfASlot) {
  send("set {bar}1 v\r\nset {bar}2 v\r\n");
  EXPECT_EQ(ask("cluster keyslot bar"), "5061");
  EXPECT_EQ(ask("cluster countkeysinslot 5061"), "2");
  EXPECT_EQ(send("cluster getkeysinslot 5061 1\r\n").substr(0, 4), "*1\r\n");
  EXPECT_EQ(send("cluster countkeysinslot 16384\r\n"), "-ERR Invalid slot\r\n");
  EXPECT_EQ(send("cluster getkeysinslot 1 -1\r\n"), "-ERR Invalid slot or number of keys\r\n");
}

TEST_F(ClusterCommandsTest, SaysWhoItIs) {
  EXPECT_EQ(send("cluster myid\r\n"), "$40\r\n" + cluster_id_of("n1", 0) + "\r\n");
  EXPECT_EQ(send("readonly\r\nreadwrite\r\nasking\r\n"), "+OK\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(send("select 1\r\n"), "-ERR SELECT is not allowed in cluster mode\r\n");
}

}  // namespace
}  // namespace tidemark::cacheserver
