// Which slots each worker of each node serves, according to the topology.
//
// Every node of a group gets its slots, replicas too. A worker that has not registered its port yet is left out.
// Threads: pure function. I/O: none.
#pragma once

#include <string>
#include <vector>

#include "base/topology/topology.h"
#include "replication/wal/invalidation_batch.h"

namespace tidemark::replication {

struct WorkerSlots {
  const Node* node = nullptr;  // into the topology
  uint32_t worker = 0;
  uint16_t port = 0;
  SlotSet slots;
};
std::vector<WorkerSlots> workers_of(const Topology& topology);

}  // namespace tidemark::replication
