// The topology as cluster clients see it: every worker of every node is a cluster node of its own.
//
//   node n1 with 2 workers, ports 7001 and 7002   ->   two members, each with its own id and its own slots
//
// A node that has not registered its ports yet is left out, so no answer ever names an empty host or port 0.
// Threads: pure functions over an immutable topology; the views live as long as it does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/topology/topology.h"

namespace tidemark::cacheserver {

struct SlotRange {
  Slot first = 0, last = 0;
  bool operator==(const SlotRange&) const = default;
};

struct ClusterMember {
  std::string id;  // 40 hex digits
  std::string_view node_id;
  uint32_t worker = 0;
  std::string_view host;
  uint16_t port = 0;
  std::string primary_id;         // empty: it is a primary (or in no group)
  uint32_t epoch = 0;             // of its group
  std::vector<SlotRange> ranges;  // a replica's are its primary's
  bool is_primary() const { return primary_id.empty(); }
};

// Primaries and their replicas: members with the same ranges.
struct ClusterShard {
  std::vector<SlotRange> ranges;
  std::vector<size_t> members;  // indexes into the members; the primary first
};

struct ClusterView {
  std::vector<ClusterMember> members;
  std::vector<ClusterShard> shards;  // those that have a registered primary
  uint32_t slots_assigned = 0;       // to any group
  uint32_t slots_served = 0;         // by a registered primary
};

ClusterView cluster_view(const Topology& topology);

}  // namespace tidemark::cacheserver
