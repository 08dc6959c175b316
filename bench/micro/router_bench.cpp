// What a routed statement costs before and after the network: the bucket map, the routed write, its answer.
#include <benchmark/benchmark.h>

#include "shardrouter/routing/bucket_map.h"
#include "shardrouter/sql/routed_read.h"
#include "shardrouter/sql/routed_write.h"
#include "shardrouter/sql/scatter_merge.h"

namespace tidemark::shardrouter {
namespace {

Topology two_shards() {
  Topology topology;
  topology.shards = {{.id = 0, .servers = {}}, {.id = 1, .servers = {}}};
  topology.buckets.resize(kBucketCount);
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket)
    topology.buckets[bucket] = {.shard = static_cast<ShardId>(bucket % 2), .epoch = 1};
  return topology;
}

void BM_BucketMapFind(benchmark::State& state) {
  const BucketMap map(two_shards());
  Bucket bucket = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.find(bucket));
    bucket = static_cast<Bucket>((bucket + 1) % kBucketCount);
  }
}
BENCHMARK(BM_BucketMapFind);

void BM_BucketMapMerge(benchmark::State& state) {
  BucketMap map(two_shards());
  const Topology newer = two_shards();
  for (auto _ : state) {
    map.merge(newer);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_BucketMapMerge)->Unit(benchmark::kMicrosecond);

std::vector<BucketAtEpoch> buckets_of(int64_t count) {
  std::vector<BucketAtEpoch> buckets;
  for (int64_t i = count; i > 0; --i) buckets.push_back({static_cast<Bucket>(i), 1});
  return buckets;
}

void BM_MakeRoutedWrite(benchmark::State& state) {
  for (auto _ : state) {
    auto pipeline = make_routed_write(
        buckets_of(state.range(0)),
        {{.sql = "UPDATE catalog.product SET price_cents = $1 WHERE bucket = $2 AND sku = $3 RETURNING row_version",
          .params = {"199", "77", "sku-100001"}}});
    benchmark::DoNotOptimize(pipeline);
  }
}
BENCHMARK(BM_MakeRoutedWrite)->ArgName("buckets")->Arg(1)->Arg(16);

// The answers of a routed write of one statement, as the pool gives them.
void BM_ReadRoutedWrite(benchmark::State& state) {
  auto one_cell = [](const char* text) { return ResultSet{{"c"}, {{std::string(text)}}, "SELECT 1", 1}; };
  const std::vector<ResultSet> answers = {{{}, {}, "BEGIN", 0}, one_cell("3"),         one_cell("17"),
                                          one_cell("900001"),   {{}, {}, "COMMIT", 0}, one_cell("16/B374D848")};
  if (!read_routed_write(0, answers)) return state.SkipWithError("the answers do not read");
  for (auto _ : state) {
    auto result = read_routed_write(0, answers);
    benchmark::DoNotOptimize(result);
  }
}
BENCHMARK(BM_ReadRoutedWrite);

void BM_MakeRoutedRead(benchmark::State& state) {
  for (auto _ : state) {
    auto pipeline =
        make_routed_read({77}, {{.sql = "SELECT sku, version FROM catalog.product WHERE bucket = $1 AND sku = $2",
                                 .params = {"77", "sku-100001"}}});
    benchmark::DoNotOptimize(pipeline);
  }
}
BENCHMARK(BM_MakeRoutedRead);

// range(0) shards give a page of 100 rows each, ordered; the page of all is merged. The copies of the parts, which
// merging consumes, are made with the clock stopped.
void BM_MergeScattered(benchmark::State& state) {
  const std::vector<OrderColumn> order = {{.name = "section"}, {.name = "sku"}};
  std::vector<ResultSet> parts(static_cast<size_t>(state.range(0)));
  for (size_t part = 0; part < parts.size(); ++part) {
    parts[part].columns = {"section", "sku", "version"};
    for (size_t row = 0; row < 100; ++row) {
      std::string number = std::to_string(100'000 + row * parts.size() + part);
      parts[part].rows.push_back({"shells", "sku-" + number, "5.2.15-2+b2"});
    }
  }
  if (!merge_scattered(parts, order, 100)) return state.SkipWithError("the parts do not merge");
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<ResultSet> copies = parts;
    state.ResumeTiming();
    auto merged = merge_scattered(std::move(copies), order, 100);
    benchmark::DoNotOptimize(merged);
  }
}
BENCHMARK(BM_MergeScattered)->ArgName("shards")->Arg(2)->Arg(16)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tidemark::shardrouter
