// What freshness costs the node: nanoseconds per verdict, per invalidated key, per lease, per validity check.
#include <benchmark/benchmark.h>

#include "cacheserver/entry/entry.h"
#include "cacheserver/freshness/freshness_state.h"

namespace {

using namespace tidemark;
using namespace tidemark::cacheserver;

constexpr Instant kNow{std::chrono::seconds(1000)};
constexpr BucketOwner kOwner{0, 1};

uint64_t hash_of(uint64_t i) {
  return (i + 1) * 0x9E3779B97F4A7C15;
}

// A snapshot with `running` transactions under way.
PgSnapshot snapshot_with(size_t running) {
  PgSnapshot snapshot{1000, 1000 + 2 * running, {}};
  for (size_t i = 0; i < running; ++i) snapshot.xip.push_back(1000 + 2 * i);
  return snapshot;
}

void verdict(benchmark::State& state, Proof::Kind kind) {
  auto tombstone_count = static_cast<uint64_t>(state.range(0));
  Tombstones tombstones{{}};
  for (uint64_t i = 0; i < tombstone_count; ++i)
    tombstones.add(hash_of(1), {0, 1, 1}, {Lsn{0x200 + i}, 900 + i}, false, {}, kNow);
  Floor floor{Lsn{0x100}, PgSnapshot{500, 500, {}}};
  Proof proof{kind, 0, 1, 1, Lsn{0x900}, snapshot_with(static_cast<size_t>(state.range(1)))};
  for (auto _ : state) {
    auto judgement = judge_fill({true, proof, kOwner, 1, tombstones, hash_of(1), floor, Lsn{0x150}, std::nullopt});
    benchmark::DoNotOptimize(judgement);
  }
}

void BM_VerdictReplica(benchmark::State& state) {
  verdict(state, Proof::Kind::kReplica);
}
void BM_VerdictSnapshot(benchmark::State& state) {
  verdict(state, Proof::Kind::kSnapshot);
}
BENCHMARK(BM_VerdictReplica)->ArgNames({"tombstones", "running"})->Args({0, 0})->Args({4, 0});
BENCHMARK(BM_VerdictSnapshot)
    ->ArgNames({"tombstones", "running"})
    ->Args({0, 0})
    ->Args({4, 0})
    ->Args({4, 16})
    ->Args({6, 256});

// One key of an INVALB without an entry: lease killed, tombstone left, an old one collected; `keys` tombstones live.
void BM_InvalidateKey(benchmark::State& state) {
  auto keys = static_cast<uint64_t>(state.range(0));
  FreshnessState freshness({.incarnation = 1}, {.tombstone_bytes_max = size_t{1} << 30});
  freshness.fence_all(0, 1, Lsn{1});
  Lsn position{1};
  uint64_t i = 0;
  for (auto _ : state) {
    ++position.value;
    ++i;
    bool drop = freshness.invalidate(hash_of(i % keys), kOwner, {0, 1, 700 + i, position, false}, nullptr, kNow);
    benchmark::DoNotOptimize(drop);
  }
}
BENCHMARK(BM_InvalidateKey)->ArgName("keys")->Arg(1000)->Arg(100'000)->Arg(1'000'000);

// The memory is full: each new key overflows the oldest and raises the floor.
void BM_InvalidateKeyWhenFull(benchmark::State& state) {
  FreshnessState freshness({.incarnation = 1}, {.tombstone_bytes_max = 4 << 20});
  freshness.fence_all(0, 1, Lsn{1});
  uint64_t i = 0;
  for (auto _ : state) {
    ++i;
    bool drop = freshness.invalidate(hash_of(i), kOwner, {0, 1, 700 + i, Lsn{1 + i}, false}, nullptr, kNow);
    benchmark::DoNotOptimize(drop);
  }
}
BENCHMARK(BM_InvalidateKeyWhenFull);

void BM_MissAndFill(benchmark::State& state) {
  FreshnessState freshness({.incarnation = 1});
  freshness.fence_all(0, 1, Lsn{1});
  Proof proof{Proof::Kind::kReplica, 0, 1, 1, Lsn{0x900}, {}};
  uint64_t i = 0;
  for (auto _ : state) {
    uint64_t hash = hash_of(i++ % 10'000);
    auto miss = freshness.on_miss(hash, kOwner, kNow);
    auto fill = freshness.on_fill(hash, miss.lease, proof, kOwner, nullptr, kNow);
    benchmark::DoNotOptimize(fill);
  }
}
BENCHMARK(BM_MissAndFill);

void BM_IsValid(benchmark::State& state) {
  FreshnessState freshness({.incarnation = 1});
  freshness.fence_all(0, 1, Lsn{1});
  EntryClaims claims;
  claims.db_epoch = claims.bucket_epoch = 1;
  claims.lo = Lsn{0x100};
  for (auto _ : state) {
    benchmark::DoNotOptimize(claims);
    bool valid = freshness.is_valid(claims, kOwner);
    benchmark::DoNotOptimize(valid);
  }
}
BENCHMARK(BM_IsValid);

}  // namespace
