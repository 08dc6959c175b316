#include "cacheserver/eviction/frequency_sketch.h"

#include <gtest/gtest.h>

#include <string>

#include "base/hash.h"

namespace tidemark::cacheserver {
namespace {

uint64_t hash(uint64_t number) {
  return hash64(std::to_string(number));
}

TEST(FrequencySketch, NeverSawAnythingBeforeItIsStarted) {
  FrequencySketch sketch;
  EXPECT_FALSE(sketch.is_started());
  EXPECT_EQ(sketch.frequency_of(hash(1)), 0u);
  EXPECT_EQ(sketch.bytes_used(), 0u);
}

TEST(FrequencySketch, CountsUpToItsMaximum) {
  FrequencySketch sketch;
  sketch.start(1000);
  for (uint32_t i = 1; i <= 40; ++i) {
    sketch.increment(hash(1));
    EXPECT_EQ(sketch.frequency_of(hash(1)), std::min(i, FrequencySketch::kFrequencyMax));
  }
  EXPECT_EQ(sketch.frequency_of(hash(2)), 0u);
}

TEST(FrequencySketch, SeldomTakesOneForAnother) {
  FrequencySketch sketch;
  sketch.start(10'000);
  for (uint64_t i = 0; i < 10'000; ++i) sketch.increment(hash(i));
  size_t wrong = 0;
  for (uint64_t i = 10'000; i < 20'000; ++i) wrong += sketch.frequency_of(hash(i)) > 0 ? 1 : 0;
  EXPECT_LT(wrong, 500u);
}

TEST(FrequencySketch, ForgetsByHalves) {
  constexpr size_t kItems = 1024;
  FrequencySketch sketch;
  sketch.start(kItems);
  for (int i = 0; i < 14; ++i) sketch.increment(hash(1));
  const uint32_t before = sketch.frequency_of(hash(1));
  for (uint64_t i = 0; i < 22 * kItems; ++i) sketch.increment(hash(100 + i));
  EXPECT_LE(sketch.frequency_of(hash(1)), before / 2);
  for (uint64_t i = 0; i < 100 * kItems; ++i) sketch.increment(hash(100 + i));
  EXPECT_LE(sketch.frequency_of(hash(1)), 7u);
}

TEST(FrequencySketch, GrowsWithoutForgetting) {
  FrequencySketch sketch;
  sketch.start(100);
  for (uint64_t i = 0; i < 30; ++i) {
    for (int count = 0; count < 3; ++count) sketch.increment(hash(i));
  }
  const size_t before = sketch.bytes_used();
  for (int i = 0; i < 20'000; ++i) sketch.grow_towards(100'000);
  EXPECT_GT(sketch.bytes_used(), before);
  for (uint64_t i = 0; i < 30; ++i) EXPECT_GE(sketch.frequency_of(hash(i)), 3u);
}

TEST(FrequencySketch, GivesItsMemoryBackAfterAClear) {
  FrequencySketch sketch;
  sketch.start(100'000);
  for (uint64_t i = 0; i < 200'000; ++i) sketch.increment(hash(i));
  sketch.clear();
  EXPECT_FALSE(sketch.is_started());
  for (int i = 0; i < 1000; ++i) sketch.free_some();
  EXPECT_LT(sketch.bytes_used(), 4096u);
}

}  // namespace
}  // namespace tidemark::cacheserver
