#include "cacheserver/memory/heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {
namespace {

// Blocks whose content is known, in a heap that is checked after every storm.
class Model final : private BlockMover {
 public:
  Model(unsigned shift, size_t chunk_bytes, uint64_t seed) : heap_(shift, chunk_bytes), random_(seed) {}

  Heap& heap() { return heap_; }
  size_t size() const { return blocks_.size(); }
  uint64_t random(uint64_t below) { return random_() % below; }

  bool add(size_t value_size, bool may_expire = true) {
    const Entry::Shape shape{
        .key_size = sizeof(uint64_t), .value_size = value_size, .has_expiry = may_expire && random(4) == 0};
    const ItemId id = heap_.allocate(Entry::bytes_needed(shape));
    if (id == kNoItem) return false;
    const bool was_inside = heap_.contains(&heap_.at(id));
    EXPECT_TRUE(was_inside);
    auto& entry = static_cast<Entry&>(heap_.at(id));
    entry.form(shape);
    const uint64_t number = ++made_;
    std::memcpy(const_cast<char*>(entry.key().data()), &number, sizeof number);
    if (!shape.is_far()) std::memset(entry.value_mutable(), static_cast<int>(number % 251), value_size);
    blocks_[number] = {id, value_size};
    return true;
  }
  void remove_any() {
    if (blocks_.empty()) return;
    auto at = blocks_.lower_bound(random(made_));
    if (at == blocks_.end()) at = blocks_.begin();
    heap_.release(at->second.id);
    blocks_.erase(at);
  }
  void remove(uint64_t number) {
    heap_.release(blocks_.at(number).id);
    blocks_.erase(number);
  }
  bool compact(size_t blocks, unsigned percent) { return heap_.compact(blocks, SIZE_MAX, percent, *this); }
  void check() {
    heap_.check();
    for (const auto& [number, block] : blocks_) {
      const auto& entry = static_cast<Entry&>(heap_.at(block.id));
      uint64_t key = 0;
      ASSERT_EQ(entry.key().size(), sizeof key);
      std::memcpy(&key, entry.key().data(), sizeof key);
      ASSERT_EQ(key, number);
      ASSERT_EQ(entry.value().size(), block.size);
      for (char c : entry.value()) ASSERT_EQ(static_cast<uint8_t>(c), number % 251);
    }
  }

 private:
  struct Block {
    ItemId id;
    size_t size;
  };
  void on_entry_moved(ItemId from, ItemId to) override {
    uint64_t number = 0;
    std::memcpy(&number, static_cast<Entry&>(heap_.at(to)).key().data(), sizeof number);
    ASSERT_EQ(blocks_.at(number).id, from);
    blocks_.at(number).id = to;
  }
  void on_raw_moved(ItemId, ItemId) override { FAIL(); }

  Heap heap_;
  std::mt19937_64 random_;
  std::map<uint64_t, Block> blocks_;
  uint64_t made_ = 0;
};

class HeapOfGranule : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Shifts, HeapOfGranule, testing::Values(2u, 3u, 4u));

TEST_P(HeapOfGranule, KeepsEveryBlockUnderRandomSizesFreesAndCompaction) {
  for (uint64_t seed : {1, 2, 3}) {
    Model model(GetParam(), Heap::kSmallChunkBytes, seed);
    for (int storm = 0; storm < 12; ++storm) {
      const size_t size_max = storm % 3 == 0 ? 40 : storm % 3 == 1 ? 1500 : 50'000;
      const uint64_t add_percent = storm % 2 == 0 ? 75 : 35;
      for (int i = 0; i < 1500; ++i) {
        model.random(100) < add_percent ? static_cast<void>(model.add(model.random(size_max))) : model.remove_any();
        if (model.random(20) == 0) model.compact(8, 10);
      }
      model.check();
      if (HasFatalFailure()) return;
    }
    while (model.size() > 0) model.remove_any();
    model.check();
    EXPECT_EQ(model.heap().bytes_used(), 0u);
  }
}

