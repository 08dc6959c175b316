#include "shardrouter/routing/ownership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

std::vector<BucketRow> all_rows(BucketState state, BucketEpoch epoch, std::optional<ShardId> forward = std::nullopt) {
  std::vector<BucketRow> rows;
  for (uint32_t b = 0; b < kBucketCount; ++b) rows.push_back({static_cast<Bucket>(b), state, epoch, forward});
  return rows;
}

TEST(Ownership, SharesNewBucketsInContiguousRangesAndTellsTheOthersWhere) {
  const auto ownership = derive_ownership({{0, {}}, {1, {}}});
  ASSERT_TRUE(ownership);
  EXPECT_EQ(ownership->map[0], (BucketOwner{0, 1}));
  EXPECT_EQ(ownership->map[2047], (BucketOwner{0, 1}));
  EXPECT_EQ(ownership->map[2048], (BucketOwner{1, 1}));
  const auto& second = ownership->missing.at(1);
  ASSERT_EQ(second.size(), kBucketCount);
  EXPECT_EQ(second[0], (BucketRow{0, BucketState::kMoved, 1, ShardId{0}}));
  EXPECT_EQ(second[2048], (BucketRow{2048, BucketState::kOwned, 1, std::nullopt}));
}

TEST(Ownership, ChangesNothingWhenEveryRowIsThere) {
  const auto ownership = derive_ownership({{0, all_rows(BucketState::kOwned, 4)}});
  ASSERT_TRUE(ownership);
  EXPECT_TRUE(ownership->missing.empty());
  EXPECT_EQ(ownership->map[17], (BucketOwner{0, 4}));
}

TEST(Ownership, ANewShardTakesNothingFromTheOwners) {
  const auto ownership = derive_ownership({{0, all_rows(BucketState::kOwned, 4)}, {1, {}}});
  ASSERT_TRUE(ownership);
  EXPECT_EQ(ownership->map[4000], (BucketOwner{0, 4}));
  EXPECT_EQ(ownership->missing.at(1)[4000], (BucketRow{4000, BucketState::kMoved, 4, ShardId{0}}));
}

TEST(Ownership, RefusesTwoOwnersOfOneBucket) {
  auto rows = all_rows(BucketState::kMoved, 3, ShardId{0});
  rows[9] = {9, BucketState::kOwned, 3, std::nullopt};
  const auto ownership = derive_ownership({{0, all_rows(BucketState::kOwned, 3)}, {1, rows}});
  ASSERT_FALSE(ownership);
  EXPECT_EQ(ownership.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(ownership.error().message, ::testing::HasSubstr("bucket 9 is owned by shard 0"));
}

TEST(Ownership, ABucketInTheMiddleOfAMoveBelongsToItsTarget) {
  auto source = all_rows(BucketState::kOwned, 1);
  auto target = all_rows(BucketState::kMoved, 1, ShardId{0});
  source[5] = {5, BucketState::kFenced, 2, ShardId{1}};
  target[5] = {5, BucketState::kImporting, 1, std::nullopt};
  const auto ownership = derive_ownership({{0, source}, {1, target}});
  ASSERT_TRUE(ownership);
  EXPECT_EQ(ownership->map[5], (BucketOwner{1, 2}));
}

TEST(Ownership, ALostRowIsNeverMadeAnOwnerByAGuess) {
  // Shard 0 lost its rows (restored from an old copy, say); shard 1 says that it gave the buckets to shard 0.
  const auto ownership = derive_ownership({{0, {}}, {1, all_rows(BucketState::kMoved, 3, ShardId{0})}});
  ASSERT_TRUE(ownership);
  EXPECT_EQ(ownership->missing.at(0)[0].state, BucketState::kMoved);
}

TEST(Ownership, NeedsAShard) {
  EXPECT_FALSE(derive_ownership({}));
}

}  // namespace
}  // namespace tidemark::shardrouter
