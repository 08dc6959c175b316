// Which worker of its node serves a slot. Every worker has a port of its own, so cluster clients must know.
//
// A group's slots, in ascending order, are cut into as many equal runs as its primary has workers:
//
//   g1 has slots 0-63 and 640-703, its primary 2 workers   ->   worker 0: 0-63   worker 1: 640-703
//
// So workers hold the same number of slots to within one bucket, and CLUSTER SLOTS grows by at most one range for each
// further worker. (Round robin over buckets shares as evenly, but makes 2,000 ranges out of 100. A worker fixed by the
// slot alone, such as slot * workers / 16384, is uneven by the luck of the placement: 35 % for 4 workers on 10 nodes.)
// The price: when a group gains or loses slots, its cuts move too, and the slots between old and new cut start cold on
// another worker of the same node. They are gained slots like any other; slots_version has grown by the same change.
//
// A bucket is never cut, unless the slot table itself gives it to two groups.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/topology/topology.h"

namespace tidemark {

inline constexpr uint16_t kNoWorker = 0xffff;

// kSlotCount entries: the worker of the group's primary that serves the slot; kNoWorker: nobody serves it.
std::vector<uint16_t> slot_workers(const Topology& topology);

// The same for one group, cut for `workers` workers (a replica has as many as its primary); kNoWorker: another's slot.
std::vector<uint16_t> slot_workers_of_group(const Topology& topology, size_t group, uint32_t workers);

}  // namespace tidemark
