// tidemarkctl topology show | nodes | slots: what the topology store holds.
#include <fmt/format.h>

#include <iostream>

#include "base/topology/topology_json.h"
#include "tools/admin/table.h"
#include "tools/admin/verb.h"

namespace tidemark::admin {
namespace {

std::string ports_of(const Node& node) {
  if (node.worker_ports.empty()) return "not registered";
  return fmt::format("{}", fmt::join(node.worker_ports, ","));
}

Status print_nodes(const Common& common) {
  Result<Topology> topology = load_topology(common);
  if (!topology) return std::unexpected(topology.error());
  Table table({"NODE", "HOST", "WORKERS", "PORTS", "METRICS", "GROUP", "ROLE", "CLUSTER ID"});
  for (const Node& node : topology->nodes) {
    std::string group_id = "-", role = "-";
    for (const Group& group : topology->groups) {
      for (const std::string& member : group.nodes) {
        if (member != node.id) continue;
        group_id = group.id;
        role = group.nodes.front() == node.id ? "primary" : "replica";
      }
    }
    table.add({node.id, node.host, std::to_string(node.workers), ports_of(node), std::to_string(node.metrics_port),
               group_id, role, cluster_id_of(node.id, 0)});
  }
  std::cout << table.to_string();
  return {};
}

Status print_slots(const Common& common) {
  Result<Topology> topology = load_topology(common);
  if (!topology) return std::unexpected(topology.error());
  Table table({"FROM", "TO", "COUNT", "GROUP", "PRIMARY"});
  const std::vector<uint16_t>& slots = topology->slot_groups;
  for (size_t from = 0; from < slots.size();) {
    size_t to = from;
    while (to + 1 < slots.size() && slots[to + 1] == slots[from]) ++to;
    const Group* group = topology->group_of_slot(static_cast<Slot>(from));
    table.add({std::to_string(from), std::to_string(to), std::to_string(to - from + 1), group ? group->id : "nobody",
               group ? group->nodes.front() : "-"});
    from = to + 1;
  }
  std::cout << table.to_string();
  return {};
}

}  // namespace

Verb add_nodes_verb(io::Options& root, const Common& common) {
  io::Options& verb = root.verb("nodes", "list the nodes");
  return {&verb, [&common] { return print_nodes(common); }};
}

Verb add_slots_verb(io::Options& root, const Common& common) {
  io::Options& verb = root.verb("slots", "list the slot ranges and who serves them");
  return {&verb, [&common] { return print_slots(common); }};
}

Verb add_topology_show_verb(io::Options& topology, const Common& common) {
  io::Options& verb = topology.verb("show", "print the stored topology");
  return {&verb, [&common]() -> Status {
            Result<Topology> loaded = load_topology(common);
            if (!loaded) return std::unexpected(loaded.error());
            std::cout << encode_topology(*loaded);
            return {};
          }};
}

}  // namespace tidemark::admin
