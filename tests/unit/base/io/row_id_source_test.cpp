#include "base/io/row_id_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/topology/lane_leases.h"

namespace tidemark::io {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kStart = kRowIdEpochMs + 1'000'000;

class RowIdSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tidemark-ids-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    Topology topology;
    topology.nodes = {{.id = "n1", .worker_ports = {}}};
    ASSERT_TRUE(store().compare_and_set(0, topology));
  }
  void TearDown() override { fs::remove_all(root_); }

  TopologyStoreFile store() { return TopologyStoreFile::open(root_).value(); }
  std::shared_ptr<RowIdSource> lease(const std::string& owner) {
    auto source = RowIdSource::lease(store(), owner, [this] { return UnixMillis{now_}; });
    EXPECT_TRUE(source) << source.error().message;
    return source.value_or(nullptr);
  }
  std::vector<LaneLease> lanes() { return store().load()->lanes; }

  fs::path root_;
  std::atomic<int64_t> now_ = kStart;
};

TEST_F(RowIdSourceTest, MakesIdsInItsLaneAndTheBucketAskedFor) {
  auto a = lease("a"), b = lease("b");
  Result<RowId> id = b->next(77);
  ASSERT_TRUE(id);
  EXPECT_EQ(parts_of_row_id(*id), (RowIdParts{{kStart}, 77, 1, 0}));
  EXPECT_EQ(a->lane(), 0u);
  EXPECT_EQ(b->lane(), 1u);
}

TEST_F(RowIdSourceTest, NewRootsLieInManyBuckets) {
  auto ids = lease("a");
  std::set<Bucket> buckets;
  for (int i = 0; i < 1000; ++i) buckets.insert(bucket_of_row_id(ids->next_root().value()));
  EXPECT_GT(buckets.size(), 500u);
}

TEST_F(RowIdSourceTest, WorksWithTheSystemsClock) {
  auto ids = RowIdSource::lease(store(), "a").value();
  std::set<RowId> seen;
  for (int i = 0; i < 100; ++i) seen.insert(ids->next(5).value());  // more than a millisecond holds: it waits
  EXPECT_EQ(seen.size(), 100u);
}

TEST_F(RowIdSourceTest, ThreadsNeverGetTheSameId) {
  auto ids = RowIdSource::lease(store(), "a").value();
  std::vector<std::vector<RowId>> made(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < made.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) made[t].push_back(ids->next(static_cast<Bucket>(i % 50)).value());
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<RowId> all;
  for (const auto& some : made) all.insert(some.begin(), some.end());
  EXPECT_EQ(all.size(), 2000u);
}

TEST_F(RowIdSourceTest, NeedsATopology) {
  auto empty = TopologyStoreFile::open(root_ / "empty").value();
  auto source = RowIdSource::lease(empty, "a");
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kNotFound);
}

TEST_F(RowIdSourceTest, RefusesANameThatCannotStandInTheTopology) {
  auto source = RowIdSource::lease(store(), "two words");
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(source.error().message, HasSubstr("two words"));
}

TEST_F(RowIdSourceTest, GivesTheLaneBackAtItsEnd) {
  lease("a")->next(1).value();
  EXPECT_EQ(lanes().at(0).until, UnixMillis{kStart + 1});
  now_ += 1;
  EXPECT_EQ(lease("b")->lane(), 1u) << "lanes never used go first";
  EXPECT_EQ(lease("a")->lane(), 0u) << "and one's own before them";
}

TEST_F(RowIdSourceTest, RenewsOnlyOnceHalfTheLeaseIsOver) {
  auto ids = lease("a");
  uint64_t version = store().load()->version;
  now_ += kLaneRenewAfterMs - 1;
  EXPECT_TRUE(ids->keep_lease());
  EXPECT_EQ(store().load()->version, version);
  now_ += 1;
  EXPECT_TRUE(ids->keep_lease());
  EXPECT_EQ(store().load()->version, version + 1);
  EXPECT_EQ(lanes().at(0).until.value, now_ + kLaneLeaseMs);
  now_ += kLaneLeaseMs - 1;
  EXPECT_TRUE(ids->next(1)) << "the renewal counts";
}

