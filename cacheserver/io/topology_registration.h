// A node's entry in the topology store: which ports it really listens on.
//
// The operator names the node (`tidemarkctl init`); the node itself writes its workers' ports and its metrics port, and
// only when they differ from what stands there, so that a restart on the old ports makes no new version.
// Threads: none of its own. I/O: the store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/io/topology_store_file.h"
#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::cacheserver::io {

struct Registration {
  std::string node_id;
  std::vector<uint16_t> worker_ports;
  uint16_t metrics_port = 0;
};

// The node's entry as it stands; kNotFound with what to do when there is no topology or no such node.
Result<Node> registered_node(const tidemark::io::TopologyStoreFile& store, const std::string& node_id);

// Returns the topology in which the node stands as it is now.
Result<Topology> register_node(const tidemark::io::TopologyStoreFile& store, const Registration& registration);

}  // namespace tidemark::cacheserver::io
