#include "shardrouter/sql/routed_write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

ResultSet row(std::string cell) {
  return {.columns = {"c"}, .rows = {{std::move(cell)}}, .command_tag = "SELECT 1"};
}
ResultSet tag(std::string command_tag) {
  return {.columns = {}, .rows = {}, .command_tag = std::move(command_tag)};
}

std::vector<ResultSet> results_of(const std::string& commit_tag, const std::string& lsn = "0/16B3748") {
  return {tag("BEGIN"), row("3"), tag("UPDATE 0"), row("731"), tag(commit_tag), row(lsn)};
}

TEST(RoutedWrite, GuardsBeforeTheStatementsAndReadsTheLsnAfterTheCommit) {
  const auto pipeline = make_routed_write({{7, 2}}, {{"UPDATE t SET a = $1", {"1"}}});
  ASSERT_TRUE(pipeline);
  ASSERT_EQ(pipeline->groups.size(), 2u);
  const auto& group = pipeline->groups[0];
  ASSERT_EQ(group.size(), 5u);
  EXPECT_THAT(group[0].sql, ::testing::StartsWith("BEGIN"));
  EXPECT_THAT(group[1].sql, ::testing::HasSubstr("shard.guard"));
  EXPECT_THAT(group[1].params, ::testing::ElementsAre("7", "2", "0"));
  EXPECT_EQ(group[2].sql, "UPDATE t SET a = $1");
  EXPECT_EQ(group[4].sql, "COMMIT");
  EXPECT_THAT(pipeline->groups[1].at(0).sql, ::testing::HasSubstr("pg_current_wal_insert_lsn"));
}

TEST(RoutedWrite, TakesItsGuardsOnceEachInAscendingOrder) {
  const auto pipeline = make_routed_write({{9, 1}, {2, 4}, {9, 1}}, {});
  ASSERT_TRUE(pipeline);
  EXPECT_THAT(pipeline->groups[0][1].params, ::testing::ElementsAre("{2,9}", "{4,1}", "0"));
}

TEST(RoutedWrite, RefusesNoBucketTwoEpochsOfOneAndTooMany) {
  EXPECT_FALSE(make_routed_write({}, {}));
  EXPECT_FALSE(make_routed_write({{1, 1}, {1, 2}}, {}));
  std::vector<BucketAtEpoch> many;
  for (size_t i = 0; i <= kGuardedBucketsMax; ++i) many.push_back({static_cast<Bucket>(i), 1});
  EXPECT_FALSE(make_routed_write(many, {}));
  many.pop_back();
  EXPECT_TRUE(make_routed_write(many, {}));
}

TEST(RoutedWrite, ReadsItsTokenAndTheCallersResults) {
  auto result = read_routed_write(4, results_of("COMMIT"));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->token, (CommitToken{4, 3, *Lsn::parse("0/16B3748"), 731}));
  ASSERT_EQ(result->results.size(), 1u);
  EXPECT_EQ(result->results[0].command_tag, "UPDATE 0");
}

TEST(RoutedWrite, ACommitThatRolledBackIsNoCommit) {
  const auto result = read_routed_write(4, results_of("ROLLBACK"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kAborted);
}

TEST(RoutedWrite, AnUnreadableTokenOfACommittedWriteIsNotANothing) {
  const auto result = read_routed_write(4, results_of("COMMIT", "nonsense"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kOutcomeUnknown);
}

TEST(RoutedWrite, RefusesTooFewResults) {
  EXPECT_FALSE(read_routed_write(4, {tag("BEGIN")}));
}

}  // namespace
}  // namespace tidemark::shardrouter
