// From Options to members: names, ports, command lines; and what stands in the topology before the first node starts.
#pragma once

#include "base/result.h"
#include "base/topology/topology.h"
#include "tools/localcluster/cluster_state.h"

namespace tidemark::localcluster {

// Node and service ports are taken from here: below the range of outgoing connections, so a restarted program finds its
// port free.
inline constexpr uint16_t kPortMin = 20000;
inline constexpr uint16_t kPortMax = 31999;

// Directories, node password, Postgres root, members (none started).
Result<ClusterState> plan_cluster(const Options& options);

// FILE for `tidemark-shards init`.
Status write_shards_file(const ClusterState& state, const std::filesystem::path& path);

// Nodes n1…, one group each, the slots planned over them, these families. As `tidemarkctl init`.
Status write_topology(const ClusterState& state, const std::vector<Family>& families);

}  // namespace tidemark::localcluster
