// The first topology, and the one after new nodes joined: one group per node, slots by the planner.
//
//   init n1,n2        groups g-n1, g-n2 with 8,192 slots each
//   init n1,n2,n3     adds g-n3; 5,461 slots move to it, no other slot moves
//   init n1,n2,n3     again: nothing changes (so `init` may stand in every start script)
//
// Nodes that are there already keep their groups, ports and weights, unless a spec names another host, worker count or
// weight. Nothing is ever removed. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark {

struct NodeSpec {
  std::string id;
  std::string host = "127.0.0.1";
  uint32_t workers = 1;
  double weight = 1.0;
  bool operator==(const NodeSpec&) const = default;
};

// "n1", "n1@host", "n1@host/workers", "n1@host/workers*weight"; "n1/2" and "n1*0.5" too.
Result<NodeSpec> parse_node_spec(std::string_view text, uint32_t default_workers);

// Changes `topology` in place; slots_version grows when a slot changed its group.
Status add_nodes(Topology& topology, const std::vector<NodeSpec>& specs);

}  // namespace tidemark
