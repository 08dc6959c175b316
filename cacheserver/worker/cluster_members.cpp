#include "cacheserver/worker/cluster_members.h"

#include <map>
#include <utility>

#include "base/topology/slot_workers.h"

namespace tidemark::cacheserver {
namespace {

uint16_t port_of(const Node& node, uint32_t worker) {
  return worker < node.worker_ports.size() ? node.worker_ports[worker] : 0;
}

void append_slot(std::vector<SlotRange>& ranges, Slot slot) {
  if (!ranges.empty() && ranges.back().last + 1 == slot) {
    ranges.back().last = slot;
  } else {
    ranges.push_back({slot, slot});
  }
}

using WorkerRanges = std::map<std::pair<std::string_view, uint32_t>, std::vector<SlotRange>>;  // (group, worker)

WorkerRanges ranges_of(const Topology& topology, uint32_t& slots_assigned) {
  WorkerRanges ranges;
  const std::vector<uint16_t> workers = slot_workers(topology);
  for (uint32_t number = 0; number < kSlotCount; ++number) {
    auto slot = static_cast<Slot>(number);
    const Group* group = topology.group_of_slot(slot);
    if (group == nullptr) continue;
    ++slots_assigned;
    if (workers[slot] == kNoWorker) continue;
    append_slot(ranges[{group->id, workers[slot]}], slot);
  }
  return ranges;
}

void add_group(ClusterView& view, const Topology& topology, const Group& group, WorkerRanges& ranges) {
  const Node* primary = group.nodes.empty() ? nullptr : topology.find_node(group.nodes.front());
  if (primary == nullptr) return;
  for (uint32_t worker = 0; worker < primary->workers; ++worker) {
    ClusterShard shard{.ranges = std::move(ranges[{group.id, worker}]), .members = {}};
    const std::string primary_id = cluster_id_of(primary->id, worker);
    const bool is_served = port_of(*primary, worker) != 0;
    for (const std::string& node_id : group.nodes) {
      const Node* node = topology.find_node(node_id);
      if (node == nullptr || port_of(*node, worker) == 0) continue;
      shard.members.push_back(view.members.size());
      view.members.push_back({.id = cluster_id_of(node->id, worker),
                              .node_id = node->id,
                              .worker = worker,
                              .host = node->host,
                              .port = port_of(*node, worker),
                              .primary_id = node == primary ? std::string() : primary_id,
                              .epoch = group.epoch,
                              .ranges = shard.ranges});
    }
    if (!is_served) continue;
    for (const SlotRange& range : shard.ranges)
      view.slots_served += static_cast<uint32_t>(range.last - range.first) + 1;
    view.shards.push_back(std::move(shard));
  }
}

bool is_in_a_group(const Topology& topology, const Node& node) {
  for (const Group& group : topology.groups) {
    for (const std::string& id : group.nodes) {
      if (id == node.id) return true;
    }
  }
  return false;
}

}  // namespace

ClusterView cluster_view(const Topology& topology) {
  ClusterView view;
  WorkerRanges ranges = ranges_of(topology, view.slots_assigned);
  for (const Group& group : topology.groups) add_group(view, topology, group, ranges);
  for (const Node& node : topology.nodes) {
    if (is_in_a_group(topology, node)) continue;
    for (uint32_t worker = 0; worker < node.workers; ++worker) {
      if (port_of(node, worker) == 0) continue;
      view.members.push_back({.id = cluster_id_of(node.id, worker),
                              .node_id = node.id,
                              .worker = worker,
                              .host = node.host,
                              .port = port_of(node, worker),
                              .primary_id = {},
                              .epoch = 0,
                              .ranges = {}});
    }
  }
  return view;
}

}  // namespace tidemark::cacheserver