TEST_F(RowIdSourceTest, AfterASuspensionItGoesOnOnlyWithANewLease) {
  auto ids = lease("a");
  {
    fs::rename(root_ / "topology.00000000000000000002.json", root_ / "away");  // no renewal before we say so
    fs::remove(root_ / "topology.00000000000000000001.json");
    now_ += kLaneLeaseMs;
    Result<RowId> id = ids->next(1);
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(id.error().message, HasSubstr("no lease of a lane"));
    EXPECT_FALSE(ids->keep_lease());
    EXPECT_FALSE(ids->next(1));
    fs::rename(root_ / "away", root_ / "topology.00000000000000000002.json");
  }
  EXPECT_TRUE(ids->keep_lease());
  EXPECT_TRUE(ids->next(1));
}

TEST_F(RowIdSourceTest, ALaneThatWentToAnotherOwnerIsReplacedByAnother) {
  auto ids = lease("a");
  Topology taken = store()
                       .update([&](Topology& topology) -> Status {
                         topology.lanes.at(0).owner = "b";
                         topology.lanes.at(0).holder = "holder-of-b";
                         return {};
                       })
                       .value();
  ids->observe(taken);
  Result<RowId> refused = ids->next(1);
  if (!refused) EXPECT_THAT(refused.error().message, HasSubstr("\"b\""));  // unless its thread was faster
  EXPECT_TRUE(ids->keep_lease());
  EXPECT_EQ(ids->lane(), 1u);
  EXPECT_TRUE(ids->next(1));
}

TEST_F(RowIdSourceTest, OfTwoProcessesOfOneNameTheFirstStopsForGood) {
  auto first = lease("a"), second = lease("a");
  EXPECT_EQ(second->lane(), 0u);
  first->observe(store().load().value());
  for (int i = 0; i < 2; ++i) {
    Result<RowId> refused = first->next(1);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("same name, \"a\""));
    EXPECT_FALSE(first->keep_lease());
  }
  EXPECT_TRUE(second->next(1));
}

TEST_F(RowIdSourceTest, ARenewalFindsOutThatTheLaneIsGoneToo) {
  auto first = lease("a"), second = lease("a");
  now_ += kLaneRenewAfterMs;
  EXPECT_FALSE(first->keep_lease());
  EXPECT_FALSE(first->next(1));
}

TEST_F(RowIdSourceTest, AnOlderTopologySaysNothing) {
  Topology before = store().load().value();
  auto ids = lease("a");
  ids->observe(before);
  EXPECT_TRUE(ids->next(1));
}

TEST_F(RowIdSourceTest, AClockThatWentBackIsNamed) {
  auto ids = lease("a");
  ids->next(1).value();
  now_ -= 60'000;
  Result<RowId> id = ids->next(1);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(id.error().message, HasSubstr("60000 ms"));
}

TEST_F(RowIdSourceTest, AStandingClockEndsInAnErrorNotInALoop) {
  auto ids = lease("a");
  for (uint32_t i = 0; i < kRowIdSequences; ++i) ids->next(1).value();
  Result<RowId> id = ids->next(1);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::kResourceExhausted);
}

TEST_F(RowIdSourceTest, TellsItsMetrics) {
  auto ids = lease("a");
  ids->next(1).value();
  std::map<std::string, double> values;
  for (const MetricFamily& family : ids->metrics()) values[family.name] = family.samples.at(0).value;
  EXPECT_EQ(values.at("tidemark_row_ids_total"), 1);
  EXPECT_EQ(values.at("tidemark_row_id_lane"), 0);
  EXPECT_EQ(values.at("tidemark_row_id_lease_seconds"), kLaneLeaseMs / 1000);
}

TEST(InstanceName, IsWhatIsConfiguredOrElseAnotherEachTime) {
  EXPECT_EQ(instance_name("order-1", "tidemark-order"), "order-1");
  EXPECT_THAT(instance_name("", "tidemark-order"), testing::StartsWith("tidemark-order-"));
  EXPECT_NE(instance_name("", "x"), instance_name("", "x"));
}

}  // namespace
}  // namespace tidemark::io
