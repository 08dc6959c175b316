// Who makes row ids in which of the 32 lanes: the rules of the leases that stand in the topology.
//
//   take       own lane of before  >  a lane never used  >  the lane whose lease ended longest ago  >  refused
//   renew      the same lane for longer
//   give back  at an orderly end: the lease is cut to the ids really made, the entry stays
//
//   lane 3: order-1 until 5000     order-2 takes it at 6000: its ids begin at 5000, so no time is ever used by two
//   lane 3: order-1 until 5000     order-1 takes it at 2000 (it was killed and started again): its ids begin at 2000
//
// The interval of times is what keeps ids unique (row_id_generator.h), not the comparison of two machines' clocks. The
// one thing asked of the operator: an `owner` names one process at a time. A second one of the same name takes the lane
// away from the first, which sees it in the topology (is_lane_held_by) and stops.
// Threads: pure functions over the topology that the caller then stores by compare-and-set.
#pragma once

#include <string_view>

#include "base/id/row_id_generator.h"
#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark {

// Long, for a renewal is a new version of the topology: 32 owners make one every 56 seconds.
inline constexpr int64_t kLaneLeaseMs = 60 * 60 * 1000;
inline constexpr int64_t kLaneRenewAfterMs = kLaneLeaseMs / 2;

struct LaneGrant {
  uint32_t lane = 0;
  RowIdSpan span;
  bool operator==(const LaneGrant&) const = default;
};

// kResourceExhausted names every holder and when the first lane falls free.
Result<LaneGrant> take_lane(Topology& topology, std::string_view owner, std::string_view holder, UnixMillis now);

// The new end of the lease. kFailedPrecondition: the lane is another process's now, and the message says whose.
Result<UnixMillis> renew_lane(Topology& topology, uint32_t lane, std::string_view holder, UnixMillis now);

// `unused_from`: no id of this time or later was made. Nothing happens if the lane is not the holder's any more.
void give_back_lane(Topology& topology, uint32_t lane, std::string_view holder, UnixMillis unused_from);

bool is_lane_held_by(const Topology& topology, uint32_t lane, std::string_view holder);

}  // namespace tidemark
