#include "replication/wal/worker_slots.h"

#include <algorithm>

namespace tidemark::replication {
namespace {

bool is_member(const Group& group, const Node& node) {
  return std::ranges::find(group.nodes, node.id) != group.nodes.end();
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
    for (size_t slot = 0; slot < topology.slot_groups.size() && slot < kSlotCount; ++slot) {
      uint16_t index = topology.slot_groups[slot];
      if (index >= topology.groups.size() || !is_member(topology.groups[index], node)) continue;
      result[first + worker_of_slot(static_cast<Slot>(slot), node.workers)].slots.set(slot);
    }
  }
  std::erase_if(result, [](const WorkerSlots& worker) { return worker.port == 0; });
  return result;
}

}  // namespace tidemark::replication
