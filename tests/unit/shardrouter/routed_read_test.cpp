#include "shardrouter/sql/routed_read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shardrouter/routing/bucket_refusal.h"
#include "shardrouter/sql/sqlstate.h"

namespace tidemark::shardrouter {
namespace {

using ::testing::HasSubstr;

struct GateRow {
  bool is_replica = false;
  std::optional<std::string> replayed{};
  std::optional<std::string> upper = "0/900";
  std::string xmin = "700";
  std::string bucket = "7";
  std::string state = "owned";
  std::string epoch = "2";
  std::optional<std::string> forward{};
};
ResultSet gate(const std::vector<GateRow>& rows) {
  ResultSet set;
  for (const GateRow& row : rows)
    set.rows.push_back({row.is_replica ? "t" : "f", row.replayed, row.upper, row.xmin, "3", std::nullopt, row.bucket,
                        row.state, row.epoch, row.forward});
  return set;
}
ResultSet data(std::string cell) {
  return {.columns = {"v"}, .rows = {{std::move(cell)}}, .command_tag = "SELECT 1"};
}
ResultSet tag(std::string text) {
  return {.columns = {}, .rows = {}, .command_tag = std::move(text)};
}
const std::vector<BucketAtEpoch> kSeven = {{7, 2}};

TEST(RoutedRead, OneStatementStandsBetweenTwoGatesInOneGroup) {
  const auto pipeline = make_routed_read({7}, {{"SELECT v FROM t WHERE id = $1", {"1"}}});
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->kind, Pipeline::Kind::kRead);
  ASSERT_EQ(pipeline->groups.size(), 1u);
  ASSERT_EQ(pipeline->groups[0].size(), 3u);
  EXPECT_EQ(pipeline->groups[0][0].sql, pipeline->groups[0][2].sql);
  EXPECT_EQ(pipeline->groups[0][1].sql, "SELECT v FROM t WHERE id = $1");
}

TEST(RoutedRead, SeveralStatementsShareOneSnapshotAndTheFirstGateComesBeforeIt) {
  const auto pipeline = make_routed_read({7, 9, 7}, {{"SELECT 1"}, {"SELECT 2"}});
  ASSERT_TRUE(pipeline);
  ASSERT_EQ(pipeline->groups.size(), 2u);
  EXPECT_EQ(pipeline->groups[0].at(0).params.at(0), "{7,9}");
  EXPECT_THAT(pipeline->groups[1].at(0).sql, HasSubstr("REPEATABLE READ READ ONLY"));
  EXPECT_EQ(pipeline->groups[1].size(), 5u);
  auto read = read_routed_read(kSeven, {gate({{}}), tag("BEGIN"), data("a"), data("b"), gate({{}}), tag("COMMIT")});
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->results.size(), 2u);
  EXPECT_EQ(read->results[1].rows[0][0], "b");
}

TEST(RoutedRead, RefusesWhatIsNoQuery) {
  for (const char* sql : {"UPDATE t SET v = 1", "COMMIT", "BEGIN", "SET x = 1", "", "EXPLAIN ANALYZE DELETE FROM t"})
    EXPECT_FALSE(make_routed_read({7}, {{sql}})) << sql;
  for (const char* sql : {"select 1", " WITH a AS (SELECT 1) SELECT * FROM a", "(VALUES (1))", "TABLE t"})
    EXPECT_TRUE(make_routed_read({7}, {{sql}})) << sql;
  EXPECT_FALSE(make_routed_read({}, {{"SELECT 1"}}));
  EXPECT_FALSE(make_routed_read({7}, {}));
}

