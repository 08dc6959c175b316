#include "cacheserver/keyspace/hash_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>

#include "cacheserver/keyspace/keyspace.h"

namespace tidemark::cacheserver {
namespace {

constexpr uint64_t kSeed = 17;

// A table in a heap of its own, and the keys it should hold.
class Model final : private BlockMover {
 public:
  explicit Model(uint64_t seed, uint32_t number = 0, size_t range_bytes = SIZE_MAX)
      : random_(seed), heap_(2, Heap::kChunkBytes, range_bytes), context_{&heap_, kSeed}, table_(context_, number) {}

  HashTable& table() { return table_; }
  size_t memory_bytes() const { return table_.bytes_used(); }
  const std::unordered_map<std::string, ItemId>& expected() const { return expected_; }

  void insert(const std::string& key) {
    EXPECT_TRUE(table_.make_place());
    const ItemId id = make(key);
    table_.insert(KeyRef::of(key, kSeed), id);
    expected_[key] = id;
    table_.step(Keyspace::kEntriesMovedPerChange);
  }
  Heap& heap() { return heap_; }
  bool can_make() const { return heap_.can_allocate(64); }
  void finish_resize() { table_.step(SIZE_MAX); }
  void erase(const std::string& key) {
    const ItemId id = expected_.at(key);
    table_.remove(KeyRef::of(key, kSeed), id);
    heap_.release(id);
    expected_.erase(key);
    table_.step(Keyspace::kEntriesMovedPerChange);
  }
  void replace(const std::string& key) {
    const ItemId fresh = make(key);
    ItemId& id = expected_.at(key);
    table_.replace(KeyRef::of(key, kSeed), id, fresh);
    heap_.release(id);
    id = fresh;
  }
  void random_change(uint64_t keys, uint32_t insert_percent) {
    std::string key = "key:" + std::to_string(random_() % keys);
    bool is_there = expected_.contains(key);
    if (!is_there && random_() % 100 < insert_percent) insert(key);
    if (is_there && random_() % 100 >= insert_percent) erase(key);
    if (is_there && expected_.contains(key) && random_() % 8 == 0) replace(key);
  }
  void compact() {
    while (heap_.compact(64, 1 << 20, 5, *this)) {
    }
  }
  void check() const {
    heap_.check();
    ASSERT_EQ(table_.size(), expected_.size());
    for (const auto& [key, id] : expected_) ASSERT_EQ(table_.find(KeyRef::of(key, kSeed)), id) << key;
  }
  std::multiset<std::string> scan_all() const {
    std::multiset<std::string> seen;
    std::vector<const Entry*> out;
    for (uint64_t position = 0; position != HashTable::kEnd;) position = table_.scan(position, out);
    for (const Entry* entry : out) seen.emplace(entry->key());
    return seen;
  }

 private:
  // An entry as the keyspace makes it, key included.
  ItemId make(const std::string& key) {
    const Entry::Shape shape{.key_size = key.size(), .value_size = 0};
    const ItemId id = heap_.allocate(Entry::bytes_needed(shape));
    auto& entry = static_cast<Entry&>(heap_.at(id));
    entry.form(shape);
    std::memcpy(const_cast<char*>(entry.key().data()), key.data(), key.size());
    return id;
  }
  void on_entry_moved(ItemId from, ItemId to) override {
    const std::string key(static_cast<Entry&>(heap_.at(to)).key());
    table_.replace(KeyRef::of(key, kSeed), from, to);
    expected_.at(key) = to;
  }
  void on_raw_moved(ItemId, ItemId to) override { table_.on_array_moved(heap_.at(to).word1, to); }

