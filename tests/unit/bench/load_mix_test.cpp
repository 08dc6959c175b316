#include "bench/macro/load_mix.h"

#include <gtest/gtest.h>

#include <map>

namespace tidemark::bench {
namespace {

using Kind = LoadRequest::Kind;

TEST(LoadMix, FillsEveryKeyOnceInOrderBeforeTheMix) {
  const LoadConfig config{.keys = 5, .first_key = 2, .get_share = 1, .fill = true};
  LoadMix mix(config);
  for (uint64_t key = 2; key < 5; ++key)
    EXPECT_EQ(mix.next(), (LoadRequest{.kind = Kind::kSet, .key = key, .value_bytes = 32}));
  EXPECT_EQ(mix.next().kind, Kind::kGet);
}

TEST(LoadMix, KeepsTheShares) {
  const LoadConfig config{
      .keys = 100, .get_share = 0.5, .delete_share = 0.2, .ttl_share = 0.25, .ttl = std::chrono::seconds(3)};
  LoadMix mix(config);
  std::map<Kind, int> count;
  int expiring = 0;
  for (int i = 0; i < 100'000; ++i) {
    const LoadRequest request = mix.next();
    ASSERT_LT(request.key, 100U);
    ++count[request.kind];
    if (request.ttl_ms != 0) {
      ++expiring;
      ASSERT_EQ(request.ttl_ms, 3000U);
      ASSERT_EQ(request.kind, Kind::kSet);
    }
  }
  EXPECT_NEAR(count[Kind::kGet], 50'000, 800);
  EXPECT_NEAR(count[Kind::kDelete], 20'000, 800);
  EXPECT_NEAR(expiring, 0.25 * count[Kind::kSet], 500);
}

TEST(LoadMix, DrawsSizesFromTheWholeRange) {
  const LoadConfig config{.value_bytes = 10, .value_bytes_max = 12, .get_share = 0};
  LoadMix mix(config);
  std::map<uint64_t, int> sizes;
  for (int i = 0; i < 3000; ++i) ++sizes[mix.next().value_bytes];
  ASSERT_EQ(sizes.size(), 3U);
  for (uint64_t size : {10, 11, 12}) EXPECT_NEAR(sizes[size], 1000, 150);
}

TEST(LoadMix, TakesTheSlicesOfSizesFromBothEndsInwards) {
  const LoadConfig config{.value_bytes = 32, .value_bytes_max = 2048, .size_phases = 4};
  using Sizes = LoadMix::Sizes;
  EXPECT_EQ(LoadMix::sizes_of_phase(config, 0), (Sizes{32, 90}));
  EXPECT_EQ(LoadMix::sizes_of_phase(config, 1), (Sizes{724, 2048}));
  EXPECT_EQ(LoadMix::sizes_of_phase(config, 2), (Sizes{91, 255}));
  EXPECT_EQ(LoadMix::sizes_of_phase(config, 3), (Sizes{256, 723}));
}

TEST(LoadMix, ChangesTheSizesWithThePhases) {
  const LoadConfig config{
      .value_bytes = 32, .value_bytes_max = 2048, .size_phases = 4, .get_share = 0, .operations = 400};
  LoadMix mix(config);
  for (uint32_t phase = 0; phase < 4; ++phase) {
    const LoadMix::Sizes sizes = LoadMix::sizes_of_phase(config, phase);
    for (int i = 0; i < 100; ++i) {
      const uint64_t bytes = mix.next().value_bytes;
      ASSERT_TRUE(bytes >= sizes.from && bytes <= sizes.to) << bytes << " in phase " << phase;
    }
  }
}

TEST(LiveModel, CountsWhatWasSetAndNotDeleted) {
  LiveModel live(4);
  live.apply({.kind = Kind::kSet, .key = 1, .value_bytes = 100}, 0);
  live.apply({.kind = Kind::kSet, .key = 2, .value_bytes = 10}, 0);
  live.apply({.kind = Kind::kGet, .key = 3}, 0);
  EXPECT_EQ(live.items(), 2U);
  EXPECT_EQ(live.bytes(), 16U + 100 + 16 + 10);
  live.apply({.kind = Kind::kSet, .key = 1, .value_bytes = 7}, 0);
  live.apply({.kind = Kind::kDelete, .key = 2}, 0);
  live.apply({.kind = Kind::kDelete, .key = 2}, 0);
  EXPECT_EQ(live.items(), 1U);
  EXPECT_EQ(live.bytes(), 16U + 7);
}

TEST(LiveModel, ForgetsWhatExpired) {
  LiveModel live(4);
  live.apply({.kind = Kind::kSet, .key = 1, .value_bytes = 1, .ttl_ms = 100}, 50);
  live.apply({.kind = Kind::kSet, .key = 2, .value_bytes = 1, .ttl_ms = 200}, 50);
  live.expire(149);
  EXPECT_EQ(live.items(), 2U);
  live.expire(150);
  EXPECT_EQ(live.items(), 1U);
  live.expire(1000);
  EXPECT_EQ(live.items(), 0U);
  EXPECT_EQ(live.bytes(), 0U);
}

TEST(LiveModel, ASetReplacesTheExpiryOfTheOneBefore) {
  LiveModel live(4);
  live.apply({.kind = Kind::kSet, .key = 1, .value_bytes = 1, .ttl_ms = 100}, 0);
  live.apply({.kind = Kind::kSet, .key = 1, .value_bytes = 1}, 10);
  live.apply({.kind = Kind::kSet, .key = 2, .value_bytes = 1, .ttl_ms = 100}, 0);
  live.apply({.kind = Kind::kSet, .key = 2, .value_bytes = 1, .ttl_ms = 100}, 10);
  live.expire(100);
  EXPECT_EQ(live.items(), 2U);
  live.expire(110);
  EXPECT_EQ(live.items(), 1U);
}

}  // namespace
}  // namespace tidemark::bench
