// What every eviction policy promises; cacheserver/eviction/policy.h lists it.
#include "cacheserver/eviction/policy.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/hash.h"

namespace tidemark::cacheserver {
namespace {

// The entries a policy has been told of, as a keyspace would.
class Population final : public EntrySampler {
 public:
  explicit Population(EvictionPolicy& policy) : policy_(policy) {}
  ~Population() {
    for (auto& [number, entry] : entries_) Entry::destroy(entry);
  }

  void insert(uint64_t number) {
    Entry* entry = Entry::create({.key_size = 0, .value_size = 100});
    entries_[number] = entry;
    numbers_[entry] = number;
    policy_.on_insert(*entry, hash_of(number), now_);
  }
  bool has(uint64_t number) const { return entries_.contains(number); }
  void hit(uint64_t number) { policy_.on_hit(*entries_.at(number), now_); }
  void move(uint64_t number, size_t value_size) {
    Entry* from = entries_.at(number);
    Entry* to = Entry::create({.key_size = 0, .value_size = value_size});
    to->set_policy_word(from->policy_word());
    policy_.on_move(*from, *to);
    forget(from);
    entries_[number] = to;
    numbers_[to] = number;
  }
  void remove(uint64_t number) {
    Entry* entry = entries_.at(number);
    policy_.on_remove(*entry);
    entries_.erase(number);
    forget(entry);
  }
  // The victim's number; nothing if the policy names none. A stranger fails the test.
  std::optional<uint64_t> evict() {
    Entry* victim = policy_.choose_victim(*this, now_);
    if (victim == nullptr) return std::nullopt;
    auto found = numbers_.find(victim);
    if (found == numbers_.end()) {
      ADD_FAILURE() << "the victim was removed, moved, or never inserted";
      return std::nullopt;
    }
    const uint64_t number = found->second;
    policy_.on_evict(*victim, hash_of(number));
    entries_.erase(number);
    forget(victim);
    return number;
  }
  void pass(std::chrono::milliseconds time) { now_ += time; }
  size_t size() const { return entries_.size(); }

  Entry* sample_entry() override {
    if (entries_.empty()) return nullptr;
    auto at = entries_.lower_bound(random_() % (entries_.rbegin()->first + 1));
    return at == entries_.end() ? entries_.begin()->second : at->second;
  }

 private:
  static uint64_t hash_of(uint64_t number) { return hash64(std::to_string(number)); }
  void forget(Entry* entry) {
    numbers_.erase(entry);
    Entry::destroy(entry);
  }
  EvictionPolicy& policy_;
  std::map<uint64_t, Entry*> entries_;
  std::map<const Entry*, uint64_t> numbers_;
  std::mt19937_64 random_{1};
  Instant now_{std::chrono::hours(1)};
};

class EvictionPolicyContract : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<EvictionPolicy> policy_ = std::move(*make_eviction_policy(GetParam()));
  Population population_{*policy_};
  bool evicts_ = std::string_view(GetParam()) != "noeviction";
};
INSTANTIATE_TEST_SUITE_P(Policies, EvictionPolicyContract, testing::Values("lru", "s3fifo", "noeviction"));

TEST_P(EvictionPolicyContract, AnswersToItsName) {
  EXPECT_EQ(policy_->name(), GetParam());
}

TEST_P(EvictionPolicyContract, NamesNoVictimWhenNothingIsThere) {
  EXPECT_EQ(population_.evict(), std::nullopt);
  population_.insert(1);
  population_.remove(1);
  EXPECT_EQ(population_.evict(), std::nullopt);
}

TEST_P(EvictionPolicyContract, EvictsEveryEntryOnceOrNoneAtAll) {
  for (uint64_t i = 0; i < 500; ++i) population_.insert(i);
  for (uint64_t i = 0; i < 500; ++i) {
    for (int hits = 0; hits < 4; ++hits) population_.hit(i);
  }
  size_t evicted = 0;
  while (population_.evict()) ++evicted;
  EXPECT_EQ(evicted, evicts_ ? 500u : 0u);
}

TEST_P(EvictionPolicyContract, FollowsEntriesThatMoveAndForgetsThoseThatGo) {
  std::mt19937_64 random(2);
  uint64_t next = 0;
  for (int i = 0; i < 30000; ++i) {
    population_.pass(std::chrono::milliseconds(20));
    const uint64_t number = next == 0 ? 0 : random() % next;
    switch (random() % 5) {
      case 0:
        population_.insert(next++);
        break;
      case 1:
        if (population_.has(number)) population_.hit(number);
        break;
      case 2:
        if (population_.has(number)) population_.move(number, random() % 500);
        break;
      case 3:
        if (population_.has(number)) population_.remove(number);
        break;
      default:
        if (population_.size() > 300) population_.evict();
    }
  }
  while (population_.evict()) {
  }
  EXPECT_TRUE(population_.size() == 0 || !evicts_);
}

TEST_P(EvictionPolicyContract, WhatIsHitAgainAndAgainOutlivesAStreamOfStrangers) {
  if (!evicts_) GTEST_SKIP() << "never evicts";
  for (uint64_t i = 0; i < 100; ++i) population_.insert(i);
  for (uint64_t stranger = 100; stranger < 5000; ++stranger) {
    population_.pass(std::chrono::milliseconds(100));
    for (uint64_t i = 0; i < 100; ++i) {
      if (population_.has(i)) population_.hit(i);
    }
    population_.insert(stranger);
    while (population_.size() > 400) population_.evict();
  }
  size_t alive = 0;
  for (uint64_t i = 0; i < 100; ++i) alive += population_.has(i) ? 1 : 0;
  EXPECT_GE(alive, 95u);
}

TEST_P(EvictionPolicyContract, HoldsNoMoreMemoryThanItsEntriesDeserve) {
  for (int round = 0; round < 50; ++round) {
    for (uint64_t i = 0; i < 400; ++i) population_.insert(i);
    for (uint64_t i = 0; i < 400; ++i) population_.remove(i == 399 ? 0 : i + 1);
  }
  population_.insert(1);
  EXPECT_LE(policy_->bytes_used(), 64u * 1024);
}

TEST_P(EvictionPolicyContract, StartsAnewAfterAClear) {
  {
    Population gone(*policy_);
    for (uint64_t i = 0; i < 100; ++i) gone.insert(i);
    policy_->on_clear();
  }
  EXPECT_EQ(population_.evict(), std::nullopt);
  population_.insert(7);
  EXPECT_EQ(population_.evict(), evicts_ ? std::optional<uint64_t>(7) : std::nullopt);
}

TEST(EvictionPolicy, AnUnknownNameIsRefusedWithTheNamesThatExist) {
  auto policy = make_eviction_policy("best");
  ASSERT_FALSE(policy.has_value());
  EXPECT_NE(policy.error().message.find("'best'"), std::string::npos);
  EXPECT_NE(policy.error().message.find(kPolicyNames), std::string::npos);
}

}  // namespace
}  // namespace tidemark::cacheserver
