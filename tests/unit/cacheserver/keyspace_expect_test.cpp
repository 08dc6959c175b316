// Looking ahead: keys referred to and prefetched before they are looked up.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "cacheserver/keyspace/keyspace.h"

namespace tidemark::cacheserver {
namespace {

constexpr Instant kNow{std::chrono::seconds(1000)};

TEST(KeyspaceLookingAhead, ExpectedKeysAreFoundAsIfTheyHadNotBeen) {
  Keyspace keyspace({.hash_seed = 7});
  std::vector<std::string> keys;
  for (int i = 0; i < 5000; ++i) keys.push_back("key:" + std::to_string(i));
  constexpr size_t kAtOnce = 16;
  for (size_t begin = 0; begin + kAtOnce <= keys.size(); begin += kAtOnce) {
    std::array<KeyRef, kAtOnce> refs;
    for (size_t i = 0; i < kAtOnce; ++i) refs[i] = keyspace.refer(keys[begin + i]);
    keyspace.prefetch(refs);
    keyspace.expect(refs);
    for (size_t i = 0; i < kAtOnce; ++i) ASSERT_NE(keyspace.put(keys[begin + i], std::to_string(i), kNow), nullptr);
    keyspace.expect({});
  }
  for (size_t i = 0; i < 4992; ++i) {
    Entry* entry = keyspace.find(keys[i], kNow);
    ASSERT_NE(entry, nullptr) << keys[i];
    EXPECT_EQ(entry->key(), keys[i]);
    EXPECT_EQ(entry->value(), std::to_string(i % kAtOnce));
  }
}

TEST(KeyspaceLookingAhead, OnlyTheSameBytesAtTheSameAddressAreTakenAsExpected) {
  Keyspace keyspace({.hash_seed = 7});
  const std::string text = "abcabc";
  const std::string_view first = std::string_view(text).substr(0, 3), second = std::string_view(text).substr(3);
  KeyRef wrong = keyspace.refer(first);
  wrong.hash ^= 1;  // shows where it is used
  const std::array refs = {wrong};
  keyspace.expect(refs);
  EXPECT_EQ(keyspace.recall(first).hash, wrong.hash);
  EXPECT_EQ(keyspace.recall(second).hash, wrong.hash ^ 1) << "equal bytes elsewhere";
  EXPECT_EQ(keyspace.recall(first.substr(0, 2)).hash, keyspace.refer("ab").hash) << "another length";
  keyspace.expect({});
  EXPECT_EQ(keyspace.recall(first).hash, wrong.hash ^ 1);
}

TEST(KeyspaceLookingAhead, KeysMayBeSkippedOneAtATimeAndAskedForAgain) {
  Keyspace keyspace({.hash_seed = 7});
  const std::array<std::string, 3> keys = {"a", "b", "c"};
  std::array<KeyRef, 3> refs;
  for (size_t i = 0; i < keys.size(); ++i) refs[i] = {keys[i], 100 + i, 0};
  keyspace.expect(refs);
  EXPECT_EQ(keyspace.recall(keys[0]).hash, 100u);
  EXPECT_EQ(keyspace.recall(keys[0]).hash, 100u);
  EXPECT_EQ(keyspace.recall(keys[1]).hash, 101u);
  EXPECT_EQ(keyspace.recall(keys[2]).hash, 102u);
  EXPECT_EQ(keyspace.recall(keys[0]).hash, 100u) << "once more from the beginning";
  EXPECT_EQ(keyspace.recall(keys[2]).hash, keyspace.refer("c").hash) << "two skipped: hashed again";
}

}  // namespace
}  // namespace tidemark::cacheserver
