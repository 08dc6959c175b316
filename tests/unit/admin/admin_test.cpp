#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/topology/bootstrap.h"
#include "tools/admin/shard_probe.h"
#include "tools/admin/table.h"
#include "tools/admin/worker_probe.h"

namespace tidemark::admin {
namespace {

RespValue bulk(const std::string& text) {
  return {.kind = RespValue::Kind::kBulk, .text = text, .elements = {}};
}
RespValue array(std::vector<RespValue> elements) {
  return {.kind = RespValue::Kind::kArray, .text = {}, .elements = std::move(elements)};
}

TEST(Table, AlignsColumnsAndLeavesNoSpacesAtLineEnds) {
  Table table({"A", "LONG"});
  table.add({"abc", ""});
  table.add({"", "x"});
  EXPECT_EQ(table.to_string(), "A    LONG\nabc\n     x\n");
}

TEST(ReadTides, ReadsEachShardAndAnUnknownBound) {
  auto tides =
      read_tides(array({array({bulk("0"), bulk("3"), bulk("16/B3"), bulk("16/A0"), bulk("0/0"), bulk("-1")})}));
  ASSERT_TRUE(tides);
  ASSERT_EQ(tides->size(), 1u);
  EXPECT_EQ(tides->at(0).db_epoch, 3);
  EXPECT_EQ(tides->at(0).complete_through, "16/B3");
  EXPECT_EQ(tides->at(0).bound_ms, -1);
}

TEST(ReadTides, RefusesErrorsAndShortLines) {
  EXPECT_EQ(
      read_tides({.kind = RespValue::Kind::kError, .text = "ERR unknown command", .elements = {}}).error().message,
      "ERR unknown command");
  EXPECT_EQ(read_tides(array({array({bulk("0")})})).error().code, ErrorCode::kCorrupt);
}

TEST(ReadInfo, ReadsWhatStatusShows) {
  RespValue info = bulk(
      "# Server\r\nuptime_in_seconds:77\r\n# Clients\r\nconnected_clients:3\r\nused_memory:1024\r\nmaxmemory:2048\r\n"
      "instantaneous_ops_per_sec:9\r\nrole:master\r\ntopology_version:4\r\nslots_version:2\r\n"
      "# Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=0\r\n");
  auto measures = read_info(info);
  ASSERT_TRUE(measures);
  EXPECT_EQ(measures->role, "primary");
  EXPECT_EQ(measures->keys, 12u);
  EXPECT_EQ(measures->memory_bytes_used, 1024u);
  EXPECT_EQ(measures->memory_bytes_max, 2048u);
  EXPECT_EQ(measures->commands_per_second, 9u);
  EXPECT_EQ(measures->clients, 3u);
  EXPECT_EQ(measures->uptime_s, 77u);
  EXPECT_EQ(measures->topology_version, 4u);
  EXPECT_EQ(measures->slots_version, 2u);
}

TEST(ReadInfo, RefusesWhatIsNone) {
  EXPECT_EQ(read_info(bulk("hello")).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(read_info({.kind = RespValue::Kind::kError, .text = "NOAUTH", .elements = {}}).error().message, "NOAUTH");
}

class ProbeTest : public testing::Test {
 protected:
  static constexpr Duration kTimeout = std::chrono::milliseconds(300);
  void run() { context_.run_for(kTimeout + std::chrono::seconds(5)); }
  boost::asio::io_context context_;
};

TEST_F(ProbeTest, TellsUnregisteredWorkersFromUnreachableOnes) {
  Topology topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2", .workers = 2}}));
  topology.nodes[1].worker_ports = {1, 0};  // nobody listens there
  std::vector<WorkerState> workers;
  auto probe = WorkerProbe::start(context_, topology, {.user = {}, .password = {}, .timeout = kTimeout}, workers);
  run();
  ASSERT_EQ(workers.size(), 3u);
  EXPECT_EQ(workers[0].slots, 8192u);
  EXPECT_EQ(workers[1].slots, 4096u);
  EXPECT_EQ(workers[0].measures.error().message, "it never registered its port");
  EXPECT_EQ(workers[1].measures.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(workers[2].measures.error().message, "it never registered its port");
  EXPECT_EQ(count_served_slots(topology, workers), 0u);
}

TEST_F(ProbeTest, EveryServerThatCannotBeReachedSaysWhy) {
  Topology topology;
  topology.shards = {{.id = 3,
                      .servers = {{.name = "p", .conninfo = "host=/nowhere dbname=x"},
                                  {.name = "r", .role = ShardServer::Role::kReplica, .conninfo = "host=/nowhere"}}}};
  topology.buckets.assign(kBucketCount, {.shard = 3, .epoch = 1});
  std::vector<ShardState> shards;
  auto probe = ShardProbe::start(context_, topology, {.role = "x", .passfile = {}, .timeout = kTimeout}, shards);
  run();
  ASSERT_EQ(shards.size(), 1u);
  EXPECT_EQ(shards[0].buckets, kBucketCount);
  EXPECT_EQ(shards[0].buckets_owned, std::nullopt);
  for (const ServerState& server : shards[0].servers) {
    ASSERT_FALSE(server.measures);
    EXPECT_NE(server.measures.error().message.find("/nowhere"), std::string::npos) << server.measures.error().message;
  }
}

}  // namespace
}  // namespace tidemark::admin
