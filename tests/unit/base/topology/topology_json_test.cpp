#include "base/topology/topology_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/topology/placement.h"
#include "base/topology/topology_check.h"

namespace tidemark {
namespace {

using testing::HasSubstr;

Topology sample() {
  Topology topology;
  topology.version = 17;
  topology.slots_version = 4;
  topology.nodes = {{.id = "n1", .worker_ports = {7001, 7002}, .metrics_port = 9001, .workers = 2},
                    {.id = "n2", .host = "cache-2.example", .worker_ports = {}},
                    {.id = "n3", .host = "::1", .worker_ports = {0}}};
  topology.groups = {{.id = "g1", .epoch = 3, .nodes = {"n1", "n3"}}, {.id = "g2", .nodes = {"n2"}, .weight = 2.5}};
  topology.slot_groups = plan_slots({}, topology.groups).slot_groups;
  topology.slot_groups[100] = kNoGroup;
  topology.shards = {{.id = 0,
                      .servers = {{.name = "s0-primary", .conninfo = "host=/tmp/x port=5432 dbname=tidemark"},
                                  {.name = "s0-replica", .role = ShardServer::Role::kReplica, .conninfo = "host=b"}}},
                     {.id = 7, .servers = {}}};
  topology.buckets.assign(kBucketCount, {.shard = 0, .epoch = 1});
  topology.buckets[4095] = {.shard = 7, .epoch = 9};
  topology.families_version = 2;
  topology.families = {
      {.name = "product", .pattern = "product:{<sku>}", .table = "catalog.product", .key_columns = {"sku"}},
      {.name = "session", .pattern = "session:{<token>}", .table = {}, .key_columns = {}, .ttl_ms = 5}};
  topology.lanes = {{.lane = 3, .owner = "order-1", .holder = "5f3a", .until = {1735689605000}},
                    {.lane = 9, .owner = "order-2", .holder = "77", .until = {0}}};
  return topology;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

TEST(TopologyJson, ComesBackAsItWentIn) {
  Topology topology = sample();
  Result<Topology> back = decode_topology(encode_topology(topology));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, topology);
}

TEST(TopologyJson, ComesBackWithoutSlotsBucketsAndFamilies) {
  Topology topology;
  topology.version = 1;
  Result<Topology> back = decode_topology(encode_topology(topology));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, topology);
}

TEST(TopologyJson, IsTheSameTextForTheSameValue) {
  EXPECT_EQ(encode_topology(sample()), encode_topology(sample()));
}

struct Refusal {
  std::string what, with, message;
};

class TopologyJsonRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(TopologyJsonRefusal, NamesWhatIsWrong) {
  Result<Topology> back = decode_topology(replaced(encode_topology(sample()), GetParam().what, GetParam().with));
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(back.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, TopologyJsonRefusal,
    testing::Values(Refusal{"\"lane\":9", "\"lane\":32", "id lane 32: lanes are 0 to 31"},
                    Refusal{"\"lane\":9", "\"lane\":3", "id lane 3 stands twice or out of order"},
                    Refusal{"order-2", "order 2", "id lane 9: owner \"order 2\""},
                    Refusal{"\"holder\":\"77\"", "\"holder\":\"\"", "id lane 9: holder \"\""},
                    Refusal{"\"until_ms\":0", "\"until_ms\":-1", "until_ms must be a whole number"},
                    Refusal{"{", "", "not JSON"}, Refusal{"\"format\": 1", "\"format\": 2", "format is not 1"},
                    Refusal{"\"version\": 17", "\"version\": -1", "version must be a whole number"},
                    Refusal{"\"version\": 17", "\"vision\": 17", "unknown field \"vision\""},
                    Refusal{"\"id\":\"n2\"", "\"id\":\"n1\"", "node \"n1\" stands twice"},
                    Refusal{"\"id\":\"n2\"", "\"id\":\"\"", "node id \"\""},
                    Refusal{"\"host\":\"::1\"", "\"host\":\"a b\"", "host"},
                    Refusal{"\"host\":\"::1\"", "\"host\":5", "nodes[2]: host must be a text"},
                    Refusal{"\"workers\":2", "\"workers\":3", "worker_ports must be empty or one for each"},
                    Refusal{"\"workers\":2", "\"workers\":0", "workers must be from 1"},
                    Refusal{"7001", "70010", "worker_ports must hold numbers"},
                    Refusal{"[\"n1\",\"n3\"]", "[\"n1\",\"n9\"]", "node \"n9\" is not in nodes"},
                    Refusal{"[\"n1\",\"n3\"]", "[\"n1\",\"n2\"]", "node \"n2\" is in two groups"},
                    Refusal{"[\"n1\",\"n3\"]", "[]", "group \"g1\" has no node"},
                    Refusal{"\"weight\":2.5", "\"weight\":-2.5", "weight must be 0 or more"},
                    Refusal{"\"id\":\"g2\"", "\"id\":\"g1\"", "group \"g2\" is not in groups"},
                    Refusal{"\"group\":\"g", "\"group\":\"x", "is not in groups"},
                    Refusal{"\"from\":0,", "\"from\":16384,", "from must be a whole number from 0 to 16383"},
                    Refusal{"\"role\":\"replica\"", "\"role\":\"primary\"", "two primaries"},
                    Refusal{"\"role\":\"replica\"", "\"role\":\"boss\"", "role must be primary or replica"},
                    Refusal{"host=b", "host=b password=x", "must not hold a password"},
                    Refusal{"\"id\":7", "\"id\":0", "shard 0 stands twice"},
                    Refusal{"\"shard\":7", "\"shard\":8", "shard 8, which is not in shards"},
                    Refusal{"\"from\":4095,", "\"from\":4094,", "overlap"},
                    Refusal{"\"to\":4094,", "\"to\":4093,", "must start at 4094"},
                    Refusal{"{<sku>}", "<sku>", "needs one {<parameter>}"},
                    Refusal{"[\"sku\"]", "[]", "one column for each"},
                    Refusal{"session:{", "product:{", "prefix \"product:{\" is another family's"},
                    Refusal{"\"name\":\"session\"", "\"name\":\"product\"", "name stands twice"},
                    Refusal{"catalog.product", "product", "schema.table"},
                    Refusal{"\"ttl_ms\":5", "\"ttl_ms\":0", "ttl_ms must be"},
                    Refusal{"\"families_version\": 2,", "", "families_version is missing"}));

TEST(TopologyJson, RefusesOverlappingSlotRanges) {
  Topology topology = sample();
  std::string text = encode_topology(topology);
  std::string range = "{\"from\":0,\"to\":";
  Result<Topology> back =
      decode_topology(replaced(text, range, "{\"from\":0,\"to\":99,\"group\":\"g1\"},\n    " + range));
  ASSERT_FALSE(back);
  EXPECT_THAT(back.error().message, HasSubstr("ranges must ascend and not overlap"));
}

TEST(TopologyJson, RefusesTwoGroupsOfOneName) {
  Topology topology = sample();
  topology.groups[1].id = "g1";
  EXPECT_THAT(check_topology(topology).error().message, HasSubstr("group \"g1\" stands twice"));
}

TEST(FamiliesJson, ComeBackAsTheyWentIn) {
  Result<std::vector<Family>> back = decode_families(encode_families(sample().families));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, sample().families);
}

TEST(FamiliesJson, FillInTheDefaultsOfFieldsLeftOut) {
  auto families = decode_families(R"({"families": [{"name": "a", "pattern": "a:{<id>}"}]})");
  ASSERT_TRUE(families) << families.error().to_string();
  EXPECT_EQ(families->at(0).ttl_ms, 3'600'000u);
  EXPECT_EQ(families->at(0).max_stale_ms, 60'000u);
}

TEST(FamiliesJson, RefuseAnUnknownFieldByName) {
  auto families = decode_families(R"({"families": [{"name": "a", "pattern": "a:{<id>}", "ttl": 5}]})");
  ASSERT_FALSE(families);
  EXPECT_EQ(families.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(families.error().message, HasSubstr("families[0]: unknown field \"ttl\""));
}

TEST(Topology, FindsTheOwnersOfSlotsAndBuckets) {
  Topology topology = sample();
  EXPECT_EQ(topology.group_of_slot(100), nullptr);
  EXPECT_EQ(topology.primary_of_slot(100), nullptr);
  const Group* owner = topology.group_of_slot(0);
  ASSERT_NE(owner, nullptr);
  EXPECT_EQ(topology.primary_of_slot(0)->id, owner->nodes[0]);
  EXPECT_EQ(topology.owner_of_bucket(4095), (BucketOwner{7, 9}));
  EXPECT_EQ(topology.find_shard(0)->primary()->name, "s0-primary");
  EXPECT_EQ(topology.find_shard(7)->primary(), nullptr);
  EXPECT_EQ(Topology{}.owner_of_bucket(1), std::nullopt);
}

TEST(Topology, ClusterIdsAreSha1OfNodeAndWorker) {
  EXPECT_EQ(cluster_id_of("n1", 0).size(), 40u);
  EXPECT_NE(cluster_id_of("n1", 0), cluster_id_of("n1", 1));
}

}  // namespace
}  // namespace tidemark
