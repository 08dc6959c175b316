#include "replication/wal/worker_slots.h"

#include <algorithm>

#include "base/topology/slot_workers.h"

namespace tidemark::replication {
namespace {

bool is_member(const Group& group, const Node& node) {
  return std::ranges::find(group.nodes, node.id) != group.nodes.end();
}

// Adds the group's slots to the node's workers, which stand from `first` on.
void add_slots(const Topology& topology, size_t group, std::vector<WorkerSlots>& all, size_t first) {
  const Node& node = *all[first].node;
  const std::vector<uint16_t> workers = slot_workers_of_group(topology, group, node.workers);
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    if (workers[slot] != kNoWorker) all[first + workers[slot]].slots.set(slot);
  }
}

}  // namespace

std::vector<WorkerSlots> workers_of(const Topology& topology) {
  std::vector<WorkerSlots> result;
  for (const Node& node : topology.nodes) {
    size_t first = result.size();
    for (uint32_t worker = 0; worker < node.workers; ++worker) {
      uint16_t port = worker < node.worker_ports.size() ? node.worker_ports[worker] : 0;
      result.push_back({&node, worker, port, {}});
    }
    for (size_t group = 0; group < topology.groups.size(); ++group) {
      if (is_member(topology.groups[group], node)) add_slots(topology, group, result, first);
    }
  }
  std::erase_if(result, [](const WorkerSlots& worker) { return worker.port == 0; });
  return result;
}

}  // namespace tidemark::replication
