#include "base/topology/topology_check.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/family/family_check.h"
#include "base/id/row_id.h"

namespace tidemark {
namespace {

constexpr size_t kIdBytesMax = 64;

std::unexpected<Error> refuse(const std::string& why) {
  return fail(ErrorCode::kInvalidArgument, "topology: " + why);
}

bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= kIdBytesMax && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 255 && std::ranges::none_of(host, [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == ',' || c == '@' || c == 0x7f;
  });
}

Status check_nodes(const Topology& topology) {
  std::set<std::string> ids;
  for (const Node& node : topology.nodes) {
    if (!is_id(node.id)) return refuse("node id \"" + node.id + "\" is not 1 to 64 of [A-Za-z0-9._-]");
    if (!ids.insert(node.id).second) return refuse("node \"" + node.id + "\" stands twice");
    if (!is_host(node.host)) return refuse("node \"" + node.id + "\": its host is empty or holds a space, ',' or '@'");
    if (node.workers == 0 || node.workers > kWorkersPerNodeMax) {
      return refuse("node \"" + node.id + "\": workers must be from 1 to " + std::to_string(kWorkersPerNodeMax));
    }
    if (!node.worker_ports.empty() && node.worker_ports.size() != node.workers) {
      return refuse("node \"" + node.id + "\": worker_ports must be empty or one for each of its " +
                    std::to_string(node.workers) + " workers");
    }
  }
  return {};
}

Status check_groups(const Topology& topology) {
  std::set<std::string> ids, members;
  if (topology.groups.size() >= kNoGroup) return refuse("too many groups");
  for (const Group& group : topology.groups) {
    if (!is_id(group.id)) return refuse("group id \"" + group.id + "\" is not 1 to 64 of [A-Za-z0-9._-]");
    if (!ids.insert(group.id).second) return refuse("group \"" + group.id + "\" stands twice");
    if (!std::isfinite(group.weight) || group.weight < 0)
      return refuse("group \"" + group.id + "\": weight must be 0 or more");
    if (group.nodes.empty()) return refuse("group \"" + group.id + "\" has no node");
    for (const std::string& node : group.nodes) {
      if (topology.find_node(node) == nullptr)
        return refuse("group \"" + group.id + "\": node \"" + node + "\" is not in nodes");
      if (!members.insert(node).second) return refuse("node \"" + node + "\" is in two groups");
    }
  }
  if (!topology.slot_groups.empty() && topology.slot_groups.size() != kSlotCount)
    return refuse("the slot table has the wrong size");
  for (uint16_t group : topology.slot_groups) {
    if (group != kNoGroup && group >= topology.groups.size())
      return refuse("a slot belongs to a group that does not exist");
  }
  return {};
}

Status check_shards(const Topology& topology) {
  std::set<ShardId> ids;
  for (const Shard& shard : topology.shards) {
    std::string name = "shard " + std::to_string(shard.id);
    if (!ids.insert(shard.id).second) return refuse(name + " stands twice");
    if (std::ranges::count(shard.servers, ShardServer::Role::kPrimary, &ShardServer::role) > 1)
      return refuse(name + " has two primaries");
    std::set<std::string> servers;
    for (const ShardServer& server : shard.servers) {
      if (!is_id(server.name))
        return refuse(name + ": server name \"" + server.name + "\" is not 1 to 64 of [A-Za-z0-9._-]");
      if (!servers.insert(server.name).second) return refuse(name + ": server \"" + server.name + "\" stands twice");
      if (server.conninfo.empty()) return refuse(name + ": server \"" + server.name + "\" has no conninfo");
      if (server.conninfo.contains("password")) {
        return refuse(name + ": server \"" + server.name + "\": a conninfo must not hold a password; use a passfile");
      }
    }
  }
  if (!topology.buckets.empty() && topology.buckets.size() != kBucketCount)
    return refuse("the bucket table has the wrong size");
  for (const BucketOwner& owner : topology.buckets) {
    if (!ids.contains(owner.shard))
      return refuse("a bucket belongs to shard " + std::to_string(owner.shard) + ", which is not in shards");
  }
  return {};
}

Status check_lanes(const Topology& topology) {
  uint32_t next = 0;
  for (const LaneLease& lease : topology.lanes) {
    std::string name = "id lane " + std::to_string(lease.lane);
    if (lease.lane >= kRowIdLanes) return refuse(name + ": lanes are 0 to " + std::to_string(kRowIdLanes - 1));
    if (lease.lane < next) return refuse(name + " stands twice or out of order");
    if (!is_id(lease.owner)) return refuse(name + ": owner \"" + lease.owner + "\" is not 1 to 64 of [A-Za-z0-9._-]");
    if (!is_id(lease.holder))
      return refuse(name + ": holder \"" + lease.holder + "\" is not 1 to 64 of [A-Za-z0-9._-]");
    if (lease.until.value < 0) return refuse(name + ": its lease ends before 1970");
    next = lease.lane + 1;
  }
  return {};
}

}  // namespace

Status check_topology(const Topology& topology) {
  if (Status status = check_nodes(topology); !status) return status;
  if (Status status = check_groups(topology); !status) return status;
  if (Status status = check_shards(topology); !status) return status;
  if (Status status = check_lanes(topology); !status) return status;
  return check_families(topology.families);
}

}  // namespace tidemark