  std::mt19937_64 random_;
  Heap heap_;
  TableContext context_;
  HashTable table_;
  std::unordered_map<std::string, ItemId> expected_;
};

TEST(HashTable, AnEmptyTableHoldsNothingAndCostsNothing) {
  Model model(1);
  EXPECT_EQ(model.table().find(KeyRef::of("a", kSeed)), kNoItem);
  EXPECT_EQ(model.memory_bytes(), 0u);
  EXPECT_TRUE(model.scan_all().empty());
}

TEST(HashTable, BehavesLikeAMapWhileItGrowsAndShrinks) {
  for (uint64_t seed : {1, 2, 3}) {
    Model model(seed, static_cast<uint32_t>(seed * 300));
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 20000; ++i) {
        model.random_change(8000, 90);
        if (i % 4000 == 0) model.check();
      }
      model.check();
      for (int i = 0; i < 40000; ++i) model.random_change(8000, 5);
      model.check();
      model.compact();
      model.check();
    }
  }
}

TEST(HashTable, MovesNoMoreThanTheBoundAndOneChainPerStep) {
  Model model(4);
  size_t moved_max = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string key = std::to_string(i);
    model.insert(key);
    moved_max = std::max(moved_max, model.table().step(Keyspace::kEntriesMovedPerChange));
  }
  EXPECT_GT(moved_max, 0u);
  EXPECT_LE(moved_max, Keyspace::kEntriesMovedPerChange + 24);
  model.check();
}

TEST(HashTable, GivesItsMemoryBackWhenItShrinks) {
  Model model(5);
  for (int i = 0; i < 20000; ++i) model.insert(std::to_string(i));
  size_t full = model.memory_bytes();
  for (int i = 0; i < 19900; ++i) model.erase(std::to_string(i));
  while (model.table().is_resizing()) model.table().step(1000);
  EXPECT_LT(model.memory_bytes(), full / 2);
  model.check();
}

TEST(HashTable, DeletingInTheOrderOfAScanCrowdsNoKeysAndEndsSmall) {
  Model model(3);
  for (int i = 0; i < 20000; ++i) model.insert(std::to_string(i));
  uint64_t position = 0;
  size_t most = 0;
  while (position != HashTable::kEnd) {
    std::vector<const Entry*> seen;
    const uint64_t from = position;
    position = model.table().scan(position, seen);
    if (position - from < HashTable::kEnd / 2) most = std::max(most, seen.size());
    std::vector<std::string> keys;
    for (const Entry* entry : seen) keys.emplace_back(entry->key());
    for (const std::string& key : keys) model.erase(key);
  }
  EXPECT_EQ(model.table().size(), 0u);
  EXPECT_LE(most, 64u);  // of one home
  model.insert("one more");
  model.erase("one more");
  model.finish_resize();
  EXPECT_LE(model.memory_bytes(), 4096u);
}

TEST(HashTable, AScanSeesEachKeyOnceInTheMiddleOfAMove) {
  Model model(6);
  int i = 0;
  for (; !model.table().is_resizing() || i < 3000; ++i) model.insert(std::to_string(i));
  ASSERT_TRUE(model.table().is_resizing());
  auto seen = model.scan_all();
  EXPECT_EQ(seen.size(), model.table().size());
  for (const auto& [key, entry] : model.expected()) EXPECT_EQ(seen.count(key), 1u) << key;
}

TEST(HashTable, AScanAcrossGrowthAndShrinkingMissesNothingThatStays) {
  for (uint64_t seed : {7, 8, 9}) {
    for (bool grows : {true, false}) {
      Model model(seed);
      for (int i = 0; i < 500; ++i) model.insert("stays:" + std::to_string(i));
      if (!grows) {
        for (int i = 0; i < 20000; ++i) model.insert("goes:" + std::to_string(i));
      }
      std::vector<std::string> seen;
      std::vector<const Entry*> out;
      int next = 0;
      for (uint64_t position = 0; position != HashTable::kEnd;) {
        out.clear();
        position = model.table().scan(position, out);
        for (const Entry* entry : out) seen.emplace_back(entry->key());
        for (int i = 0; i < 20 && next < 20000; ++i, ++next) {
          grows ? model.insert("goes:" + std::to_string(next)) : model.erase("goes:" + std::to_string(next));
        }
      }
      std::multiset<std::string> set(seen.begin(), seen.end());
      for (int i = 0; i < 500; ++i) EXPECT_EQ(set.count("stays:" + std::to_string(i)), 1u);
    }
  }
}

