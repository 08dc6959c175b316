// Which buckets leave a shard that is written to too much, and when none does.
#include "shardrouter/rebalance/split_hot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// 16 buckets, the first half on shard 0, with so many writes per second.
std::vector<BucketStats> buckets(const std::map<Bucket, double>& writes) {
  std::vector<BucketStats> all;
  for (Bucket b = 0; b < 16; ++b)
    all.push_back({.bucket = b,
                   .owner = static_cast<ShardId>(b < 8 ? 0 : 1),
                   .rows = 100,
                   .bytes = 20'000,
                   .writes_per_second = writes.contains(b) ? writes.at(b) : 0});
  return all;
}
RebalancePlan plan(const std::vector<BucketStats>& all, const SplitHotOptions& options = {},
                   const std::vector<ShardWeight>& shards = {{0}, {1}}) {
  auto planned = plan_split_hot(all, shards, options);
  EXPECT_TRUE(planned) << (planned ? "" : planned.error().message);
  return planned.value_or(RebalancePlan{});
}

TEST(SplitHot, TakesTheHottestBucketOfTheBusiestShard) {
  const auto planned = plan(buckets({{1, 50}, {5, 250}, {7, 100}, {9, 60}}));
  ASSERT_EQ(planned.moves.size(), 1u);
  EXPECT_EQ(planned.moves[0].first, 5);
  EXPECT_EQ(planned.moves[0].last, 5);
  EXPECT_EQ(planned.moves[0].from, 0);
  EXPECT_EQ(planned.moves[0].to, 1);
  EXPECT_EQ(planned.moves[0].rows, 100u);
  EXPECT_GT(planned.moves[0].blocked_ms, 0);
  EXPECT_THAT(planned.moves[0].reason, HasSubstr("250.0 of the 400.0 writes/s of shard 0"));
  EXPECT_DOUBLE_EQ(planned.after[0].writes_per_second, 150);
  EXPECT_DOUBLE_EQ(planned.after[1].writes_per_second, 310);
}

TEST(SplitHot, NeighboursGoInOneMove) {
  const auto planned = plan(buckets({{0, 10}, {1, 10}, {2, 50}, {3, 40}, {4, 10}, {6, 30}}));
  ASSERT_EQ(planned.moves.size(), 1u);
  EXPECT_EQ(planned.moves[0].first, 2);
  EXPECT_EQ(planned.moves[0].last, 3);
  EXPECT_DOUBLE_EQ(planned.moves[0].writes_per_second, 90);
}

TEST(SplitHot, SpreadsOverTheColdestShards) {
  const auto planned = plan(buckets({{0, 100}, {2, 100}, {4, 100}, {6, 100}}), {}, {{0}, {1}, {2}});
  ASSERT_EQ(planned.moves.size(), 2u);
  EXPECT_NE(planned.moves[0].to, planned.moves[1].to);
  for (const ShardShare& one : planned.after) EXPECT_GE(one.writes_per_second, 100);
}

TEST(SplitHot, TheBusiestShardNeverGetsBusier) {
  for (int seed = 1; seed < 50; ++seed) {
    std::map<Bucket, double> writes;
    for (Bucket b = 0; b < 16; ++b) writes[b] = (seed * 7919 * (b + 3)) % 101;
    const auto planned = plan(buckets(writes), {.buckets_max = 16});
    const auto busiest = [](const std::vector<ShardShare>& shares) {
      return std::ranges::max(shares, {}, &ShardShare::writes_per_second).writes_per_second;
    };
    EXPECT_LE(busiest(planned.after), busiest(planned.before)) << seed;
  }
}

TEST(SplitHot, OneBucketThatIsAllTheLoadStaysAndIsNamed) {
  const auto planned = plan(buckets({{5, 250}}));
  EXPECT_THAT(planned.moves, IsEmpty());
  ASSERT_EQ(planned.notes.size(), 1u);
  EXPECT_THAT(planned.notes[0], HasSubstr("bucket 5 alone"));
}

TEST(SplitHot, ABucketThatWouldOnlyTradePlacesStays) {
  const auto planned = plan(buckets({{5, 341.8}, {6, 170.9}}), {}, {{0}, {1}, {2}});
  ASSERT_EQ(planned.moves.size(), 1u);
  EXPECT_EQ(planned.moves[0].first, 5);
  EXPECT_EQ(planned.moves[0].last, 5);
}

TEST(SplitHot, LeavesABucketThatIsInAMove) {
  auto all = buckets({{1, 50}, {5, 250}, {7, 100}});
  all[5].is_moving = true;
  const auto planned = plan(all);
  ASSERT_EQ(planned.moves.size(), 2u);
  EXPECT_EQ(planned.moves[0].first, 7);
  EXPECT_EQ(planned.moves[1].first, 1);
}

TEST(SplitHot, WithoutWritesThereIsNothingToSplit) {
  EXPECT_THAT(plan(buckets({})).moves, IsEmpty());
  EXPECT_THAT(plan(buckets({})).notes.at(0), HasSubstr("nothing was written"));
}

TEST(SplitHot, TakesFromAndGivesToTheShardsThatWereNamed) {
  const auto planned = plan(buckets({{1, 500}, {9, 60}, {10, 50}}), {.from = 1, .to = 2}, {{0}, {1}, {2}});
  ASSERT_EQ(planned.moves.size(), 1u);
  EXPECT_EQ(planned.moves[0].from, 1);
  EXPECT_EQ(planned.moves[0].to, 2);
  EXPECT_EQ(planned.moves[0].first, 9);
}

TEST(SplitHot, RefusesShardsThatAreNotThereOrTheSame) {
  const auto error = [](const SplitHotOptions& options, const std::vector<ShardWeight>& shards) {
    const auto planned = plan_split_hot(buckets({}), shards, options);
    return planned ? "" : planned.error().message;
  };
  EXPECT_THAT(error({.from = 7}, {{0}, {1}}), HasSubstr("no shard 7"));
  EXPECT_THAT(error({.from = 1, .to = 1}, {{0}, {1}}), HasSubstr("the same"));
  EXPECT_THAT(error({.buckets_max = 0}, {{0}, {1}}), HasSubstr("at least one bucket"));
}

}  // namespace
}  // namespace tidemark::shardrouter
