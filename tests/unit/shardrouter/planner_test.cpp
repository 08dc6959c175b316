#include "shardrouter/rebalance/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace tidemark::shardrouter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// 4,096 buckets of `rows` rows each, in contiguous ranges over `shards` shards.
std::vector<BucketStats> even(uint32_t shards, uint64_t rows = 100) {
  std::vector<BucketStats> all;
  for (uint32_t b = 0; b < kBucketCount; ++b)
    all.push_back({.bucket = static_cast<Bucket>(b),
                   .owner = static_cast<ShardId>(b * shards / kBucketCount),
                   .rows = rows,
                   .bytes = rows * 200});
  return all;
}
RebalancePlan plan(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
                   const PlannerOptions& options = {}) {
  auto planned = plan_rebalance(buckets, shards, options);
  EXPECT_TRUE(planned) << (planned ? "" : planned.error().message);
  return planned.value_or(RebalancePlan{});
}
// Runs the plan; fails where a move names a bucket that its source does not own at that time.
std::map<ShardId, uint32_t> run(std::vector<BucketStats> buckets, const RebalancePlan& planned) {
  for (const PlannedMove& move : planned.moves)
    for (uint32_t b = move.first; b <= move.last; ++b) {
      EXPECT_EQ(buckets[b].owner, move.from) << b;
      EXPECT_FALSE(buckets[b].is_moving) << b;
      buckets[b].owner = move.to;
    }
  std::map<ShardId, uint32_t> owned;
  for (const BucketStats& bucket : buckets) ++owned[bucket.owner];
  return owned;
}

TEST(Planner, MovesNothingWhenEverybodyHasItsShare) {
  EXPECT_THAT(plan(even(2), {{0}, {1}}).moves, IsEmpty());
}

TEST(Planner, GivesANewShardItsShareInRangesOfWholeMoves) {
  const auto buckets = even(2);
  const RebalancePlan planned = plan(buckets, {{0}, {1}, {2}});
  const auto owned = run(buckets, planned);
  for (ShardId shard = 0; shard < 3; ++shard) EXPECT_NEAR(owned.at(shard), 4096 / 3.0, 0.05 * 4096 / 3) << shard;
  EXPECT_LE(planned.moves.size(), 24u);  // 1,365 buckets in moves of 64, and two odd ones
  for (const PlannedMove& move : planned.moves) {
    EXPECT_EQ(move.to, 2);
    EXPECT_LE(move.last - move.first + 1u, 64u);
  }
}

TEST(Planner, SaysWhyAndWhatItCostsAndWhereItEnds) {
  const RebalancePlan planned = plan(even(1), {{0}, {1}});
  ASSERT_FALSE(planned.moves.empty());
  const PlannedMove& move = planned.moves.front();
  EXPECT_EQ(move.reason, "shard 0 carries 100.0 % (share 50.0 %), shard 1 0.0 % (share 50.0 %)");
  EXPECT_EQ(move.rows, 6400u);
  EXPECT_EQ(move.bytes, 1'280'000u);
  EXPECT_DOUBLE_EQ(move.copy_seconds, 0.128);
  EXPECT_DOUBLE_EQ(move.blocked_ms, 15 + 64 * 0.25);
  EXPECT_EQ(planned.before.at(0).buckets, 4096u);
  EXPECT_NEAR(planned.after.at(0).share, 0.5, 0.05);
  EXPECT_NEAR(planned.after.at(1).share, 0.5, 0.05);
}

TEST(Planner, KeepsOwnershipInFewPieces) {
  const auto buckets = even(1);
  std::set<std::pair<ShardId, Bucket>> pieces;
  const RebalancePlan planned = plan(buckets, {{0}, {1}});
  std::vector<ShardId> owners(kBucketCount, 0);
  for (const PlannedMove& move : planned.moves)
    for (uint32_t b = move.first; b <= move.last; ++b) owners[b] = move.to;
  size_t changes = 0;
  for (size_t b = 1; b < owners.size(); ++b) changes += owners[b] != owners[b - 1];
  EXPECT_LE(changes, 2u);
}

TEST(Planner, RespectsWeights) {
  const auto buckets = even(2);
  const auto owned = run(buckets, plan(buckets, {{0, 3}, {1, 1}}));
  EXPECT_NEAR(owned.at(0), 3072, 160);
}

TEST(Planner, EmptiesAShardOfWeightZeroWholly) {
  const auto buckets = even(3);
  const RebalancePlan planned = plan(buckets, {{0}, {1}, {2, 0}});
  const auto owned = run(buckets, planned);
  EXPECT_FALSE(owned.contains(2));
  EXPECT_NEAR(owned.at(0), 2048, 110);
  EXPECT_THAT(planned.moves.front().reason, HasSubstr("shard 2 is to be emptied"));
}

