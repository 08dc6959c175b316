// What a policy costs per operation at a million items in memory of their own, without a keyspace: a hit, and an insert
// with the eviction that makes room for it.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "cacheserver/eviction/evictor.h"

namespace tidemark::cacheserver {
namespace {

constexpr uint32_t kItems = 1'000'000;
constexpr uint32_t kKeys = 2'000'000;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr unsigned kShift = 6;  // an item as the node has it: a cache line
constexpr uint32_t kBytes = 64;
constexpr Instant kNow{Duration(1'000'000'000)};

// Numbers in an order the processor cannot guess.
uint64_t mixed(uint64_t number) {
  number = (number ^ number >> 31) * 0x9e3779b97f4a7c15;
  return number ^ number >> 29;
}

class FullCache final : public ItemSource {
 public:
  FullCache(std::string_view policy, bool varies)
      : varies_(varies), items_(make_items()), evictor_(*make_evictor(policy, memory(), *this)) {
    for (ItemId id = 1; id <= kItems; ++id) insert(id);
    evictor_->set_pressure(99, 100);
    for (uint32_t i = 0; i < kItems / 4; ++i) replace_one();
  }

  void hit(uint64_t number) {
    const auto id = static_cast<ItemId>(1 + mixed(number) % kItems);
    benchmark::DoNotOptimize(items_[id].key);  // the keyspace has read the item by then
    evictor_->on_hit(id, hash_of(id), kNow);
  }
  void replace_one() {
    const ItemId victim = evictor_->choose_victim(kNow);
    evictor_->on_evict(victim, hash_of(victim), bytes_of(victim));
    insert(victim);
  }
  size_t policy_bytes() const { return evictor_->bytes_used(); }

  uint64_t hash_of(ItemId id) override { return mixed(items_[id].key); }
  uint32_t bytes_of(ItemId id) override { return varies_ ? kBytes << items_[id].key % 8 : kBytes; }

 private:
  struct alignas(1 << kShift) Item {
    ItemHead head;
    uint64_t key;
  };
  struct Free {
    void operator()(Item* items) const { std::free(items); }
  };
  using Items = std::unique_ptr<Item[], Free>;
  static Items make_items() {
    const size_t bytes = ((size_t{kItems} + 1) * sizeof(Item) + kHugePage - 1) / kHugePage * kHugePage;
    auto* items = static_cast<Item*>(std::aligned_alloc(kHugePage, bytes));
    ::madvise(items, bytes, MADV_HUGEPAGE);  // as the node's arena
    std::memset(static_cast<void*>(items), 0, bytes);
    return Items(items);
  }
  ItemMemory memory() { return {reinterpret_cast<std::byte*>(items_.get()), kShift}; }
  void insert(ItemId id) {
    items_[id].key = mixed(next_++) % kKeys;
    evictor_->on_insert(id, hash_of(id), bytes_of(id), kNow);
  }

  bool varies_;
  uint64_t next_ = 0;
  Items items_;
  std::unique_ptr<Evictor> evictor_;
};

FullCache& cache_of(const std::string& policy, bool varies) {
  static std::map<std::pair<std::string, bool>, std::unique_ptr<FullCache>> caches;
  auto& cache = caches[{policy, varies}];
  if (!cache) cache = std::make_unique<FullCache>(policy, varies);
  return *cache;
}

void eviction_hit(benchmark::State& state, const std::string& policy, bool varies) {
  FullCache& cache = cache_of(policy, varies);
  uint64_t number = 0;
  for (auto _ : state) cache.hit(number++);
  state.counters["bytes_per_item"] = static_cast<double>(cache.policy_bytes()) / kItems;
}

void eviction_replace(benchmark::State& state, const std::string& policy, bool varies) {
  FullCache& cache = cache_of(policy, varies);
  for (auto _ : state) cache.replace_one();
}

// The price of the memory itself: what every policy's hit contains.
void eviction_nothing(benchmark::State& state) {
  FullCache& cache = cache_of("lru", false);
  uint64_t number = 0;
  for (auto _ : state) benchmark::DoNotOptimize(cache.hash_of(static_cast<ItemId>(1 + mixed(number++) % kItems)));
}

BENCHMARK(eviction_nothing);
BENCHMARK_CAPTURE(eviction_hit, adaptive, "adaptive", false);
BENCHMARK_CAPTURE(eviction_hit, adaptive_sizes, "adaptive", true);
BENCHMARK_CAPTURE(eviction_hit, lru, "lru", false);
BENCHMARK_CAPTURE(eviction_hit, s3fifo, "s3fifo", false);
BENCHMARK_CAPTURE(eviction_hit, gdsf, "gdsf", true);
BENCHMARK_CAPTURE(eviction_replace, adaptive, "adaptive", false);
BENCHMARK_CAPTURE(eviction_replace, adaptive_sizes, "adaptive", true);
BENCHMARK_CAPTURE(eviction_replace, lru, "lru", false);
BENCHMARK_CAPTURE(eviction_replace, s3fifo, "s3fifo", false);
BENCHMARK_CAPTURE(eviction_replace, gdsf, "gdsf", true);

}  // namespace
}  // namespace tidemark::cacheserver