TEST(HashTable, WithoutMemoryToGrowItFillsUpThenSaysNoAndLosesNothing) {
  Model model(1, 0, Heap::kChunkBytes);  // one chunk in all
  int i = 0;
  for (; i < 1000; ++i) model.insert(std::to_string(i));
  model.finish_resize();
  const size_t memory = model.memory_bytes(), places = memory / sizeof(TableGroup) * TableGroup::kPlaces;
  while (model.heap().allocate_raw(4096, 99) != kNoItem) {
  }
  for (; model.can_make() && model.table().make_place(); ++i) model.insert(std::to_string(i));
  EXPECT_EQ(model.memory_bytes(), memory);
  EXPECT_GT(model.expected().size() * 100, places * 90);
  EXPECT_LE(model.expected().size(), places);
  model.check();
}

TEST(HashTable, CollectsOnlyWhatHasNotExpired) {
  Keyspace keyspace({.hash_seed = kSeed});
  for (int i = 0; i < 100; ++i) {
    keyspace.put("{a}" + std::to_string(i), "v",
                 {.expires_at = i < 90 ? Instant{} + Duration(5) : Instant{} + Duration(500)}, Instant{});
  }
  EXPECT_EQ(keyspace.keys_in_slot(slot_of_key("{a}"), 5, Instant{} + Duration(10)).size(), 5u);
}

TEST(HashTable, CollectsOnlyTheKeysOfASlot) {
  Model model(10);
  for (int i = 0; i < 300; ++i) model.insert("{a}" + std::to_string(i));
  for (int i = 0; i < 300; ++i) model.insert("{b}" + std::to_string(i));
  ASSERT_NE(slot_of_key("{a}") & 15, slot_of_key("{b}") & 15);
  std::vector<const Entry*> out;
  model.table().collect_slot(slot_of_key("{a}"), 1000, Instant{}, out);
  EXPECT_EQ(out.size(), 300u);
  for (const Entry* entry : out) EXPECT_TRUE(entry->key().starts_with("{a}"));
  out.clear();
  model.table().collect_slot(slot_of_key("{b}"), 7, Instant{}, out);
  EXPECT_EQ(out.size(), 7u);
}

TEST(HashTable, TablesOfDifferentPhasesGrowAtDifferentTimes) {
  std::set<size_t> sizes;
  double bytes = 0;
  constexpr int kTables = 64, kEntries = 1000;
  for (uint32_t number = 0; number < kTables; ++number) {
    Model model(1, number * 16);
    for (int i = 0; i < kEntries; ++i) model.insert(std::to_string(i));
    while (model.table().is_resizing()) model.table().step(1000);
    sizes.insert(model.memory_bytes());
    bytes += static_cast<double>(model.memory_bytes());
  }
  EXPECT_GT(sizes.size(), 10u);
  EXPECT_LT(bytes / (kTables * kEntries), 6.8) << "bytes of table per entry, over all phases";
}

TEST(HashTable, ManyKeysOfOnePlaceOverflowAndComeBack) {
  // One group's keys only: positions are what the hash says, so they are searched for.
  Model model(11);
  for (int i = 0; i < 400; ++i) model.insert("wide:" + std::to_string(i));
  while (model.table().is_resizing()) model.table().step(1000);
  std::vector<std::string> crowd;
  for (int i = 0; crowd.size() < 60; ++i) {
    std::string key = "crowd:" + std::to_string(i);
    if (KeyRef::of(key, kSeed).position() < 0x04000000) crowd.push_back(key);
  }
  for (const std::string& key : crowd) model.insert(key);
  model.check();
  EXPECT_EQ(model.scan_all().size(), 460u);
  for (const std::string& key : crowd) model.erase(key);
  model.check();
}

}  // namespace
}  // namespace tidemark::cacheserver
