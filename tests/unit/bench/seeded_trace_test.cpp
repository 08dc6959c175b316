#include "bench/macro/seeded_trace.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace tidemark::bench {
namespace {

std::vector<TraceRequest> made(const std::string& name, uint64_t requests, uint64_t keys, uint64_t seed = 1) {
  auto trace = make_trace({.name = name, .requests = requests, .keys = keys, .seed = seed});
  EXPECT_TRUE(trace) << name;
  return trace ? *trace : std::vector<TraceRequest>{};
}

TEST(SeededTrace, IsTheSameForTheSameSeedAndAnotherForAnother) {
  for (const std::string name : {"zipf-scans", "mixed-sizes", "shifting"}) {
    const auto first = made(name, 30'000, 1000);
    EXPECT_EQ(first.size(), 30'000U);
    EXPECT_EQ(first, made(name, 30'000, 1000));
    EXPECT_NE(first, made(name, 30'000, 1000, 2));
  }
}

TEST(SeededTrace, ScansReadKeysOutsideThePopularOnesInOrder) {
  const auto trace = made("zipf-scans", 100'000, 50'000);
  uint64_t scanned = 0, popular = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    if (trace[i].key < 50'000) {
      ++popular;
    } else {
      EXPECT_EQ(trace[i].key, 50'000 + scanned++ % 50'000) << "request " << i;
    }
  }
  EXPECT_EQ(scanned, 2 * SeededTrace::kScanLength);
  EXPECT_EQ(popular, 100'000 - scanned);
}

TEST(SeededTrace, MixedSizesBelongToTheKeyAndSpanTheRange) {
  std::map<uint32_t, uint32_t> sizes;
  for (const TraceRequest& request : made("mixed-sizes", 50'000, 5000)) {
    const auto [at, is_new] = sizes.emplace(request.key, request.value_bytes);
    EXPECT_EQ(at->second, request.value_bytes);
    EXPECT_TRUE(request.value_bytes >= 64 && request.value_bytes <= 16384);
  }
  int small = 0, large = 0;
  for (const auto& [key, bytes] : sizes) {
    small += bytes < 128;
    large += bytes > 8192;
  }
  EXPECT_NEAR(small, static_cast<double>(sizes.size()) / 8, 150);
  EXPECT_NEAR(large, static_cast<double>(sizes.size()) / 8, 150);
}

// The most popular keys of the first tenth of the trace lose their place to others by the last tenth.
TEST(SeededTrace, ShiftingChangesWhatIsPopular) {
  const auto trace = made("shifting", 200'000, 10'000);
  const auto most_popular = [&](size_t from, size_t to) {
    std::map<uint32_t, int> count;
    for (size_t i = from; i < to; ++i) ++count[trace[i].key];
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

TEST(DecodeTrace, ReadsLittleEndianRecords) {
  using namespace std::string_view_literals;
  const auto trace = decode_trace("\x01\0\0\0\x02\x01\0\0\x03\0\0\0\x04\0\0\0"sv);
  ASSERT_TRUE(trace);
  EXPECT_EQ(*trace, (std::vector<TraceRequest>{{1, 258}, {3, 4}}));
}

TEST(DecodeTrace, RefusesAPartOfARecord) {
  EXPECT_FALSE(decode_trace("1234567"));
  EXPECT_TRUE(decode_trace(""));
}

TEST(UseLargestSizes, GivesEveryRequestTheLargestSizeOfItsKey) {
  std::vector<TraceRequest> trace{{1, 10}, {2, 5}, {1, 30}, {1, 20}};
  use_largest_sizes(trace);
  EXPECT_EQ(trace, (std::vector<TraceRequest>{{1, 30}, {2, 5}, {1, 30}, {1, 30}}));
  std::vector<TraceRequest> none;
  use_largest_sizes(none);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace tidemark::bench