TEST(Planner, CountsBucketsWhereThereAreHardlyAnyRowsYet) {
  auto buckets = even(1, 0);
  buckets[7].rows = 4000;
  buckets[7].bytes = 1'000'000;
  const RebalancePlan planned = plan(buckets, {{0}, {1}});
  EXPECT_NEAR(run(buckets, planned).at(1), 2048, 110);
  EXPECT_THAT(planned.notes, ElementsAre(HasSubstr("buckets are counted")));
}

TEST(Planner, LoadCountsAsMuchAsBytes) {
  auto buckets = even(2);
  for (uint32_t b = 0; b < 64; ++b) buckets[b * 32].writes_per_second = 10;  // all in the lower half, shard 0
  const RebalancePlan planned = plan(buckets, {{0}, {1}});
  const auto owned = run(buckets, planned);
  EXPECT_FALSE(planned.moves.empty());
  EXPECT_LT(owned.at(0), 2000u);
  EXPECT_NEAR(planned.after.at(0).share, 0.5, 0.03);
}

TEST(Planner, FindsTheHotBucketsInTheMiddle) {
  auto buckets = even(2, 1);
  for (uint32_t b = 1000; b < 1032; ++b) buckets[b].writes_per_second = 100;
  const RebalancePlan planned = plan(buckets, {{0}, {1}});
  ASSERT_FALSE(planned.moves.empty());
  EXPECT_GE(planned.moves[0].last, 1000);
  EXPECT_LE(planned.moves[0].first, 1031);
  EXPECT_LE(planned.moves.size(), 8u);
}

TEST(Planner, NamesABucketThatNoMoveCanMend) {
  auto buckets = even(2, 1);
  buckets[7].rows = 100'000;
  buckets[7].bytes = 20'000'000;
  const RebalancePlan planned = plan(buckets, {{0}, {1}});
  ASSERT_EQ(planned.notes.size(), 1u);
  EXPECT_THAT(planned.notes[0], HasSubstr("bucket 7 alone carries"));
  for (const PlannedMove& move : planned.moves) EXPECT_FALSE(move.first <= 7 && 7 <= move.last);
}

TEST(Planner, LeavesBucketsInTheMiddleOfAMoveAlone) {
  auto buckets = even(1);
  for (uint32_t b = 100; b < 110; ++b) buckets[b].is_moving = true;
  const RebalancePlan planned = plan(buckets, {{0}, {1}});
  run(buckets, planned);
  EXPECT_THAT(planned.notes, ElementsAre(HasSubstr("10 buckets are in the middle of a move")));
}

TEST(Planner, NeverMakesItWorseWhateverTheLoad) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const uint32_t shards = 2 + seed % 4;
    auto buckets = even(shards, 0);
    for (BucketStats& bucket : buckets) {
      bucket.rows = random() % (seed % 2 ? 10 : 100'000);
      bucket.bytes = bucket.rows * (50 + random() % 500);
      if (random() % 64 == 0) bucket.writes_per_second = random() % 1000;
      bucket.owner = static_cast<ShardId>(random() % 3 == 0 ? random() % shards : bucket.owner);
    }
    std::vector<ShardWeight> weights;
    for (uint32_t s = 0; s < shards; ++s) weights.push_back({static_cast<ShardId>(s), 1.0 + random() % 3});
    const RebalancePlan planned = plan(buckets, weights);
    run(buckets, planned);
    const auto worst = [](const std::vector<ShardShare>& shares) {
      double most = 0;
      for (const ShardShare& share : shares) most = std::max(most, share.share - share.share_target);
      return most;
    };
    EXPECT_LE(worst(planned.after), worst(planned.before) + 1e-9) << seed;
    for (const ShardShare& share : planned.after)
      EXPECT_NEAR(share.share, share.share_target, 0.06 * share.share_target + 0.002) << "seed " << seed;
  }
}

TEST(Planner, RefusesWhatItCannotPlan) {
  EXPECT_THAT(plan_rebalance(even(2), {{0}}, {}).error().message, HasSubstr("belongs to shard 1, which is not among"));
  EXPECT_THAT(plan_rebalance(even(1), {{0, 0}}, {}).error().message, HasSubstr("no shard has a weight above 0"));
  EXPECT_THAT(plan_rebalance(even(1), {{0, -1}}, {}).error().message, HasSubstr("must be 0 or more"));
  auto twice = even(1);
  twice[5].bucket = 4;
  EXPECT_THAT(plan_rebalance(twice, {{0}}, {}).error().message, HasSubstr("ascending"));
}

}  // namespace
}  // namespace tidemark::shardrouter
