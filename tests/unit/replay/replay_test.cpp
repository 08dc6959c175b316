#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "bench/macro/replay/replay_cache.h"
#include "bench/macro/replay/trace.h"

namespace tidemark::bench {
namespace {

std::string record(uint32_t key, uint32_t size) {
  std::string bytes;
  for (const uint32_t value : {key, size}) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift & 0xff);
  }
  return bytes;
}

TEST(Trace, KeepsTheLargestSizeOfAKey) {
  Trace trace;
  ASSERT_TRUE(trace.append(record(0, 7) + record(2, 0x01020304) + record(0, 9) + record(0, 8)));
  ASSERT_TRUE(trace.finish());
  EXPECT_EQ(trace.requests, (std::vector<uint32_t>{0, 2, 0, 0}));
  EXPECT_EQ(trace.sizes, (std::vector<uint32_t>{9, 0, 0x01020304}));
}

TEST(Trace, MayComeCutAnywhere) {
  const std::string bytes = record(1, 2) + record(3, 4) + record(5, 6);
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    Trace trace;
    for (size_t at = 0; at < bytes.size(); at += piece)
      ASSERT_TRUE(trace.append(std::string_view(bytes).substr(at, piece)));
    EXPECT_TRUE(trace.finish());
    EXPECT_EQ(trace.requests, (std::vector<uint32_t>{1, 3, 5}));
  }
}

TEST(Trace, RefusesWhatIsNone) {
  Trace cut;
  ASSERT_TRUE(cut.append(record(1, 2) + "abc"));
  Status unfinished = cut.finish();
  ASSERT_FALSE(unfinished);
  EXPECT_NE(unfinished.error().message.find("3 bytes"), std::string::npos);
  Trace sparse;
  EXPECT_FALSE(sparse.append(record(0xffffffff, 1)));
  EXPECT_FALSE(Trace{}.finish());
}

TEST(Trace, IsReadFromAFile) {
  const std::string path = testing::TempDir() + "replay_test.bin";
  std::ofstream(path, std::ios::binary) << record(4, 5) << record(4, 6);
  auto trace = read_trace(path);
  ASSERT_TRUE(trace) << trace.error().to_string();
  EXPECT_EQ(trace->sizes[4], 6u);
  std::remove(path.c_str());
  EXPECT_EQ(read_trace(path).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_trace(path + ".zst").error().code, ErrorCode::kNotFound);
}

TEST(ReplayCache, ByLruALoopLargerThanTheCacheNeverHits) {
  const std::vector<uint32_t> sizes(5, 1);
  auto cache = *ReplayCache::make("lru", sizes, 4);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(cache->request(static_cast<uint32_t>(i % 5)));
  EXPECT_EQ(cache->evictions(), 96u);
  EXPECT_EQ(cache->bytes_used(), 4u);
}

TEST(ReplayCache, CountsBytesAndRefusesWhatIsLargerThanTheCache) {
  const std::vector<uint32_t> sizes = {10, 60, 40, 101};
  auto cache = *ReplayCache::make("lru", sizes, 100);
  EXPECT_FALSE(cache->request(3));
  EXPECT_FALSE(cache->request(3));
  EXPECT_FALSE(cache->request(0));
  EXPECT_FALSE(cache->request(1));
  EXPECT_TRUE(cache->request(0));
  EXPECT_FALSE(cache->request(2));  // 1 goes
  EXPECT_TRUE(cache->request(0));
  EXPECT_FALSE(cache->request(1));
}

TEST(ReplayCache, TheDefaultPolicyHitsALoopThatLruCannot) {
  const std::vector<uint32_t> sizes(1500, 1);
  auto cache = *ReplayCache::make(cacheserver::kDefaultEvictor, sizes, 1000);
  uint64_t hits = 0;
  for (uint32_t i = 0; i < 60'000; ++i) hits += cache->request(i % 1500) ? 1 : 0;
  EXPECT_GT(hits, 60'000u / 3);
}

TEST(ReplayCache, AnUnknownPolicyIsRefused) {
  EXPECT_FALSE(ReplayCache::make("none", {}, 1).has_value());
}

}  // namespace
}  // namespace tidemark::bench
