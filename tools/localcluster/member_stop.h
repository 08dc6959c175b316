// Ends members of a cluster by their pid, wakes sleeping ones. Threads: one. Every wait has a limit.
#pragma once

#include "base/result.h"
#include "tools/localcluster/cluster_state.h"

namespace tidemark::localcluster {

Status pause_member(ClusterState& state, Member& member);  // SIGSTOP, a Postgres server with all its processes
Status wake_member(ClusterState& state, Member& member);   // SIGCONT to what pause_member() stopped
Status kill_member(ClusterState& state, Member& member);   // SIGKILL, waited for
// Any other signal that ends it, waited for within ClusterState::terminate_timeout().
Status end_member(ClusterState& state, Member& member, int signal);

// In the reverse of the order of start; the Postgres directories, secrets and state file are deleted. Goes on to
// SIGKILL where a process does not end in time, and names it in the error.
Status stop_everything(ClusterState& state);

// What an earlier cluster in this directory left behind, all of whose processes have ended.
void remove_remains(const ClusterState& state);

}  // namespace tidemark::localcluster
