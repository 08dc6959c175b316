// Starts members of a cluster, ours and Postgres alike, and waits until each is ready.
//
// Every start is saved to cluster.json at once: a process nobody remembers could not be ended. Threads: one. Limits:
// ClusterState::start_timeout() for each.
#pragma once

#include "base/result.h"
#include "tools/localcluster/cluster_state.h"

namespace tidemark::localcluster {

// Again, with its old command line (its ports stay); waits for ready.
Status start_member(ClusterState& state, Member& member);

// A Postgres server whose data directory exists.
Status start_server(ClusterState& state, Member& member);

// All of a kind that do not run, at once: each takes its time to start, none needs the others.
Status start_kind(ClusterState& state, Kind kind);

}  // namespace tidemark::localcluster
