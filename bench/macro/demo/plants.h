// Makes a running system wrong on purpose, to see that the oracles notice.
//
// (The plant "stale" is an option of the invalidator's command line, and not here.) Threads: one. I/O: SQL as
// superuser.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

// Commits are acknowledged before they are on disk, and stay in memory for up to ten seconds: a crash loses them. What
// a battery-less controller or a careless setting does; the fault script then crashes the server.
Status make_commits_volatile(const localcluster::LocalCluster& cluster, const std::string& primary);

// The process that writes volatile commits to disk falls asleep: whatever is acknowledged from now on lives in memory.
Status stop_writing_the_log(const localcluster::LocalCluster& cluster, const std::string& primary);

// catalog.reserve takes whatever is asked for, and nothing stops a stock from going below zero: a shop that forgot the
// one condition in its one statement.
Status forget_to_look_at_the_stock(const localcluster::LocalCluster& cluster,
                                   const std::vector<std::string>& primaries);

}  // namespace tidemark::bench
