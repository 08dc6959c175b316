#include "cacheserver/io/topology_registration.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::cacheserver::io {
namespace {

Error unknown_node(const std::string& node_id) {
  return {ErrorCode::kNotFound,
          fmt::format("node {} is not in the topology; add it with `tidemarkctl init --nodes {}`", node_id, node_id)};
}

bool stands(const Node& node, const Registration& registration) {
  return node.worker_ports == registration.worker_ports && node.metrics_port == registration.metrics_port &&
         node.workers == registration.worker_ports.size();
}

}  // namespace

Result<Node> registered_node(const tidemark::io::TopologyStoreFile& store, const std::string& node_id) {
  auto topology = store.load();
  if (!topology && topology.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, fmt::format("no topology in {}; make one with `tidemarkctl init --nodes {}`",
                                                  store.directory().string(), node_id));
  }
  if (!topology) return std::unexpected(topology.error());
  const Node* node = topology->find_node(node_id);
  if (node == nullptr) return std::unexpected(unknown_node(node_id));
  return *node;
}

Result<Topology> register_node(const tidemark::io::TopologyStoreFile& store, const Registration& registration) {
  auto current = store.load();
  if (!current) return std::unexpected(current.error());
  const Node* node = current->find_node(registration.node_id);
  if (node != nullptr && stands(*node, registration)) return *std::move(current);
  return store.update([&](Topology& topology) -> Status {
    auto at = std::ranges::find_if(topology.nodes, [&](const Node& n) { return n.id == registration.node_id; });
    if (at == topology.nodes.end()) return std::unexpected(unknown_node(registration.node_id));
    if (at->worker_ports != registration.worker_ports) {
      // An invalidator that knows the old ports would move this node's tide marks by another worker's slots: it is
      // refused (STALEMAP) until it has reloaded.
      ++topology.slots_version;
      // Whoever was registered at these ports is not there any more.
      for (Node& other : topology.nodes) {
        if (other.id == at->id || other.host != at->host) continue;
        bool is_taken = std::ranges::any_of(other.worker_ports, [&](uint16_t port) {
          return std::ranges::find(registration.worker_ports, port) != registration.worker_ports.end();
        });
        if (is_taken) other.worker_ports.clear();
      }
    }
    at->worker_ports = registration.worker_ports;
    at->workers = static_cast<uint32_t>(registration.worker_ports.size());
    at->metrics_port = registration.metrics_port;
    return {};
  });
}

}  // namespace tidemark::cacheserver::io
