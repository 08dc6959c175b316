// Large values received where they stay: from the announcement to the entry, and what becomes of the others.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "cacheserver/keyspace/keyspace.h"

namespace tidemark::cacheserver {
namespace {

constexpr Instant kNow{std::chrono::seconds(1000)};
constexpr size_t kBytes = 100'000;

// As a connection does: `bytes` of `letter`, on their way.
FarValue* receive(Keyspace& keyspace, size_t bytes, char letter) {
  FarValue* value = keyspace.begin_receive(bytes, kNow);
  if (value != nullptr) std::memset(value->data(), letter, bytes);
  return value;
}

std::string_view bytes_of(FarValue* value, size_t size = kBytes) {
  return {value->data(), size};
}

TEST(KeyspaceReceiving, PutLinksWhatWasReceivedInsteadOfCopyingIt) {
  Keyspace keyspace({.hash_seed = 7});
  FarValue* value = receive(keyspace, kBytes, 'a');
  ASSERT_NE(value, nullptr);
  Entry* entry = keyspace.put("k", bytes_of(value), kNow);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->value().data(), value->data());
  keyspace.end_receive(value);
  ASSERT_NE(keyspace.find("k", kNow), nullptr);
  EXPECT_EQ(keyspace.find("k", kNow)->value(), std::string(kBytes, 'a'));
}

TEST(KeyspaceReceiving, AnOverwrittenValueIsTheMemoryOfTheNextOne) {
  Keyspace keyspace({.hash_seed = 7});
  FarValue* first = receive(keyspace, kBytes, 'a');
  keyspace.put("k", bytes_of(first), kNow);
  keyspace.end_receive(first);
  FarValue* second = receive(keyspace, kBytes, 'b');
  ASSERT_NE(second, first);
  EXPECT_EQ(keyspace.put("k", bytes_of(second), kNow)->value().data(), second->data());
  keyspace.end_receive(second);
  const uint64_t held = keyspace.memory().bytes_held;
  FarValue* third = receive(keyspace, kBytes - 100, 'c');
  EXPECT_EQ(third, first);
  EXPECT_EQ(keyspace.memory().bytes_held, held);
  keyspace.end_receive(third);
  EXPECT_EQ(keyspace.find("k", kNow)->value(), std::string(kBytes, 'b'));
}

TEST(KeyspaceReceiving, ValuesOnTheirWayCountAndGoWithTheirHolder) {
  Keyspace keyspace({.memory_bytes_max = 64 << 20, .hash_seed = 7});
  const uint64_t before = keyspace.memory().bytes_used;
  FarValue* value = receive(keyspace, 1 << 20, 'a');
  ASSERT_NE(value, nullptr);
  EXPECT_GE(keyspace.memory().bytes_used, before + (1 << 20));
  keyspace.end_receive(value);
  EXPECT_EQ(keyspace.memory().bytes_used, before);
  const uint64_t held = keyspace.memory().bytes_held;
  for (size_t i = 0; i < FarSpares::kSpares; ++i) keyspace.tick(kNow);
  EXPECT_LE(keyspace.memory().bytes_held, held - (1 << 20)) << "spare memory that nobody asks for goes, too";
}

TEST(KeyspaceReceiving, WhatIsTooSmallTooLargeOrTooMuchIsReceivedElsewhere) {
  Keyspace keyspace({.memory_bytes_max = 64 << 20, .hash_seed = 7});
  EXPECT_EQ(keyspace.begin_receive(kFarValueBytes - 1, kNow), nullptr);
  EXPECT_EQ(keyspace.begin_receive(Keyspace::kReceivedValueMax + 1, kNow), nullptr);
  std::vector<FarValue*> values;
  while (FarValue* value = keyspace.begin_receive(1 << 20, kNow)) values.push_back(value);
  EXPECT_EQ(values.size(), 3u) << "a sixteenth of the limit";
  for (FarValue* value : values) keyspace.end_receive(value);
}

TEST(KeyspaceReceiving, RoomIsMadeForAValueThatIsAnnouncedAndNeverBeyondTheLimit) {
  constexpr uint64_t kLimit = 32 << 20;
  Keyspace keyspace({.memory_bytes_max = kLimit, .policy = "lru", .hash_seed = 7});
  for (int i = 0; i < 2000; ++i) {
    FarValue* value = receive(keyspace, kBytes + static_cast<size_t>(i) % 7 * 9'000, 'a');
    ASSERT_NE(value, nullptr) << i;
    ASSERT_NE(keyspace.put("k" + std::to_string(i), bytes_of(value), kNow), nullptr) << i;
    keyspace.end_receive(value);
    ASSERT_LE(keyspace.memory().bytes_held, kLimit + kLimit / 64);
  }
  EXPECT_GT(keyspace.stats().evicted, 1000u);
  EXPECT_GT(keyspace.size(), 150u);
  keyspace.check();
}

TEST(KeyspaceReceiving, WhereNothingMayLeaveAValueWithoutRoomIsRefused) {
  Keyspace keyspace({.memory_bytes_max = 16 << 20, .policy = "noeviction", .hash_seed = 7});
  const std::string value(500'000, 'v');
  for (int i = 0; keyspace.put("k" + std::to_string(i), value, kNow) != nullptr; ++i) {
  }
  EXPECT_EQ(keyspace.begin_receive(800'000, kNow), nullptr);
}

TEST(KeyspaceReceiving, SectionsThatComeAndGoKeepTheValue) {
  Keyspace keyspace({.hash_seed = 7});
  const auto put = [&](char letter, Keyspace::PutOptions options) {
    FarValue* value = receive(keyspace, kBytes, letter);
    Entry* entry = keyspace.put("k", bytes_of(value), options, kNow);
    EXPECT_EQ(entry->value().data(), value->data());
    keyspace.end_receive(value);
    EXPECT_EQ(keyspace.find("k", kNow)->value(), std::string(kBytes, letter));
  };
  const EntryClaims claims{.shard = 3, .lo = Lsn{5}, .hi = Lsn{9}};
  put('a', {});
  put('b', {.expires_at = kNow + std::chrono::seconds(5)});
  put('c', {.expires_at = kNow + std::chrono::seconds(6)});
  put('d', {.claims = &claims});
  EXPECT_EQ(keyspace.find("k", kNow)->claims(), claims);
  put('e', {});
  EXPECT_EQ(keyspace.size_with_expiry(), 0u);
  keyspace.flush();
  put('f', {});
  keyspace.check();
}

TEST(KeyspaceReceiving, TheSameBytesPutTwiceAreTwoValues) {
  Keyspace keyspace({.hash_seed = 7});
  FarValue* value = receive(keyspace, kBytes, 'a');
  keyspace.put("one", bytes_of(value), kNow);
  keyspace.put("two", bytes_of(value), kNow);
  keyspace.end_receive(value);
  EXPECT_NE(keyspace.find("one", kNow)->value().data(), keyspace.find("two", kNow)->value().data());
  EXPECT_TRUE(keyspace.erase("one", kNow));
  EXPECT_EQ(keyspace.find("two", kNow)->value(), std::string(kBytes, 'a'));
}

}  // namespace
}  // namespace tidemark::cacheserver
