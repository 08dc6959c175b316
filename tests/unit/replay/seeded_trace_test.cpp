#include "bench/macro/replay/seeded_trace.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace tidemark::bench {
namespace {

Trace made(const std::string& name, uint64_t requests, uint64_t keys, uint64_t seed = 1) {
  auto trace = make_trace({.name = name, .requests = requests, .keys = keys, .seed = seed});
  EXPECT_TRUE(trace) << name;
  return trace ? *trace : Trace{};
}

TEST(SeededTrace, IsTheSameForTheSameSeedAndAnotherForAnother) {
  for (const std::string name : {"zipf-scans", "mixed-sizes", "shifting"}) {
    const auto first = made(name, 30'000, 1000);
    EXPECT_EQ(first.requests.size(), 30'000U);
    EXPECT_EQ(first.requests, made(name, 30'000, 1000).requests);
    EXPECT_EQ(first.sizes, made(name, 30'000, 1000).sizes);
    EXPECT_NE(first.requests, made(name, 30'000, 1000, 2).requests);
    for (uint32_t key : first.requests) ASSERT_LT(key, first.sizes.size());
  }
}

TEST(SeededTrace, ScansReadKeysOutsideThePopularOnesInOrder) {
  const auto trace = made("zipf-scans", 100'000, 50'000).requests;
  uint64_t scanned = 0, popular = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    if (trace[i] < 50'000) {
      ++popular;
    } else {
      EXPECT_EQ(trace[i], 50'000 + scanned++ % 50'000) << "request " << i;
    }
  }
  EXPECT_EQ(scanned, 2 * SeededTrace::kScanLength);
  EXPECT_EQ(popular, 100'000 - scanned);
}

TEST(SeededTrace, MixedSizesSpanTheRange) {
  const Trace trace = made("mixed-sizes", 1, 5000);
  int small = 0, large = 0;
  for (uint32_t bytes : trace.sizes) {
    EXPECT_TRUE(bytes >= 64 && bytes <= 16384);
    small += bytes < 128;
    large += bytes > 8192;
  }
  EXPECT_NEAR(small, 5000 / 8, 100);
  EXPECT_NEAR(large, 5000 / 8, 100);
}

// The most popular keys of the first tenth of the trace lose their place to others by the last tenth.
TEST(SeededTrace, ShiftingChangesWhatIsPopular) {
  const auto trace = made("shifting", 200'000, 10'000).requests;
  const auto most_popular = [&](size_t from, size_t to) {
    std::map<uint32_t, int> count;
    for (size_t i = from; i < to; ++i) ++count[trace[i]];
    std::multimap<int, uint32_t, std::greater<>> order;
    for (const auto& [key, times] : count) order.emplace(times, key);
    std::set<uint32_t> top;
    for (auto at = order.begin(); top.size() < 50; ++at) top.insert(at->second);
    return top;
  };
  const auto first = most_popular(0, 20'000), last = most_popular(180'000, 200'000);
  int kept = 0;
  for (uint32_t key : first) kept += static_cast<int>(last.count(key));
  EXPECT_LT(kept, 40);
}

TEST(SeededTrace, IsReadFromText) {
  const auto trace = parse_seeded_trace("shifting:1000:20:7");
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->name, "shifting");
  EXPECT_EQ(trace->requests, 1000U);
  EXPECT_EQ(trace->keys, 20U);
  EXPECT_EQ(trace->seed, 7U);
  EXPECT_EQ(parse_seeded_trace("shifting:1000:20")->seed, 1U);
}

TEST(SeededTrace, RefusesWhatIsNone) {
  for (const std::string text : {"shifting", "shifting:1", "shifting:x:1", "shifting:1:2:3:4", "shifting:1:0",
                                 "shifting:1:4000000000", "shifting:2000000000:1"})
    EXPECT_FALSE(parse_seeded_trace(text)) << text;
  EXPECT_FALSE(make_trace({.name = "other", .requests = 1, .keys = 1}));
}

TEST(SeededTrace, IsMadeWhereThereIsNoFile) {
  const auto trace = read_or_make_trace("shifting:1000:20");
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->requests.size(), 1000U);
  const auto neither = read_or_make_trace("/nowhere/trace.bin");
  ASSERT_FALSE(neither);
  EXPECT_NE(neither.error().message.find("neither a file nor a seeded trace"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::bench
