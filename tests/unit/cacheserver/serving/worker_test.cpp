#include "cacheserver/serving/worker.h"

#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

using WorkerTest = NodeTest;

TEST_F(WorkerTest, RefusesAnUnknownPolicy) {
  WorkerConfig config;
  config.memory_policy = "random";
  auto worker = Worker::open({.identity = {}, .config = config, .credentials = {}, .clock = test_clock},
                             CommandTable::standard());
  ASSERT_FALSE(worker.has_value());
  EXPECT_EQ(worker.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(WorkerTest, EmptiesSlotsThatMovedAwayBitByBit) {
  Topology topology = three_nodes();
  topology.slot_groups.assign(kSlotCount, 0);
  join(topology);
  for (int i = 0; i < 5000; ++i) send("set {foo}" + std::to_string(i) + " v\r\n");  // slot 12182
  send("set bar v\r\n");
  join(three_nodes());
  EXPECT_EQ(worker_->keyspace().size(), 5001u);
  EXPECT_TRUE(worker_->tick(now_));
  EXPECT_LE(worker_->keyspace().size(), 5001u - Worker::kPurgedPerTick);
  EXPECT_GT(worker_->keyspace().size(), 5001u - Worker::kPurgedPerTick - 100);
  for (int i = 0; i < 10; ++i) worker_->tick(now_);
  EXPECT_EQ(worker_->keyspace().size(), 1u);
  EXPECT_EQ(worker_->view().stats().keys_purged.get(), 5000u);
}

TEST_F(WorkerTest, ASlotThatComesBackIsEmpty) {
  Topology all = three_nodes();
  all.slot_groups.assign(kSlotCount, 0);
  join(all);
  send("set foo old\r\n");
  Topology away = three_nodes();
  away.version = 8;
  join(away);
  all.version = 9;
  join(all);  // before any tick
  EXPECT_EQ(send("get foo\r\n"), "$-1\r\n");
}

TEST_F(WorkerTest, ANewSlotTableEndsTheLeasesAndLeavesTheShards) {
  Topology topology = three_nodes();
  join(topology);
  ASSERT_TRUE(worker_->freshness().fence_all(0, 1, Lsn{100}));
  EXPECT_EQ(worker_->freshness().joined_shards().size(), 1u);
  topology.version = 8;
  topology.slots_version = 4;
  topology.slot_groups.assign(kSlotCount, 0);  // it gains slots: what was invalidated there it cannot know
  join(topology);
  EXPECT_TRUE(worker_->freshness().joined_shards().empty());
  EXPECT_EQ(worker_->freshness().identity().slots_version, 4u);
}

TEST_F(WorkerTest, ATopologyThatChangesNothingHereKeepsTheShards) {
  join(three_nodes());
  ASSERT_TRUE(worker_->freshness().fence_all(0, 1, Lsn{100}));
  Topology topology = three_nodes();
  topology.version = 8;
  topology.nodes[2].worker_ports = {7009};
  join(topology);
  EXPECT_EQ(worker_->freshness().joined_shards().size(), 1u);
}

TEST_F(WorkerTest, PublishesItsGauges) {
  send("set k v\r\nget k\r\nget none\r\n");
  worker_->tick(now_);
  EXPECT_EQ(worker_->view().stats().keys.get(), 1u);
  EXPECT_EQ(worker_->view().stats().keyspace_hits.get(), 1u);
  EXPECT_EQ(worker_->view().stats().keyspace_misses.get(), 1u);
  EXPECT_GT(worker_->view().stats().memory_bytes_used.get(), 0u);
}

}  // namespace
}  // namespace tidemark::cacheserver
