#include "cacheserver/eviction/ghost_set.h"

#include <gtest/gtest.h>

#include <string>

#include "base/hash.h"

namespace tidemark::cacheserver {
namespace {

uint64_t hash(uint64_t number) {
  return hash64(std::to_string(number));
}

TEST(GhostSet, HoldsNothingBeforeItIsStarted) {
  GhostSet ghosts;
  EXPECT_FALSE(ghosts.take(hash(1)));
  EXPECT_EQ(ghosts.bytes_used(), 0u);
}

TEST(GhostSet, GivesAGhostOnce) {
  GhostSet ghosts;
  ghosts.start(100);
  ghosts.insert(hash(1));
  EXPECT_FALSE(ghosts.take(hash(2)));
  EXPECT_TRUE(ghosts.take(hash(1)));
  EXPECT_FALSE(ghosts.take(hash(1)));
}

TEST(GhostSet, RemembersTheLastOfItsCapacityAndFewMore) {
  GhostSet ghosts;
  ghosts.start(10'000);
  for (uint64_t i = 0; i < 40'000; ++i) ghosts.insert(hash(i));
  size_t old = 0, young = 0;
  for (uint64_t i = 0; i < 29'000; ++i) old += ghosts.take(hash(i)) ? 1 : 0;
  for (uint64_t i = 31'000; i < 40'000; ++i) young += ghosts.take(hash(i)) ? 1 : 0;
  EXPECT_LT(old, 100u);
  EXPECT_GT(young, 8'400u);
}

TEST(GhostSet, SeldomTakesOneForAnother) {
  GhostSet ghosts;
  ghosts.start(10'000);
  for (uint64_t i = 0; i < 10'000; ++i) ghosts.insert(hash(i));
  size_t wrong = 0;
  for (uint64_t i = 10'000; i < 110'000; ++i) wrong += ghosts.take(hash(i)) ? 1 : 0;
  EXPECT_LT(wrong, 60u);
}

TEST(GhostSet, AnEmptyOneOfOneRemembersTheLast) {
  GhostSet ghosts;
  ghosts.start(0);
  ghosts.insert(hash(1));
  EXPECT_TRUE(ghosts.take(hash(1)));
}

TEST(GhostSet, GrowsStepByStepAndKeepsWhatItHolds) {
  GhostSet ghosts;
  ghosts.start(100);
  for (uint64_t i = 0; i < 100; ++i) ghosts.insert(hash(i));
  for (int i = 0; i < 10'000; ++i) ghosts.set_capacity(50'000);
  size_t kept = 0;
  for (uint64_t i = 0; i < 100; ++i) kept += ghosts.take(hash(i)) ? 1 : 0;
  EXPECT_GE(kept, 60u) << "an epoch has become longer, so that some seem older";
  EXPECT_LT(ghosts.bytes_used(), 50'000u * 6);
}

}  // namespace
}  // namespace tidemark::cacheserver
