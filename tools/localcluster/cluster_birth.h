// A cluster's first start: databases, shards, families and topology are made before the first program of ours runs.
//
// Threads: one. Limits: kInitTimeout for `tidemark-shards init`, kWriteFamiliesTimeout for a service that writes its
// families, ClusterState::start_timeout() for everything that starts.
#pragma once

#include "base/result.h"
#include "tools/localcluster/cluster_state.h"

namespace tidemark::localcluster {

// Every program of every member is there; kNotFound names what to build.
Status check_programs(const ClusterState& state);

// Makes and starts the Postgres servers, runs `tidemark-shards init`, writes the topology.
Status bear_cluster(ClusterState& state, const Options& options);

// The Postgres servers that do not run, primaries before their replicas.
Status start_servers(ClusterState& state);

}  // namespace tidemark::localcluster
