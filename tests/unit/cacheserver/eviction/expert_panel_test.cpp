#include "cacheserver/eviction/expert_panel.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "base/hash.h"
#include "cacheserver/eviction/size_spread.h"

namespace tidemark::cacheserver {
namespace {

uint64_t hash(uint64_t number) {
  return hash64(std::to_string(number));
}
constexpr std::array<Rule, 3> kRules = {{
    {.trial_share = 1.0, .admission = Admission::kFrequency},
    {.trial_share = 0.01, .admission = Admission::kFrequency},
    {.by_density = true},
}};
constexpr const Rule& kLru = kRules[0];
constexpr const Rule& kFrequent = kRules[1];

TEST(ShadowCache, HitsWhatItHoldsAndEvictsAtItsCapacity) {
  FrequencySketch sketch;
  ShadowCache shadow(kLru, sketch);
  shadow.set_capacity(300);
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_FALSE(shadow.request(hash(i), 100));
  for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(shadow.request(hash(i), 100));
  EXPECT_FALSE(shadow.request(hash(4), 100));
  EXPECT_EQ(shadow.size(), 3u);
  EXPECT_FALSE(shadow.request(hash(1), 100)) << "the oldest went";
  EXPECT_FALSE(shadow.request(hash(5), 301)) << "larger than everything";
  EXPECT_FALSE(shadow.request(hash(5), 301));
}

TEST(ShadowCache, GrowsToManyItemsAndForgetsThoseNoLongerSampled) {
  FrequencySketch sketch;
  for (const Rule& rule : kRules) {
    ShadowCache shadow(rule, sketch);
    shadow.set_capacity(10'000);
    for (uint64_t i = 0; i < 10'000; ++i) shadow.request(hash(i), 1);
    EXPECT_EQ(shadow.size(), 10'000u);
    while (!shadow.keep_some([](uint64_t kept) { return kept % 2 == 0; })) {
    }
    for (uint64_t i = 0; i < 10'000; ++i) {
      if (hash(i) % 2 == 0) EXPECT_TRUE(shadow.request(hash(i), 1));
    }
    EXPECT_GT(shadow.size(), 4'500u);
    EXPECT_LT(shadow.size(), 5'500u);
  }
}

// A loop a little larger than the cache, with a few items between that are asked for all the time.
void run_loop(ExpertPanel& panel, size_t items, uint64_t requests) {
  for (uint64_t i = 0; i < requests; ++i) {
    const uint64_t key = i % (items * 2);
    if (panel.is_sampled(hash(key))) panel.request(hash(key), 1);
    panel.count_request(items, items, false);
  }
}

// What was new a moment ago is asked for once or twice more, and then never again.
void run_news(ExpertPanel& panel, size_t items, uint64_t requests) {
  for (uint64_t i = 0; i < requests; ++i) {
    const uint64_t key = 1'000'000 + i / 2 - (i % 2) * (items / 4);
    if (panel.is_sampled(hash(key))) panel.request(hash(key), 1);
    panel.count_request(items, items, false);
  }
}

TEST(ExpertPanel, FollowsTheRuleThatSuitsTheTraffic) {
  ExpertPanel panel(kRules, Goal::kObjectHits);
  panel.start(2000, 2000, false);
  EXPECT_EQ(&panel.leader(), &kLru) << "the first leads";
  run_loop(panel, 2000, 40'000);
  EXPECT_EQ(&panel.leader(), &kFrequent);
  run_news(panel, 2000, 80'000);
  EXPECT_EQ(&panel.leader(), &kLru);
}

TEST(ExpertPanel, CountsObjectsOrBytesAsItsGoalSays) {
  // 2000 small items that would nearly fit, and 300 large ones that are asked for oftener each, but not per byte.
  const auto leader_for = [](Goal goal) {
    ExpertPanel panel(kRules, goal);
    panel.start(400, 50'000, false);
    std::mt19937 random(4);
    for (uint64_t i = 0; i < 100'000; ++i) {
      const bool is_large = random() % 2 == 0;
      const uint64_t key = is_large ? random() % 300 : 1'000 + random() % 2'000;
      if (panel.is_sampled(hash(key))) panel.request(hash(key), is_large ? 1'000 : 50);
      panel.count_request(400, 50'000, true);
    }
    return &panel.leader();
  };
  EXPECT_TRUE(leader_for(Goal::kObjectHits)->by_density);
  EXPECT_FALSE(leader_for(Goal::kByteHits)->by_density);
}

TEST(ExpertPanel, CountsSizesFromTheStartWhereTheyVaryAndNeverWhereTheyDoNot) {
  ExpertPanel panel(kRules, Goal::kObjectHits);
  panel.start(2000, 2000, true);
  EXPECT_TRUE(panel.leader().by_density);
  run_loop(panel, 2000, 2000);
  EXPECT_FALSE(panel.leader().by_density) << "the loop's requests say that sizes do not count";
}

TEST(SizeSpread, IsWideWhereSizesDoubleOrMore) {
  SizeSpread alike;
  for (uint32_t i = 0; i < 1000; ++i) alike.add(900 + i % 200);
  EXPECT_FALSE(alike.is_wide());
  SizeSpread varied;
  EXPECT_FALSE(varied.is_wide()) << "nothing there";
  for (uint32_t i = 1; i <= 1000; ++i) varied.add(i);
  EXPECT_TRUE(varied.is_wide());
  EXPECT_NEAR(varied.variance(), 1.4 * 1.4, 0.2);
  for (uint32_t i = 1; i <= 1000; ++i) varied.remove(i);
  EXPECT_EQ(varied.variance(), 0);
}

TEST(ExpertPanel, SamplesLessOfALargerCache) {
  ExpertPanel panel(kRules, Goal::kObjectHits);
  const auto share = [&panel] {
    size_t sampled = 0;
    for (uint64_t i = 0; i < 100'000; ++i) sampled += panel.is_sampled(hash(i)) ? 1 : 0;
    return static_cast<double>(sampled) / 100'000;
  };
  panel.start(100, 100, false);
  EXPECT_EQ(share(), 1);
  panel.start(ExpertPanel::kSampledItems * 10, 1'000'000, false);
  EXPECT_NEAR(share(), 0.1, 0.01);
  panel.start(1'000'000'000, 1'000'000'000, false);
  EXPECT_NEAR(share(), 1.0 / ExpertPanel::kRateMin, 0.001);
}

TEST(ExpertPanel, GivesItsMemoryBackWhenItStops) {
  ExpertPanel panel(kRules, Goal::kObjectHits);
  panel.start(1000, 1000, false);
  run_loop(panel, 1000, 5000);
  EXPECT_GT(panel.bytes_used(), 10'000u);
  panel.stop();
  EXPECT_FALSE(panel.is_started());
  EXPECT_EQ(panel.bytes_used(), 0u);
}

}  // namespace
}  // namespace tidemark::cacheserver
