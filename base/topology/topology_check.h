// What must be true of a whole topology: the encoder asserts what the decoder refuses. Threads: pure functions.
#pragma once

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark {

inline constexpr uint32_t kWorkersPerNodeMax = 256;

// Ids unique and well-formed, every reference resolves, tables are of full size or empty, no node in two groups, at
// most one primary per shard, no password in a conninfo, id lanes in order, families whole. kInvalidArgument names the
// first thing that is not so.
Status check_topology(const Topology& topology);

}  // namespace tidemark
