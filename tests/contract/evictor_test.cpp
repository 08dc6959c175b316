// What every eviction policy promises; cacheserver/eviction/evictor.h lists it.
#include "cacheserver/eviction/evictor.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/hash.h"

namespace tidemark::cacheserver {
namespace {

constexpr unsigned kShift = 4;
constexpr uint8_t kTypeMarks = 0xa0;  // what a policy must leave alone

// The items a policy has been told of, as a keyspace would hold them.
class Population final : public ItemSource {
 public:
  Population(std::string_view policy, size_t places)
      : items_(places + 1), evictor_(*make_evictor(policy, memory(), *this)) {
    for (ItemId id = static_cast<ItemId>(places); id > 0; --id) free_.push_back(id);
  }

  Evictor& evictor() { return *evictor_; }
  size_t size() const { return ids_.size(); }
  size_t places_left() const { return free_.size(); }
  bool has(uint64_t number) const { return ids_.contains(number); }
  uint64_t bytes() const { return bytes_; }
  ItemId id_of(uint64_t number) const { return ids_.at(number); }

  void insert(uint64_t number, uint32_t bytes = 100) {
    const ItemId id = free_.back();
    free_.pop_back();
    items_[id] = {
        .head = {.word0 = 0xdead, .word1 = 0xbeef, .block = 3, .marks = kTypeMarks, .key_size = 1, .value_size = 2},
        .bytes = bytes,
        .number = number};
    ids_[number] = id;
    bytes_ += bytes;
    evictor_->on_insert(id, hash(number), bytes, now_);
  }
  void hit(uint64_t number) { evictor_->on_hit(ids_.at(number), hash(number), now_); }
  void resize(uint64_t number, uint32_t bytes) {
    Item& item = items_[ids_.at(number)];
    const uint32_t before = item.bytes;
    item.bytes = bytes;
    bytes_ += bytes;
    bytes_ -= before;
    evictor_->on_resize(ids_.at(number), before, bytes);
  }
  void move(uint64_t number) {
    const ItemId from = ids_.at(number);
    const ItemId to = free_.front();
    free_.erase(free_.begin());
    items_[to] = items_[from];
    evictor_->on_move(from, to);
    ids_[number] = to;
    forget(from);
  }
  void remove(uint64_t number) {
    const ItemId id = ids_.at(number);
    evictor_->on_remove(id, items_[id].bytes);
    take(number, id);
  }
  // The victim's number; nothing if the policy names none. A stranger fails the test.
  std::optional<uint64_t> evict() {
    const ItemId victim = evictor_->choose_victim(now_);
    if (victim == kNoItem) return std::nullopt;
    const uint64_t number = victim < items_.size() ? items_[victim].number : 0;
    if (!ids_.contains(number) || ids_.at(number) != victim) {
      ADD_FAILURE() << "the victim " << victim << " was removed, moved, or never inserted";
      return std::nullopt;
    }
    evictor_->on_evict(victim, hash(number), items_[victim].bytes);
    take(number, victim);
    return number;
  }
  void tell_pressure(uint64_t bytes_max) { evictor_->set_pressure(bytes_, bytes_max); }
  void clear() {
    evictor_->on_clear();
    for (const auto& [number, id] : ids_) forget(id);
    ids_.clear();
    bytes_ = 0;
  }
  void pass(Duration time) { now_ += time; }
  Instant now() const { return now_; }

  // The parts of each head that are not the policy's.
  void expect_heads_intact() const {
    for (const auto& [number, id] : ids_) {
      const ItemHead& head = items_[id].head;
      ASSERT_EQ(head.marks & 0xf0, kTypeMarks);
      ASSERT_EQ(head.block, 3);
      ASSERT_EQ(head.key_size, 1);
      ASSERT_EQ(head.value_size, 2);
    }
  }

  uint64_t hash_of(ItemId id) override { return hash(items_[id].number); }
  uint32_t bytes_of(ItemId id) override { return items_[id].bytes; }

 private:
  struct Item {
    ItemHead head;
    uint32_t bytes;
    uint64_t number;
    uint64_t unused = 0;
  };
  static_assert(sizeof(Item) == 32);
  ItemMemory memory() { return {reinterpret_cast<std::byte*>(items_.data()), kShift + 1}; }
  static uint64_t hash(uint64_t number) { return hash64(std::to_string(number)); }
  void take(uint64_t number, ItemId id) {
    bytes_ -= items_[id].bytes;
    ids_.erase(number);
    forget(id);
  }
  // What a place held is overwritten: whoever still reads it gets nonsense.
  void forget(ItemId id) {
    items_[id] = {
        .head = {.word0 = 0xfffffff0, .word1 = 0xfffffff1, .block = 9, .marks = 0xff, .key_size = 9, .value_size = 9},
        .bytes = 0,
        .number = UINT64_MAX};
    free_.push_back(id);
  }

