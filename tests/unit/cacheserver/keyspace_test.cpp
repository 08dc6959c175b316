#include "cacheserver/keyspace/keyspace.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>

#include "cacheserver/keyspace/slot_index.h"

namespace tidemark::cacheserver {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kNow{Duration(1'000'000'000'000)};

std::string value_of(Keyspace& keyspace, std::string_view key, Instant now = kNow) {
  const Entry* entry = keyspace.peek(key, now);
  return entry == nullptr ? "(none)" : std::string(entry->value());
}

// Ticks every 10 ms of the given span, as a worker does.
void run_ticks(Keyspace& keyspace, Instant from, Instant to) {
  for (Instant at = from; at <= to; at += milliseconds(10)) keyspace.tick(at);
}

TEST(Keyspace, KeepsBinaryKeysAndValuesOfEveryLength) {
  Keyspace keyspace({.hash_seed = 1});
  const std::string zero("a\0b", 3), empty, wide(70000, 'k'), edge(65535, 'e'), big(5 << 20, 'v');
  for (const std::string& key : {zero, empty, wide, edge}) {
    ASSERT_NE(keyspace.put(key, big, kNow), nullptr);
    ASSERT_NE(keyspace.put(key, zero, kNow), nullptr);
    EXPECT_EQ(value_of(keyspace, key), zero);
    EXPECT_EQ(keyspace.peek(key, kNow)->key(), key);
    ASSERT_NE(keyspace.put(key, empty, kNow), nullptr);
    EXPECT_EQ(value_of(keyspace, key), "");
  }
  EXPECT_EQ(keyspace.size(), 4u);
}

TEST(Keyspace, FindCountsHitsAndMissesAndPeekDoesNot) {
  Keyspace keyspace({.hash_seed = 1});
  keyspace.put("a", "1", kNow);
  EXPECT_NE(keyspace.find("a", kNow), nullptr);
  EXPECT_EQ(keyspace.find("b", kNow), nullptr);
  keyspace.peek("a", kNow);
  keyspace.peek("b", kNow);
  EXPECT_EQ(keyspace.stats().hits, 1u);
  EXPECT_EQ(keyspace.stats().misses, 1u);
}

TEST(Keyspace, AnEntryIsGoneAtTheInstantItExpires) {
  Keyspace keyspace({.hash_seed = 1});
  keyspace.put("a", "1", {.expires_at = kNow + seconds(1)}, kNow);
  EXPECT_NE(keyspace.find("a", kNow + seconds(1) - Duration(1)), nullptr);
  EXPECT_EQ(keyspace.find("a", kNow + seconds(1)), nullptr);
  EXPECT_EQ(keyspace.size(), 0u);
  EXPECT_EQ(keyspace.stats().expired, 1u);
}

TEST(Keyspace, ExpireSetsChangesAndRemovesTheTimeToLive) {
  using enum Keyspace::ExpireOutcome;
  Keyspace keyspace({.hash_seed = 1});
  EXPECT_EQ(keyspace.expire("a", kNow + seconds(1), kNow), kMissing);
  keyspace.put("a", "value", kNow);
  EXPECT_EQ(keyspace.expire("a", kNow + seconds(1), kNow), kDone);
  EXPECT_EQ(keyspace.expire("a", kNow + seconds(5), kNow), kDone);
  EXPECT_EQ(value_of(keyspace, "a", kNow + seconds(4)), "value");
  EXPECT_EQ(keyspace.size_with_expiry(), 1u);
  EXPECT_EQ(keyspace.expire("a", std::nullopt, kNow), kDone);
  EXPECT_EQ(keyspace.size_with_expiry(), 0u);
  EXPECT_EQ(value_of(keyspace, "a", kNow + hours(9000)), "value");
  EXPECT_EQ(keyspace.expire("a", kNow, kNow), kDone);
  EXPECT_EQ(keyspace.size(), 0u);
}

TEST(Keyspace, PutDropsTheTimeToLiveUnlessToldToKeepIt) {
  Keyspace keyspace({.hash_seed = 1});
  keyspace.put("a", "1", {.expires_at = kNow + seconds(1)}, kNow);
  keyspace.put("a", "2", {.keep_expiry = true}, kNow);
  EXPECT_EQ(keyspace.peek("a", kNow)->expires_at(), kNow + seconds(1));
  keyspace.put("a", "3", kNow);
  EXPECT_EQ(keyspace.peek("a", kNow)->expires_at(), std::nullopt);
  EXPECT_EQ(keyspace.size_with_expiry(), 0u);
}

TEST(Keyspace, TicksEraseWhatExpiredNearAndFar) {
  Keyspace keyspace({.hash_seed = 1});
  std::mt19937 random(3);
  const auto spans = {milliseconds(5000), milliseconds(200'000), milliseconds(3'000'000)};
  size_t put = 0;
  for (milliseconds span : spans) {
    for (int i = 0; i < 300; ++i, ++put) {
      keyspace.put("k" + std::to_string(put), "v",
                   {.expires_at = kNow + milliseconds(random() % static_cast<uint32_t>(span.count()))}, kNow);
    }
  }
  keyspace.put("never", "v", kNow);
  keyspace.put("far", "v", {.expires_at = kNow + hours(24 * 365 * 900)}, kNow);
  run_ticks(keyspace, kNow, kNow + seconds(6));
  EXPECT_LE(keyspace.size(), 602u);
  EXPECT_GT(keyspace.size(), 500u);
  for (Instant at = kNow + seconds(6); at < kNow + seconds(3010); at += seconds(1)) keyspace.tick(at);
  EXPECT_EQ(keyspace.size(), 2u);
  EXPECT_EQ(keyspace.stats().expired, 900u);
}

TEST(Keyspace, NoTickExpiresAnEntryBeforeItsTime) {
  Keyspace keyspace({.hash_seed = 1});
  std::multimap<Instant, std::string> due;
  std::mt19937 random(4);
  for (int i = 0; i < 2000; ++i) {
    Instant at = kNow + milliseconds(1 + random() % 20000);
    keyspace.put(std::to_string(i), "v", {.expires_at = at}, kNow);
    due.emplace(at, std::to_string(i));
  }
  for (Instant now = kNow; now < kNow + seconds(21); now += milliseconds(10)) {
    keyspace.tick(now);
    due.erase(due.begin(), due.upper_bound(now));
    ASSERT_GE(keyspace.size(), due.size());
    ASSERT_LE(keyspace.size(), due.size() + 120) << "expired entries stay for about two ticks of the wheel";
  }
  EXPECT_EQ(keyspace.size(), 0u);
}

TEST(Keyspace, ATickErasesABoundedNumberAndSaysThatWorkIsLeft) {
  Keyspace keyspace({.hash_seed = 1});
  for (int i = 0; i < 5000; ++i) keyspace.put(std::to_string(i), "v", {.expires_at = kNow + seconds(1)}, kNow);
  EXPECT_FALSE(keyspace.tick(kNow + milliseconds(900)));
  size_t before = keyspace.size();
  EXPECT_TRUE(keyspace.tick(kNow + seconds(2)));
  EXPECT_LE(before - keyspace.size(), Keyspace::kTimersPerTick);
  EXPECT_EQ(keyspace.find("4999", kNow + seconds(2)), nullptr) << "late in memory, never late to a reader";
  while (keyspace.tick(kNow + seconds(2))) {
  }
  EXPECT_EQ(keyspace.size(), 0u);
}

TEST(Keyspace, ResizeKeepsTheBeginningAddsZerosAndKeepsTheExpiry) {
  Keyspace keyspace({.hash_seed = 1});
  keyspace.put("a", "hello", {.expires_at = kNow + seconds(9)}, kNow);
  Entry* entry = keyspace.resize("a", 7, kNow);
  EXPECT_EQ(entry->value(), std::string_view("hello\0\0", 7));
  EXPECT_EQ(entry->expires_at(), kNow + seconds(9));
  EXPECT_EQ(keyspace.resize("a", 2, kNow)->value(), "he");
  EXPECT_EQ(keyspace.resize("a", 5, kNow)->value(), std::string_view("he\0\0\0", 5));
  EXPECT_EQ(keyspace.resize("new", 3, kNow)->value(), std::string_view("\0\0\0", 3));
  EXPECT_EQ(keyspace.resize("a", 100'000, kNow)->value().substr(0, 2), "he");
}

TEST(Keyspace, ClaimsComeBackAsTheyWereAndAPlainPutDropsThem) {
  Keyspace keyspace({.hash_seed = 1});
  const EntryClaims claims{.shard = 65535,
                           .db_epoch = 0xfedcba98,
                           .bucket_epoch = 7,
                           .proof = ProofKind::kSnapshot,
                           .is_absent = true,
                           .lo = Lsn{0xfffffffffffffff0},
                           .hi = Lsn{0xffffffffffffffff},
                           .xmin = uint64_t{1} << 40,
                           .soft_ttl_ms = 1500};
  Entry* entry = keyspace.put("p", "", {.expires_at = kNow + seconds(9), .claims = &claims}, kNow);
  ASSERT_TRUE(entry->has_claims());
  EXPECT_EQ(entry->claims(), claims);
  EXPECT_EQ(entry->expires_at(), kNow + seconds(9));
  keyspace.expire("p", kNow + seconds(1), kNow);
  EXPECT_EQ(keyspace.peek("p", kNow)->claims(), claims);
  EXPECT_EQ(keyspace.copy("p", "q", kNow), Keyspace::CopyOutcome::kDone);
  EXPECT_FALSE(keyspace.peek("q", kNow)->has_claims());
  EXPECT_FALSE(keyspace.put("p", "x", kNow)->has_claims());
}

TEST(Keyspace, AValueMayBeAViewIntoAnEntryThatThePutEvicts) {
  Keyspace keyspace({.memory_bytes_max = 2 << 20, .hash_seed = 1});
  const std::string big(600'000, 'x');
  keyspace.put("a", big, kNow);
  for (int i = 0; i < 20; ++i) {
    std::string from = i % 2 == 0 ? "a" : "b", to = i % 2 == 0 ? "b" : "a";
    Entry* source = keyspace.peek(from, kNow);
    ASSERT_NE(source, nullptr);
    keyspace.put("other" + std::to_string(i % 3), big, kNow);
    if (keyspace.peek(from, kNow) == nullptr) keyspace.put(from, big, kNow);
    ASSERT_NE(keyspace.put(to, keyspace.peek(from, kNow)->value(), kNow), nullptr);
    ASSERT_EQ(value_of(keyspace, to), big);
  }
}

TEST(Keyspace, CopyTakesValueExpiryAndEncoding) {
  using enum Keyspace::CopyOutcome;
  Keyspace keyspace({.hash_seed = 1});
  EXPECT_EQ(keyspace.copy("a", "b", kNow), kMissing);
  keyspace.put("a", "1", {.expires_at = kNow + seconds(3)}, kNow)->set_encoding(ValueEncoding::kEditedText);
  EXPECT_EQ(keyspace.copy("a", "b", kNow), kDone);
  EXPECT_EQ(value_of(keyspace, "b"), "1");
  EXPECT_EQ(keyspace.peek("b", kNow)->expires_at(), kNow + seconds(3));
  EXPECT_EQ(keyspace.peek("b", kNow)->encoding(), ValueEncoding::kEditedText);
}

TEST(Keyspace, CountsAndListsTheKeysOfASlot) {
  Keyspace keyspace({.hash_seed = 1});
  for (int i = 0; i < 1000; ++i) keyspace.put("k" + std::to_string(i), "v", kNow);
  for (int i = 0; i < 50; ++i) keyspace.put("{tag}" + std::to_string(i), "v", kNow);
  const Slot slot = slot_of_key("{tag}");
  EXPECT_GE(keyspace.count_in_slot(slot), 50u);
  EXPECT_EQ(keyspace.keys_in_slot(slot, 10, kNow).size(), 10u);
  auto keys = keyspace.keys_in_slot(slot, 1000, kNow);
  EXPECT_EQ(keys.size(), keyspace.count_in_slot(slot));
  for (std::string_view key : keys) EXPECT_EQ(slot_of_key(key), slot);
  size_t total = 0;
  for (uint32_t i = 0; i < kSlotCount; ++i) total += keyspace.count_in_slot(static_cast<Slot>(i));
  EXPECT_EQ(total, keyspace.size());
  for (int i = 0; i < 50; ++i) keyspace.erase("{tag}" + std::to_string(i), kNow);
  EXPECT_EQ(keyspace.count_in_slot(slot), keys.size() - 50);
}

TEST(Keyspace, AScanUnderChangesSeesAllThatStaysOnceAndEnds) {
  for (uint64_t seed : {1, 2}) {
    Keyspace keyspace({.hash_seed = seed});
    std::mt19937_64 random(seed);
    for (int i = 0; i < 3000; ++i) keyspace.put("stays" + std::to_string(i), "v", kNow);
    std::multiset<std::string> seen;
    uint64_t cursor = 0;
    int calls = 0;
    do {
      std::vector<const Entry*> out;
      cursor = keyspace.scan(cursor, 10, kNow, out);
      for (const Entry* entry : out) seen.emplace(entry->key());
      for (int i = 0; i < 100; ++i) {
        std::string key = "{hot}" + std::to_string(random() % 20000);
        calls < 150 ? static_cast<void>(keyspace.put(key, "v", kNow)) : static_cast<void>(keyspace.erase(key, kNow));
      }
      ASSERT_LT(++calls, 100'000);
    } while (cursor != 0);
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(seen.count("stays" + std::to_string(i)), 1u) << i;
  }
}

TEST(Keyspace, AScanPassesOverWhatExpiredAndEndsOnACursorOfNowhere) {
  Keyspace keyspace({.hash_seed = 1});
  keyspace.put("a", "v", {.expires_at = kNow + seconds(1)}, kNow);
  keyspace.put("b", "v", kNow);
  std::vector<const Entry*> out;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.scan(cursor, 1000, kNow + seconds(2), out);
  } while (cursor != 0);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0]->key(), "b");
  EXPECT_EQ(keyspace.scan(UINT64_MAX, 10, kNow, out), 0u);
}

TEST(Keyspace, RandomReachesEveryKeyAndNothingInAnEmptyKeyspace) {
  Keyspace keyspace({.hash_seed = 1});
  EXPECT_EQ(keyspace.random(kNow), nullptr);
  for (int i = 0; i < 40; ++i) keyspace.put(i < 30 ? "{t}" + std::to_string(i) : std::to_string(i), "v", kNow);
  std::set<std::string> seen;
  for (int i = 0; i < 4000; ++i) seen.emplace(keyspace.random(kNow)->key());
  EXPECT_EQ(seen.size(), 40u);
}

TEST(Keyspace, FlushIsImmediateToReadersAndFreesBitByBit) {
  Keyspace keyspace({.hash_seed = 1});
  for (int i = 0; i < 20000; ++i) {
    keyspace.put(std::to_string(i), std::string(1000, 'v'), {.expires_at = kNow + seconds(i)}, kNow);
  }
  const uint64_t full = keyspace.memory().bytes_used;
  keyspace.flush();
  EXPECT_EQ(keyspace.size(), 0u);
  EXPECT_EQ(keyspace.size_with_expiry(), 0u);
  EXPECT_EQ(value_of(keyspace, "5"), "(none)");
  EXPECT_GE(keyspace.memory().bytes_used, full) << "not freed yet, so it still counts";
  keyspace.put("5", "new", kNow);
  int ticks = 0;
  while (keyspace.tick(kNow)) ++ticks;
  EXPECT_GT(ticks, 3);
  EXPECT_LT(keyspace.memory().bytes_used, full / 5);
  EXPECT_EQ(value_of(keyspace, "5"), "new");
}

TEST(Keyspace, RoomIsTakenFromAFlushBeforeAnythingLiveIsEvicted) {
  Keyspace keyspace({.memory_bytes_max = 4 << 20, .hash_seed = 1});
  for (int i = 0; i < 20000; ++i) keyspace.put("old" + std::to_string(i), std::string(60, 'x'), kNow);
  keyspace.flush();
  for (int i = 0; i < 15000; ++i) keyspace.put("new" + std::to_string(i), std::string(60, 'x'), kNow);
  EXPECT_EQ(keyspace.stats().evicted, 0u);
  EXPECT_EQ(keyspace.size(), 15000u);
}

TEST(Keyspace, NoEvictionRefusesAndChangesNothing) {
  Keyspace keyspace({.memory_bytes_max = 2 << 20, .policy = "noeviction", .hash_seed = 1});
  keyspace.put("a", "small", kNow);
  int i = 0;
  while (keyspace.put("k" + std::to_string(i), std::string(1000, 'x'), kNow) != nullptr) ++i;
  EXPECT_GT(i, 1000);
  EXPECT_LE(keyspace.memory().bytes_used, keyspace.memory().bytes_max + 8192);
  EXPECT_EQ(keyspace.put("a", std::string(5000, 'y'), kNow), nullptr);
  EXPECT_EQ(value_of(keyspace, "a"), "small");
  EXPECT_EQ(keyspace.resize("a", 5000, kNow), nullptr);
  EXPECT_EQ(value_of(keyspace, "a"), "small");
  EXPECT_EQ(keyspace.stats().evicted, 0u);
  EXPECT_GE(keyspace.stats().refused_for_memory, 2u);
}

TEST(Keyspace, AValueLargerThanTheLimitIsRefusedWithoutEvicting) {
  Keyspace keyspace({.memory_bytes_max = 4 << 20, .hash_seed = 1});
  keyspace.put("a", "1", kNow);
  EXPECT_EQ(keyspace.put("big", std::string(5 << 20, 'x'), kNow), nullptr);
  EXPECT_EQ(value_of(keyspace, "a"), "1");
}

TEST(Keyspace, OneTurnMovesNoMoreBlocksThanItsBoundHoweverManyWritesItServes) {
  Keyspace keyspace({.memory_bytes_max = 32 << 20, .policy = "lru", .hash_seed = 1});
  std::mt19937_64 random(3);
  auto write = [&] {
    const std::string key = std::to_string(random() % 100000);
    ASSERT_NE(keyspace.put(key, std::string(random() % 600, 'v'), kNow), nullptr);
  };
  for (int i = 0; i < 300000; ++i) write();
  uint64_t most = 0, before = keyspace.memory_report().blocks_moved;
  for (int turn = 0; turn < 200; ++turn) {
    keyspace.begin_turn();
    for (int i = 0; i < 1000; ++i) write();
    const uint64_t after = keyspace.memory_report().blocks_moved;
    most = std::max(most, after - before);
    before = after;
  }
  EXPECT_LE(most, Keyspace::kBlocksMovedPerTurn);
  EXPECT_GT(most, 0u);
  keyspace.check();
}

TEST(Keyspace, AVeryLargeValueFindsRoomAmongSmallOnes) {
  Keyspace keyspace({.memory_bytes_max = 128 << 20, .policy = "lru", .hash_seed = 1});
  for (int i = 0; i < 1500000; ++i)
    ASSERT_NE(keyspace.put("key:" + std::to_string(i), std::string(60, 'v'), kNow), nullptr);
  keyspace.begin_turn();
  EXPECT_NE(keyspace.put("large", std::string(48 << 20, 'v'), kNow), nullptr);
  EXPECT_LE(keyspace.memory().bytes_held, keyspace.memory().bytes_max + (8 << 20));
  keyspace.check();
}

TEST(Keyspace, HolesBetweenLargeEntriesAreRoomEvenWithoutEviction) {
  Keyspace keyspace({.memory_bytes_max = 64 << 20, .policy = "noeviction", .hash_seed = 1});
  int count = 0;
  for (;; ++count) {  // a large one, then small ones
    if (keyspace.put("large:" + std::to_string(count), std::string(40000, 'v'), kNow) == nullptr) break;
    for (int i = 0; i < 40; ++i)
      keyspace.put("s" + std::to_string(count) + ":" + std::to_string(i), std::string(400, 'v'), kNow);
  }
  for (int j = 0; j <= count; ++j) {
    for (int i = 0; i < 40; ++i) keyspace.erase("s" + std::to_string(j) + ":" + std::to_string(i), kNow);
  }
  int fit = 0;  // a quarter of the memory is free now
  while (keyspace.put("more:" + std::to_string(fit), std::string(40000, 'v'), kNow) != nullptr) ++fit;
  EXPECT_GT(fit, count / 10);
  EXPECT_LE(keyspace.memory().bytes_held, keyspace.memory().bytes_max + (2 << 20));
  keyspace.check();
}

TEST(Keyspace, ASlotIsPurgedInStepsThatSpareItsNeighbours) {
  Keyspace keyspace({.hash_seed = 1});
  for (int i = 0; i < 20000; ++i) keyspace.put("{a}" + std::to_string(i), "v", kNow);
  const Slot slot = slot_of_key("{a}");
  std::string near;  // a key of another slot in the same table
  for (int i = 0; near.empty(); ++i) {
    const Slot other = slot_of_key(std::to_string(i));
    if (other != slot && SlotIndex::table_of(other) == SlotIndex::table_of(slot)) near = std::to_string(i);
  }
  keyspace.put(near, "v", kNow);
  Keyspace::Purge purge;
  size_t steps = 0, erased = 0;
  do {
    purge = keyspace.purge_slot(slot, purge.cursor, 1000);
    EXPECT_LE(purge.erased, 1000 + 2 * TableGroup::kPlaces);
    erased += purge.erased;
    ++steps;
  } while (purge.cursor != 0);
  EXPECT_EQ(erased, 20000u);
  EXPECT_GE(steps, 10u);
  EXPECT_EQ(keyspace.size(), 1u);
  EXPECT_NE(keyspace.peek(near, kNow), nullptr);
}

TEST(Keyspace, ALoweredLimitIsReachedByTicks) {
  Keyspace keyspace({.memory_bytes_max = 32 << 20, .hash_seed = 1});
  for (int i = 0; i < 10000; ++i) keyspace.put(std::to_string(i), std::string(1000, 'x'), kNow);
  keyspace.set_memory_limit(4 << 20);
  int ticks = 0;
  while (keyspace.tick(kNow)) ASSERT_LT(++ticks, 1000);
  EXPECT_LE(keyspace.memory().bytes_used, uint64_t{4} << 20);
  EXPECT_GT(keyspace.size(), 1000u);
}

class KeyspaceOfPolicy : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Policies, KeyspaceOfPolicy, testing::Values("lru", "s3fifo", "adaptive", "gdsf"));

TEST_P(KeyspaceOfPolicy, TheLimitHoldsAfterEveryPutOfAnySize) {
  // The overdraft is 1/32 of so small a limit; the models of a policy begin all at once, when memory runs short.
  constexpr uint64_t kOverdraft = 128 << 10, kModels = 128 << 10;
  Keyspace keyspace({.memory_bytes_max = 4 << 20, .policy = GetParam(), .hash_seed = 1});
  std::mt19937_64 random(9);
  for (int i = 0; i < 60000; ++i) {
    size_t size = random() % 50 == 0 ? random() % 100'000 : random() % 300;
    ASSERT_NE(keyspace.put("k" + std::to_string(random() % 30000), std::string(size, 'x'), kNow), nullptr);
    ASSERT_LE(keyspace.memory().bytes_held, keyspace.memory().bytes_max + kOverdraft + kModels);
  }
  EXPECT_GT(keyspace.stats().evicted, 1000u);
}

TEST_P(KeyspaceOfPolicy, BehavesLikeAMapUnderRandomCommands) {
  for (uint64_t seed : {1, 2, 3}) {
    Keyspace keyspace({.policy = GetParam(), .hash_seed = seed});
    std::mt19937_64 random(seed);
    std::map<std::string, std::pair<std::string, std::optional<Instant>>> model;
    Instant now = kNow;
    for (int i = 0; i < 30000; ++i) {
      now += Duration(random() % 2000);
      std::string key = "k" + std::to_string(random() % 700);
      auto held = model.find(key);
      if (held != model.end() && held->second.second && *held->second.second <= now)
        held = (model.erase(held), model.end());
      std::string value(random() % 120, static_cast<char>('a' + random() % 26));
      std::optional<Instant> at;
      if (random() % 2 == 0) at = now + milliseconds(1 + random() % 3000);
      switch (random() % 7) {
        case 0:
        case 1:
          keyspace.put(key, value, {.expires_at = at}, now);
          model[key] = {value, at};
          break;
        case 2:
          ASSERT_EQ(keyspace.erase(key, now), held != model.end());
          model.erase(key);
          break;
        case 3:
          ASSERT_EQ(keyspace.expire(key, at, now) == Keyspace::ExpireOutcome::kDone, held != model.end());
          if (held != model.end()) held->second.second = at;
          break;
        case 4:
          keyspace.resize(key, value.size(), now);
          model[key].first.resize(value.size(), '\0');
          break;
        case 5:
          keyspace.tick(now);
          break;
        default:
          ASSERT_EQ(value_of(keyspace, key, now), held == model.end() ? "(none)" : held->second.first) << key;
      }
    }
    std::erase_if(model, [now](const auto& item) { return item.second.second && *item.second.second <= now; });
    for (const auto& [key, item] : model) {
      ASSERT_EQ(value_of(keyspace, key, now), item.first);
      ASSERT_EQ(keyspace.peek(key, now)->expires_at(), item.second);
    }
    while (keyspace.tick(now + milliseconds(50))) {
    }
  }
}

TEST(Keyspace, ThePolicyCanBeChangedUnderALoad) {
  Keyspace keyspace({.memory_bytes_max = 3 << 20, .policy = "noeviction", .hash_seed = 1});
  for (int i = 0; i < 5000; ++i) keyspace.put(std::to_string(i), std::string(100, 'x'), kNow);
  for (const char* name : {"s3fifo", "lru", "s3fifo"}) {
    ASSERT_TRUE(keyspace.set_policy(name, kNow).has_value());
    for (int i = 0; i < 20000; ++i) {
      ASSERT_NE(keyspace.put(name + std::to_string(i), std::string(100, 'x'), kNow), nullptr);
    }
  }
  EXPECT_EQ(keyspace.policy_name(), "s3fifo");
  auto refused = keyspace.set_policy("best", kNow);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("'best'"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::cacheserver
