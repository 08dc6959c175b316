// tidemarkctl init --nodes n1,n2,n3: the first topology, or further nodes for the one that is there. Idempotent.
#include <fmt/format.h>

#include <iostream>

#include "base/topology/bootstrap.h"
#include "tools/admin/verb.h"

namespace tidemark::admin {
namespace {

struct InitOptions {
  std::vector<std::string> nodes;
  uint32_t workers = 1;
};

Status run_init(const Common& common, const InitOptions& options) {
  std::vector<NodeSpec> specs;
  for (const std::string& text : options.nodes) {
    Result<NodeSpec> spec = parse_node_spec(text, options.workers);
    if (!spec) return std::unexpected(spec.error());
    specs.push_back(*spec);
  }
  if (specs.empty()) return fail(ErrorCode::kInvalidArgument, "--nodes must name at least one node");
  Result<io::TopologyStoreFile> store = io::open_topology_store(common.topology);
  if (!store) return std::unexpected(store.error());
  Result<Topology> stored = store->update([&](Topology& topology) { return add_nodes(topology, specs); });
  if (!stored) return std::unexpected(stored.error());
  std::cout << fmt::format("topology version {}: {} nodes, {} groups, slots version {}\n", stored->version,
                           stored->nodes.size(), stored->groups.size(), stored->slots_version);
  return {};
}

}  // namespace

Verb add_init_verb(io::Options& root, const Common& common) {
  auto given = std::make_shared<InitOptions>();
  io::Options& verb =
      root.verb("init", "make the topology, or add nodes to it: one group per node, slots by the planner");
  verb.texts("nodes", given->nodes, "the nodes: ID[@HOST][/WORKERS][*WEIGHT],…");
  verb.number("workers", given->workers, {.min = 1, .max = 256}, "workers of nodes that name none");
  return {&verb, [&common, given] { return run_init(common, *given); }};
}

}  // namespace tidemark::admin
