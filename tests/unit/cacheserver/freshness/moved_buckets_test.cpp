#include "cacheserver/freshness/moved_buckets.h"

#include <gtest/gtest.h>

namespace tidemark::cacheserver {
namespace {

constexpr Lsn kFence{0x500};

Topology topology_of(Bucket bucket, BucketOwner owner) {
  Topology topology;
  topology.buckets.resize(kBucketCount);
  topology.buckets[bucket] = owner;
  return topology;
}

TEST(MovedBuckets, AnOwnershipUnderASmallerEpochHasEnded) {
  MovedBuckets moved;
  EXPECT_FALSE(moved.is_over(7, {0, 4}));
  EXPECT_TRUE(moved.note(7, 5, 0, kFence));
  EXPECT_TRUE(moved.is_over(7, {0, 4}));
  EXPECT_FALSE(moved.is_over(7, {0, 5}));
  EXPECT_FALSE(moved.is_over(7, {0, 7})) << "an attempt taken back";
  EXPECT_FALSE(moved.is_over(8, {0, 4}));
}

TEST(MovedBuckets, OnlyTheOwnersOwnLogCounts) {
  MovedBuckets moved;
  moved.note(7, 9, 1, kFence);
  EXPECT_FALSE(moved.is_over(7, {0, 4})) << "shard 1 may remember an attempt that shard 0 has forgotten in a crash";
  EXPECT_TRUE(moved.is_over(7, {1, 4}));
}

TEST(MovedBuckets, WhatTheTopologyKnowsIsForgotten) {
  MovedBuckets moved;
  moved.note(7, 5, 0, kFence);
  moved.adopt(topology_of(7, {0, 4}));
  EXPECT_EQ(moved.buckets(), 1u);
  EXPECT_TRUE(moved.is_over(7, {0, 4}));
  moved.adopt(topology_of(7, {1, 6}));
  EXPECT_EQ(moved.buckets(), 0u);
  EXPECT_FALSE(moved.is_over(7, {0, 4}));
}

TEST(MovedBuckets, ARejoinForgetsThatShardOnly) {
  MovedBuckets moved;
  moved.note(7, 5, 0, kFence);
  moved.note(8, 5, 1, kFence);
  moved.forget_shard(0);
  EXPECT_FALSE(moved.is_over(7, {0, 4}));
  EXPECT_TRUE(moved.is_over(8, {1, 4}));
}

TEST(MovedBuckets, WhatAFailOverHasLostIsTakenBackAndOnlyThat) {
  MovedBuckets moved;
  moved.note(7, 5, 0, {0x500});
  moved.note(7, 6, 0, {0x600});  // "moved", behind the fence
  moved.note(8, 5, 0, {0x600});
  moved.forget_beyond(0, {0x550});
  EXPECT_TRUE(moved.is_over(7, {0, 4})) << "the fence lies before the switch";
  EXPECT_FALSE(moved.is_over(8, {0, 4})) << "that fence is lost: the shard owns the bucket";
}

TEST(MovedBuckets, SaidTwiceIsNoNews) {
  MovedBuckets moved;
  EXPECT_TRUE(moved.note(7, 5, 0, kFence));
  EXPECT_FALSE(moved.note(7, 5, 0, kFence));
  EXPECT_FALSE(moved.note(7, 4, 0, {0x700}));
  EXPECT_TRUE(moved.note(7, 5, 0, {0x400})) << "earlier in the log: it outlives more";
}

TEST(MovedBuckets, HoldsABoundedNumberOfRecordsAndNeverForgetsAnEnd) {
  MovedBuckets moved;
  for (uint32_t i = 0; i < 1000; ++i) moved.note(7, 5 + i, 0, Lsn{0x500 + i});
  EXPECT_EQ(moved.buckets(), 1u);
  EXPECT_TRUE(moved.is_over(7, {0, 1003}));
  moved.forget_beyond(0, Lsn{0x500});
  EXPECT_TRUE(moved.is_over(7, {0, 4})) << "the first of them lies at the switch";
}

TEST(MovedBuckets, ABucketThatDoesNotExistIsNotNoted) {
  MovedBuckets moved;
  EXPECT_FALSE(moved.note(kBucketCount, 5, 0, kFence));
  EXPECT_EQ(moved.buckets(), 0u);
}

}  // namespace
}  // namespace tidemark::cacheserver