TEST(RoutedRead, AReplicasPositionIsTheOneBeforeTheRowsAndItsBoundTheOneAfter) {
  const GateRow before{.is_replica = true, .replayed = "0/500", .upper = "0/600"};
  const GateRow after{.is_replica = true, .replayed = "0/700", .upper = "0/800"};
  auto read = read_routed_read(kSeven, {gate({before}), data("a"), gate({after})});
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_TRUE(read->is_replica);
  EXPECT_EQ(read->replayed, *Lsn::parse("0/500"));
  EXPECT_EQ(read->upper, Lsn::parse("0/800"));
  // Restarted: it receives from the start of a segment again, below what it has replayed. Then there is no bound.
  const GateRow restarted{.is_replica = true, .replayed = "0/700", .upper = "0/400"};
  read = read_routed_read(kSeven, {gate({before}), data("a"), gate({restarted})});
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->upper);
}

TEST(RoutedRead, ABucketLostOrGainedAroundTheRowsIsRefusedAsAWriteWouldBe) {
  const GateRow owned;
  const GateRow moved{.state = "moved", .epoch = "3", .forward = "1"};
  const GateRow importing{.state = "importing", .epoch = "1"};
  auto lost = read_routed_read(kSeven, {gate({owned}), data("a"), gate({moved})});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refusal_of(lost.error()), (BucketRefusal{BucketState::kMoved, 3, ShardId{1}}));
  // A lagging replica that replays the copy and the hand-over while it reads.
  auto gained = read_routed_read(kSeven, {gate({importing}), data("a"), gate({owned})});
  ASSERT_FALSE(gained);
  EXPECT_EQ(refusal_of(gained.error())->state, BucketState::kImporting);
  auto absent = read_routed_read(kSeven, {gate({}), data("a"), gate({})});
  ASSERT_FALSE(absent);
  EXPECT_EQ(refusal_of(absent.error())->state, BucketState::kAbsent);
}

TEST(RoutedRead, ANewerEpochOfTheSameOwnerIsRefusedToo) {
  const auto read = read_routed_read(kSeven, {gate({{.epoch = "4"}}), data("a"), gate({{.epoch = "4"}})});
  ASSERT_FALSE(read);
  EXPECT_EQ(refusal_of(read.error()), (BucketRefusal{BucketState::kOwned, 4, std::nullopt}));
}

TEST(RoutedRead, EveryBucketOfABatchIsChecked) {
  const std::vector<BucketAtEpoch> expected = {{9, 2}, {7, 2}};
  const GateRow nine{.bucket = "9"};
  EXPECT_TRUE(read_routed_read(expected, {gate({{}, nine}), data("a"), gate({nine, {}})}));
  const auto missing = read_routed_read(expected, {gate({{}, nine}), data("a"), gate({{}})});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("bucket 9"));
}

TEST(RoutedRead, SettledMeansThatNothingOlderThanAFreshIdStillRuns) {
  const auto pipeline = make_routed_read({7}, {{"SELECT 1"}}, Freshness::kSettled);
  ASSERT_TRUE(pipeline);
  ASSERT_EQ(pipeline->groups.size(), 2u);
  EXPECT_THAT(pipeline->groups[0].at(0).sql, HasSubstr("pg_current_xact_id()"));
  EXPECT_TRUE(read_routed_read(kSeven, {data("700"), gate({{}}), data("a"), gate({{}})}, Freshness::kSettled));
  const auto running = read_routed_read(kSeven, {data("701"), gate({{}}), data("a"), gate({{}})}, Freshness::kSettled);
  ASSERT_FALSE(running);
  EXPECT_EQ(running.error().code, ErrorCode::kAborted);
}

TEST(RoutedRead, ItsStatementsAreNeverCommitPoints) {
  auto pipeline = make_routed_read({7}, {{"WITH a AS (SELECT 1) SELECT * FROM a"}});
  ASSERT_TRUE(pipeline);
  EXPECT_THAT(commit_points(*pipeline), ::testing::ElementsAre(false, false, false));
  pipeline->kind = Pipeline::Kind::kAny;
  EXPECT_THAT(commit_points(*pipeline), ::testing::ElementsAre(false, true, false));
}

}  // namespace
}  // namespace tidemark::shardrouter
