#include "shardrouter/routing/bucket_map.h"

#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

using Heal = BucketMap::Heal;

Topology topology_of(BucketOwner owner) {
  Topology topology;
  topology.buckets.assign(kBucketCount, owner);
  return topology;
}

TEST(BucketMap, FindsTheOwnerOfTheTopology) {
  const BucketMap map(topology_of({1, 4}));
  EXPECT_EQ(map.find(0), (BucketOwner{1, 4}));
  EXPECT_EQ(map.find(4095), (BucketOwner{1, 4}));
  EXPECT_EQ(map.find(4096), std::nullopt);
}

TEST(BucketMap, IsEmptyWithoutADatabase) {
  EXPECT_EQ(BucketMap().find(0), std::nullopt);
  EXPECT_EQ(BucketMap(Topology{}).find(0), std::nullopt);
}

TEST(BucketMap, LearnsTheForwardAddressOfAMovedBucketAndOfNoOther) {
  BucketMap map(topology_of({0, 1}));
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kMoved, 3, ShardId{1}}), Heal::kRetry);
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3}));
  EXPECT_EQ(map.find(7), (BucketOwner{0, 1}));
}

TEST(BucketMap, LearnsANewerEpochOfTheSameOwner) {
  BucketMap map(topology_of({0, 1}));
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kOwned, 4, std::nullopt}), Heal::kRetry);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 4}));
}

TEST(BucketMap, DoesNotGoBackToAShardThatIsBehind) {
  BucketMap map(topology_of({0, 5}));
  EXPECT_EQ(map.heal(6, 0, 5, {BucketState::kOwned, 3, std::nullopt}), Heal::kRefresh);
  EXPECT_EQ(map.heal(6, 0, 5, {BucketState::kMoved, 3, ShardId{1}}), Heal::kRefresh);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 5}));
}

TEST(BucketMap, WaitsWhileNobodyOwnsTheBucket) {
  BucketMap map(topology_of({0, 1}));
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kFenced, 2, std::nullopt}), Heal::kWait);
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kImporting, 1, std::nullopt}), Heal::kWait);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 1}));
}

TEST(BucketMap, AsksTheShardThatAFenceNamesAndTheSourceInTurn) {
  BucketMap map(topology_of({0, 1}));
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kFenced, 2, ShardId{1}}), Heal::kWait);
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3})) << "as it will be after the hand-over";
  EXPECT_EQ(map.heal(6, 1, 3, {BucketState::kImporting, 1, ShardId{0}}), Heal::kWait);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 1})) << "not yet";
  EXPECT_EQ(map.find(7), (BucketOwner{0, 1}));
}

TEST(BucketMap, AGuessThatCameTrueIsWhatTheTopologySaysLater) {
  BucketMap map(topology_of({0, 1}));
  ASSERT_EQ(map.heal(6, 0, 1, {BucketState::kFenced, 2, ShardId{1}}), Heal::kWait);
  map.merge(topology_of({0, 1}));
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3}));
  map.merge(topology_of({1, 3}));
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3}));
  EXPECT_EQ(map.heal(6, 1, 3, {BucketState::kFenced, 4, ShardId{0}}), Heal::kWait);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 5})) << "and on its way back";
}

TEST(BucketMap, AGuessEndsWhenTheSourceTakesItsBucketBack) {
  BucketMap map(topology_of({0, 1}));
  ASSERT_EQ(map.heal(6, 0, 1, {BucketState::kFenced, 2, ShardId{1}}), Heal::kWait);
  ASSERT_EQ(map.heal(6, 1, 3, {BucketState::kImporting, 4, ShardId{0}}), Heal::kWait);
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kOwned, 4, std::nullopt}), Heal::kRetry);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 4}));
  // A write that was sent by the guess and is answered only now.
  EXPECT_EQ(map.heal(6, 1, 3, {BucketState::kImporting, 4, ShardId{0}}), Heal::kRetry);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 4}));
}

TEST(BucketMap, AGuessEndsWhenTheMoveIsGivenUp) {
  BucketMap map(topology_of({0, 1}));
  ASSERT_EQ(map.heal(6, 0, 1, {BucketState::kFenced, 2, ShardId{1}}), Heal::kWait);
  EXPECT_EQ(map.heal(6, 1, 3, {BucketState::kAborted, 1, ShardId{0}}), Heal::kRefresh);
  EXPECT_EQ(map.find(6), (BucketOwner{0, 1}));
}

TEST(BucketMap, RetriesAtOnceWhenAnotherRefusalHasHealedItAlready) {
  BucketMap map(topology_of({0, 1}));
  ASSERT_EQ(map.heal(6, 0, 1, {BucketState::kMoved, 3, ShardId{1}}), Heal::kRetry);
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kFenced, 2, ShardId{1}}), Heal::kRetry);
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3}));
}

TEST(BucketMap, AsksTheTopologyWhenTheRefusalNamesNobody) {
  BucketMap map(topology_of({0, 1}));
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kAbsent, 0, std::nullopt}), Heal::kRefresh);
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kAborted, 3, std::nullopt}), Heal::kRefresh);
  EXPECT_EQ(map.heal(6, 0, 1, {BucketState::kMoved, 3, std::nullopt}), Heal::kRefresh);
}

TEST(BucketMap, AnOlderTopologyDoesNotUndoWhatAShardSaid) {
  BucketMap map(topology_of({0, 1}));
  ASSERT_EQ(map.heal(6, 0, 1, {BucketState::kMoved, 3, ShardId{1}}), Heal::kRetry);
  map.merge(topology_of({0, 2}));
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3}));
  EXPECT_EQ(map.find(7), (BucketOwner{0, 2}));
  map.merge(topology_of({2, 5}));
  EXPECT_EQ(map.find(6), (BucketOwner{2, 5}));
}

}  // namespace
}  // namespace tidemark::shardrouter
