#include "base/topology/topology.h"

#include <algorithm>

#include "base/sha1.h"

namespace tidemark {

const ShardServer* Shard::primary() const {
  auto found = std::ranges::find(servers, ShardServer::Role::kPrimary, &ShardServer::role);
  return found == servers.end() ? nullptr : &*found;
}

const Node* Topology::find_node(std::string_view id) const {
  auto found = std::ranges::find(nodes, id, &Node::id);
  return found == nodes.end() ? nullptr : &*found;
}

const Group* Topology::group_of_slot(Slot slot) const {
  if (slot >= slot_groups.size()) return nullptr;
  uint16_t index = slot_groups[slot];
  return index < groups.size() ? &groups[index] : nullptr;
}

const Node* Topology::primary_of_slot(Slot slot) const {
  const Group* group = group_of_slot(slot);
  return group == nullptr || group->nodes.empty() ? nullptr : find_node(group->nodes.front());
}

const Shard* Topology::find_shard(ShardId id) const {
  auto found = std::ranges::find(shards, id, &Shard::id);
  return found == shards.end() ? nullptr : &*found;
}

std::optional<BucketOwner> Topology::owner_of_bucket(Bucket bucket) const {
  if (bucket >= buckets.size()) return std::nullopt;
  return buckets[bucket];
}

std::string cluster_id_of(std::string_view node_id, uint32_t worker) {
  return sha1_hex(std::string(node_id) + "/" + std::to_string(worker));
}

}  // namespace tidemark