  std::vector<Item> items_;
  std::vector<ItemId> free_;
  std::map<uint64_t, ItemId> ids_;
  uint64_t bytes_ = 0;
  Instant now_{std::chrono::hours(1)};
  std::unique_ptr<Evictor> evictor_;
};

class EvictorContract : public testing::TestWithParam<const char*> {
 protected:
  bool evicts_ = std::string_view(GetParam()) != "noeviction";
};
INSTANTIATE_TEST_SUITE_P(Policies, EvictorContract,
                         testing::Values("adaptive", "adaptive-byte", "lru", "s3fifo", "gdsf", "noeviction"));

TEST_P(EvictorContract, AnswersToItsName) {
  Population population(GetParam(), 1);
  EXPECT_EQ(population.evictor().name(), GetParam());
}

TEST_P(EvictorContract, NamesNoVictimWhenNothingIsThere) {
  Population population(GetParam(), 10);
  EXPECT_EQ(population.evict(), std::nullopt);
  population.insert(1);
  population.hit(1);
  population.remove(1);
  EXPECT_EQ(population.evict(), std::nullopt);
}

TEST_P(EvictorContract, EvictsEveryItemOnceOrNoneAtAll) {
  Population population(GetParam(), 500);
  for (uint64_t i = 0; i < 500; ++i) population.insert(i);
  for (uint64_t i = 0; i < 500; ++i) {
    for (int hits = 0; hits < 4; ++hits) population.hit(i);
  }
  size_t evicted = 0;
  while (population.evict()) ++evicted;
  EXPECT_EQ(evicted, evicts_ ? 500u : 0u);
}

// Random operations against a plain model, once with sizes alike and once with sizes that vary a thousandfold.
void follow_at_random(const char* policy, uint32_t bytes_max, uint64_t seed) {
  Population population(policy, 700);
  std::mt19937_64 random(seed);
  uint64_t next = 0;
  for (int i = 0; i < 60000; ++i) {
    population.pass(std::chrono::milliseconds(20));
    // Small numbers more often than large ones, so that some are hit again and again.
    const uint64_t number = next == 0 ? 0 : next - 1 - std::min(random() % next, random() % next) % next;
    switch (random() % 7) {
      case 0:
      case 1:
        while (population.size() >= 400 && population.evict()) {
        }
        if (population.places_left() > 1) population.insert(next++, 1 + static_cast<uint32_t>(random() % bytes_max));
        break;
      case 2:
        if (population.has(number) && population.places_left() > 0) population.move(number);
        break;
      case 3:
        if (population.has(number)) population.remove(number);
        break;
      case 4:
        if (population.has(number)) population.resize(number, 1 + static_cast<uint32_t>(random() % bytes_max));
        break;
      default:
        if (population.has(number)) population.hit(number);
    }
    if (i % 64 == 0) population.tell_pressure(i % 20000 < 10000 ? population.bytes() : population.bytes() * 10);
    if (i == 45000) population.clear();
  }
  population.expect_heads_intact();
  while (population.evict()) {
  }
  EXPECT_TRUE(population.size() == 0 || std::string_view(policy) == "noeviction");
}

TEST_P(EvictorContract, FollowsItemsThatMoveAndForgetsThoseThatGo) {
  for (uint64_t seed = 0; seed < 4; ++seed) follow_at_random(GetParam(), 1, seed);
}

TEST_P(EvictorContract, FollowsItemsOfAllSizes) {
  for (uint64_t seed = 10; seed < 14; ++seed) follow_at_random(GetParam(), 100'000, seed);
}

TEST_P(EvictorContract, RemovesItemsInAnyOrder) {
  for (const int order : {0, 1, 2}) {
    Population population(GetParam(), 300);
    std::vector<uint64_t> numbers;
    for (uint64_t i = 0; i < 300; ++i) {
      population.insert(i);
      if (i % 3 == 0) population.hit(i);
      numbers.push_back(i);
    }
    if (order == 1) std::reverse(numbers.begin(), numbers.end());
    if (order == 2) std::shuffle(numbers.begin(), numbers.end(), std::mt19937(5));
    for (const uint64_t number : numbers) population.remove(number);
    EXPECT_EQ(population.evict(), std::nullopt);
    population.insert(1);
    EXPECT_EQ(population.evict(), evicts_ ? std::optional<uint64_t>(1) : std::nullopt);
  }
}

TEST_P(EvictorContract, WhatIsHitAgainAndAgainOutlivesAStreamOfStrangers) {
  if (!evicts_) GTEST_SKIP() << "never evicts";
  Population population(GetParam(), 500);
  for (uint64_t i = 0; i < 100; ++i) population.insert(i);
  for (uint64_t stranger = 100; stranger < 5000; ++stranger) {
    population.pass(std::chrono::milliseconds(100));
    for (uint64_t i = 0; i < 100; ++i) {
      if (population.has(i)) population.hit(i);
    }
    while (population.size() >= 400) population.evict();
    population.insert(stranger);
  }
  size_t alive = 0;
  for (uint64_t i = 0; i < 100; ++i) alive += population.has(i) ? 1 : 0;
  EXPECT_GE(alive, 95u);
}

// 100 of 500 are hit twice while the cache is a quarter full; then it fills up, and as many go as were not hit by then.
TEST_P(EvictorContract, AHitLongBeforeTheCacheIsFullCounts) {
  if (!evicts_) GTEST_SKIP() << "never evicts";
  constexpr uint64_t kLimit = 500 * 100;
  Population population(GetParam(), 500);
  for (uint64_t i = 0; i < 500; ++i) {
    population.pass(std::chrono::milliseconds(100));
    population.insert(i);
    population.tell_pressure(kLimit);
    if (i != 124) continue;
    for (uint64_t hit = 0; hit < 200; ++hit) population.hit(hit % 100);
  }
  for (uint64_t stranger = 500; stranger < 525; ++stranger) {
    population.evict();
    population.insert(stranger);
  }
  size_t alive = 0;
  for (uint64_t i = 0; i < 100; ++i) alive += population.has(i) ? 1 : 0;
  EXPECT_GE(alive, 95u);
}

TEST_P(EvictorContract, ACacheThatIsNotFullPaysForLittleButTheHeads) {
  Population population(GetParam(), 20'000);
  for (uint64_t i = 0; i < 20'000; ++i) {
    population.insert(i);
    population.hit(i / 2);
    population.tell_pressure(uint64_t{1} << 30);
  }
  const size_t per_item = std::string_view(GetParam()) == "gdsf" ? 16 : 0;  // the heap of the one for comparison
  EXPECT_LE(population.evictor().bytes_used(), 16u * 1024 + per_item * 20'000);
}

TEST_P(EvictorContract, HoldsLittleMoreWhenItIsFull) {
  Population population(GetParam(), 20'001);
  for (uint64_t i = 0; i < 100'000; ++i) {
    while (population.size() >= 20'000) {
      if (!population.evict()) break;
    }
    if (population.places_left() == 0) break;
    population.insert(i);
    population.tell_pressure(uint64_t{20'000} * 100);
  }
  EXPECT_LE(population.evictor().bytes_used(), 32u * 20'000);
}

TEST_P(EvictorContract, StartsAnewAfterAClear) {
  Population population(GetParam(), 100);
  for (uint64_t i = 0; i < 100; ++i) population.insert(i);
  for (uint64_t i = 0; i < 100; ++i) population.hit(i);
  population.clear();
  EXPECT_EQ(population.evict(), std::nullopt);
  population.insert(7);
  EXPECT_EQ(population.evict(), evicts_ ? std::optional<uint64_t>(7) : std::nullopt);
}

TEST(Evictor, NoEvictionKnowsHowLongAnItemWasIdle) {
  Population population("noeviction", 2);
  population.insert(1);
  population.pass(std::chrono::seconds(30));
  EXPECT_EQ(population.evictor().idle_seconds(population.id_of(1), population.now()), 30u);
  population.hit(1);
  population.pass(std::chrono::seconds(2));
  EXPECT_EQ(population.evictor().idle_seconds(population.id_of(1), population.now()), 2u);
}

TEST(Evictor, AnUnknownNameIsRefusedWithTheNamesThatExist) {
  Population population("lru", 1);
  auto evictor = make_evictor("best", ItemMemory(nullptr, 0), population);
  ASSERT_FALSE(evictor.has_value());
  EXPECT_NE(evictor.error().message.find("'best'"), std::string::npos);
  EXPECT_NE(evictor.error().message.find(kEvictorNames), std::string::npos);
}

}  // namespace
}  // namespace tidemark::cacheserver
