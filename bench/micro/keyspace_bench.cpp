// What the keyspace costs per operation, without sockets: one million keys of 16 bytes, values of 32, looked up at
// random.
#include "cacheserver/keyspace/keyspace.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace tidemark::cacheserver {
namespace {

constexpr uint32_t kKeys = 1'000'000;
constexpr Instant kNow{Duration(1'000'000'000)};

std::string key_of(uint32_t number) {
  char text[32];
  return {text, static_cast<size_t>(std::snprintf(text, sizeof text, "key:%012u", number))};
}

// Each key once, in an order the processor cannot guess.
const std::vector<std::string>& shuffled_keys() {
  static const auto keys = [] {
    std::vector<std::string> all;
    for (uint32_t i = 0; i < kKeys; ++i) all.push_back(key_of(static_cast<uint32_t>(uint64_t{i} * 7368787 % kKeys)));
    return all;
  }();
  return keys;
}

Keyspace& full_keyspace() {
  static const auto keyspace = [] {
    auto made = std::make_unique<Keyspace>(Keyspace::Options{.hash_seed = 1});
    const std::string value(32, 'v');
    for (const std::string& key : shuffled_keys()) made->put(key, value, kNow);
    return made;
  }();
  return *keyspace;
}

void find_hit(benchmark::State& state) {
  Keyspace& keyspace = full_keyspace();
  const auto ahead = static_cast<size_t>(state.range(0));
  const auto& keys = shuffled_keys();
  size_t i = 0;
  for (auto _ : state) {
    if (ahead != 0) keyspace.prefetch(keys[(i + ahead) % kKeys]);
    benchmark::DoNotOptimize(keyspace.find(keys[i], kNow));
    i = (i + 1) % kKeys;
  }
}
BENCHMARK(find_hit)->Arg(0)->Arg(8)->ArgName("keys_ahead");

void find_miss(benchmark::State& state) {
  Keyspace& keyspace = full_keyspace();
  uint32_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(keyspace.find(key_of(kKeys + i++ % kKeys), kNow));
}
BENCHMARK(find_miss);

void put_over_the_same_size(benchmark::State& state) {
  Keyspace& keyspace = full_keyspace();
  const std::string value(32, 'w');
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(keyspace.put(shuffled_keys()[i], value, kNow));
    i = (i + 1) % kKeys;
  }
}
BENCHMARK(put_over_the_same_size);

// One million inserts from empty, growth included; and what an item costs beside key and value.
void fill(benchmark::State& state) {
  const std::string value(static_cast<size_t>(state.range(0)), 'v');
  for (auto _ : state) {
    Keyspace keyspace({.hash_seed = 2});
    for (const std::string& key : shuffled_keys()) keyspace.put(key, value, kNow);
    state.counters["overhead_bytes"] =
        static_cast<double>(keyspace.memory().bytes_used) / kKeys - static_cast<double>(16 + value.size());
    state.counters["moved_per_put"] = static_cast<double>(keyspace.stats().entries_moved) / kKeys;
  }
  state.SetItemsProcessed(state.iterations() * kKeys);
}
BENCHMARK(fill)->Arg(32)->Arg(512)->ArgName("value_bytes")->Unit(benchmark::kMillisecond)->Iterations(1);

// Every put needs a victim.
void put_with_eviction(benchmark::State& state, const char* policy) {
  Keyspace keyspace({.memory_bytes_max = 32 << 20, .policy = policy, .hash_seed = 3});
  const std::string value(100, 'v');
  uint32_t i = 0;
  for (; keyspace.stats().evicted == 0; ++i) keyspace.put(key_of(i), value, kNow);
  for (auto _ : state) benchmark::DoNotOptimize(keyspace.put(key_of(i++), value, kNow));
}
BENCHMARK_CAPTURE(put_with_eviction, lru, "lru");
BENCHMARK_CAPTURE(put_with_eviction, s3fifo, "s3fifo");

void set_and_erase_with_expiry(benchmark::State& state) {
  Keyspace keyspace({.hash_seed = 4});
  const std::string value(32, 'v');
  size_t i = 0;
  for (auto _ : state) {
    const std::string& key = shuffled_keys()[i++ % kKeys];
    keyspace.put(key, value, {.expires_at = kNow + std::chrono::hours(1)}, kNow);
    keyspace.erase(key, kNow);
  }
}
BENCHMARK(set_and_erase_with_expiry);

}  // namespace
}  // namespace tidemark::cacheserver
