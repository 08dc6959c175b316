// Where a key belongs: slot, tag, placement of slots on groups and workers, row ids.
#include <benchmark/benchmark.h>

#include <string>

#include "base/id/row_id_generator.h"
#include "base/topology/bootstrap.h"
#include "base/topology/placement.h"
#include "base/topology/slot_workers.h"
#include "base/topology/topology_json.h"
#include "client/cluster/cluster_view.h"
#include "client/cluster/key_scatter.h"

namespace tidemark {
namespace {

Topology cluster_of(int64_t nodes, uint32_t workers) {
  Topology topology;
  std::vector<NodeSpec> specs;
  for (int64_t i = 0; i < nodes; ++i) specs.push_back({.id = "n" + std::to_string(i), .workers = workers});
  (void)add_nodes(topology, specs);
  topology.version = 1;
  for (Node& node : topology.nodes) node.worker_ports.assign(node.workers, 7001);
  return topology;
}

void BM_SlotOfKey(benchmark::State& state) {
  const std::string key = "product:{sku-100001}";
  for (auto _ : state) benchmark::DoNotOptimize(slot_of_key(key));
}
BENCHMARK(BM_SlotOfKey);

void BM_PlanSlots(benchmark::State& state) {
  const Topology topology = cluster_of(state.range(0), 1);
  for (auto _ : state) benchmark::DoNotOptimize(plan_slots({}, topology.groups));
}
BENCHMARK(BM_PlanSlots)->ArgName("groups")->Arg(3)->Arg(32)->Unit(benchmark::kMicrosecond);

// One more group joins: what the planner costs when most slots stay.
void BM_PlanSlotsOneMore(benchmark::State& state) {
  const Topology before = cluster_of(state.range(0), 1);
  const Topology after = cluster_of(state.range(0) + 1, 1);
  for (auto _ : state) benchmark::DoNotOptimize(plan_slots(before.slot_groups, after.groups));
}
BENCHMARK(BM_PlanSlotsOneMore)->ArgName("groups")->Arg(3)->Arg(32)->Unit(benchmark::kMicrosecond);

void BM_SlotWorkers(benchmark::State& state) {
  const Topology topology = cluster_of(10, 4);
  for (auto _ : state) benchmark::DoNotOptimize(slot_workers(topology));
}
BENCHMARK(BM_SlotWorkers)->Unit(benchmark::kMicrosecond);

void BM_DecodeTopology(benchmark::State& state) {
  const std::string text = encode_topology(cluster_of(state.range(0), 2));
  for (auto _ : state) benchmark::DoNotOptimize(decode_topology(text));
}
BENCHMARK(BM_DecodeTopology)->ArgName("nodes")->Arg(3)->Arg(32)->Unit(benchmark::kMicrosecond);

// The client's way from a key to the worker it is sent to.
void BM_WorkerOfKey(benchmark::State& state) {
  client::ClusterView view;
  view.set_topology(std::make_shared<const Topology>(cluster_of(3, 2)));
  const std::string key = "product:{sku-100001}";
  for (auto _ : state) {
    auto worker = view.worker_of(slot_of_key(key));
    benchmark::DoNotOptimize(worker);
  }
}
BENCHMARK(BM_WorkerOfKey);

void BM_ScatterBySlot(benchmark::State& state) {
  std::vector<std::string> keys;
  for (int64_t i = 0; i < state.range(0); ++i) keys.push_back("product:{sku-" + std::to_string(i) + "}");
  for (auto _ : state) benchmark::DoNotOptimize(client::scatter_by_slot(keys, 100));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ScatterBySlot)->ArgName("keys")->Arg(10)->Arg(100);

void BM_NextRowId(benchmark::State& state) {
  RowIdGenerator ids(1, {.from = {kRowIdEpochMs}, .until = {kRowIdTimeMaxMs}});
  uint64_t i = 0;
  for (auto _ : state) {
    ++i;  // every bucket once a millisecond
    auto outcome = ids.next(static_cast<Bucket>(i % kBucketCount), {kRowIdEpochMs + static_cast<int64_t>(i / kBucketCount)});
    benchmark::DoNotOptimize(outcome);
  }
}
BENCHMARK(BM_NextRowId);

}  // namespace
}  // namespace tidemark
