#include <gtest/gtest.h>

#include "base/topology/bootstrap.h"
#include "tools/admin/cluster_probe.h"
#include "tools/admin/table.h"

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

TEST(ProbeWorkers, TellsUnregisteredFromUnreachableWithinItsTimeout) {
  Topology topology;
  ASSERT_TRUE(add_nodes(topology, {{.id = "n1"}, {.id = "n2"}}));
  topology.nodes[1].worker_ports = {1};  // nobody listens there
  auto workers = probe_workers(topology, {.user = {}, .password = {}, .timeout = std::chrono::milliseconds(300)});
  ASSERT_EQ(workers.size(), 2u);
  EXPECT_EQ(workers[0].slots, 8192u);
  EXPECT_EQ(workers[0].tides.error().message, "it never registered its port");
  EXPECT_EQ(workers[1].tides.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace tidemark::admin