TEST(Heap, ABlockOfTheSameSizeTakesTheFreedPlaceAndNothingGrows) {
  for (const size_t value_size : {32, 900, 1100, 2048, 40'000}) {
    Model model(2, Heap::kSmallChunkBytes, 1);
    for (int i = 0; i < 2000; ++i) ASSERT_TRUE(model.add(value_size, false));
    const size_t held = model.heap().bytes_held();
    const size_t holes = model.heap().bytes_free();  // the ends of chunks
    for (int i = 0; i < 10'000; ++i) {
      model.remove_any();
      ASSERT_TRUE(model.heap().can_allocate(value_size + 20));
      model.add(value_size, false);
    }
    EXPECT_LE(model.heap().bytes_held(), held + value_size + 4096) << value_size;
    EXPECT_LE(model.heap().bytes_free(), holes + value_size + 4096) << value_size;
  }
}

TEST(Heap, HoldsNoMoreThanItMay) {
  Model model(2, Heap::kSmallChunkBytes, 1);
  model.heap().set_bytes_held_max(700'000);
  int added = 0;
  while (model.add(100)) ++added;
  EXPECT_LE(model.heap().bytes_held(), 700'000u);
  EXPECT_GT(added, 4800);
  EXPECT_FALSE(model.heap().can_allocate(200));
  model.remove_any();
  EXPECT_TRUE(model.add(100) || model.add(80));
}

TEST(Heap, CompactionBoundsTheHolesAndGivesChunksBack) {
  Model model(2, Heap::kSmallChunkBytes, 5);
  for (int i = 0; i < 40'000; ++i) model.add(20 + model.random(100));
  const size_t full = model.heap().bytes_held();
  while (model.size() > 8000) model.remove_any();
  EXPECT_GT(model.heap().bytes_held(), full * 9 / 10) << "random frees empty no chunk";
  while (model.compact(64, 15)) {
  }
  EXPECT_LT(model.heap().bytes_held(), model.heap().bytes_used() * 5 / 4 + 2 * Heap::kSmallChunkBytes);
  EXPECT_GT(model.heap().chunks_freed(), 5u);
  model.check();
}

TEST(Heap, OneStepMovesNoMoreThanItsBound) {
  Model model(2, Heap::kSmallChunkBytes, 5);
  for (int i = 0; i < 20'000; ++i) model.add(40);
  for (int i = 0; i < 10'000; ++i) model.remove_any();
  for (int i = 0; i < 200; ++i) {
    const uint64_t before = model.heap().blocks_moved();
    if (!model.compact(16, 15)) break;
    EXPECT_LE(model.heap().blocks_moved() - before, 16u);
  }
  EXPECT_GT(model.heap().blocks_moved(), 500u);
}

TEST(Heap, TheLastBlockOfAChunkDoesNotJoinTheNextChunk) {
  Model model(2, Heap::kSmallChunkBytes, 1);
  while (model.heap().bytes_held() < 3 * Heap::kSmallChunkBytes / 2) ASSERT_TRUE(model.add(1000, false));
  while (model.heap().bytes_held() > Heap::kSmallChunkBytes / 2 && model.size() > 0) model.remove_any();
  model.check();
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(model.add(1000, false));
  model.check();
}

// What a chunk that was filled to its end takes back would be moved as if it were still used.
TEST(Heap, AFullChunkThatIsEmptiedTakesNoBlockBack) {
  Model model(2, Heap::kSmallChunkBytes, 5);
  constexpr size_t kValueBytes = 64 - 12 - 8;  // blocks of 64 bytes, but in the beginning of the first chunk
  const size_t blocks = (2 * Heap::kSmallChunkBytes - 64) / 64, in_last = Heap::kSmallChunkBytes / 64;
  for (size_t i = 0; i < blocks; ++i) ASSERT_TRUE(model.add(kValueBytes, false));
  model.heap().set_bytes_held_max(model.heap().bytes_held());
  for (size_t i = 1; i + in_last < blocks; i += 2) model.remove(i + 1);  // numbers begin with 1
  for (size_t i = 0; i + 2 < in_last; ++i) {
    if (i % 4 != 0) model.remove(blocks - in_last + i + 1);
  }
  ASSERT_TRUE(model.compact(16, 15));
  ASSERT_TRUE(model.heap().is_compacting());
  model.remove(blocks);
  model.remove(blocks - 1);
  model.check();
  while (model.heap().is_compacting()) ASSERT_TRUE(model.compact(16, 15));
  model.check();
}

TEST(Heap, RefitFreesWhatIsLeftOverAndRefusesWhatDoesNotFit) {
  Heap heap(2, Heap::kSmallChunkBytes);
  const Entry::Shape shape{.key_size = 4, .value_size = 200};
  const ItemId id = heap.allocate(Entry::bytes_needed(shape));
  auto& entry = static_cast<Entry&>(heap.at(id));
  entry.form(shape);
  const ItemId behind = heap.allocate(100);
  static_cast<Entry&>(heap.at(behind)).form({.key_size = 4, .value_size = 84});
  EXPECT_FALSE(heap.refit(id, 300));
  ASSERT_TRUE(heap.refit(id, 116));
  entry.value_size = 100;
  heap.check();
  EXPECT_EQ(heap.block_bytes(id), 116u);
  EXPECT_EQ(heap.allocate(100), id + 116 / 4) << "the rest of the block is a free block";
}

}  // namespace
}  // namespace tidemark::cacheserver
