#include "base/topology/lane_leases.h"

#include <algorithm>
#include <string>

namespace tidemark {
namespace {

LaneLease* find_lease(Topology& topology, uint32_t lane) {
  auto found = std::ranges::find(topology.lanes, lane, &LaneLease::lane);
  return found == topology.lanes.end() ? nullptr : &*found;
}

uint32_t lowest_unused(const Topology& topology) {
  uint32_t lane = 0;
  while (lane < topology.lanes.size() && topology.lanes[lane].lane == lane) ++lane;
  return lane;
}

LaneLease& add_lane(Topology& topology, uint32_t lane) {
  auto at = std::ranges::lower_bound(topology.lanes, lane, {}, &LaneLease::lane);
  return *topology.lanes.insert(at, LaneLease{.lane = lane, .owner = {}, .holder = {}, .until = {}});
}

std::unexpected<Error> all_taken(const Topology& topology, UnixMillis now) {
  std::string holders;
  int64_t first_end = INT64_MAX;
  for (const LaneLease& lease : topology.lanes) {
    holders += (holders.empty() ? "" : ", ") + lease.owner;
    first_end = std::min(first_end, lease.until.value);
  }
  return fail(ErrorCode::kResourceExhausted,
              "all " + std::to_string(kRowIdLanes) + " lanes of row ids are taken, by " + holders +
                  "; the first falls free in " + std::to_string((first_end - now.value + 999) / 1000) +
                  " s unless it is renewed. Give every instance a stable name, or stop one in order");
}

// Where a lane's next ids may begin.
UnixMillis begin_after(const LaneLease& lease, std::string_view owner, UnixMillis now) {
  if (lease.until <= now || lease.owner != owner) return lease.until;
  // Its own lane, not given back: the process before was killed. It made no id later than its last moment, and that
  // was after the lease was last renewed.
  return std::max(now, UnixMillis{lease.until.value - kLaneLeaseMs});
}

LaneLease* choose(Topology& topology, std::string_view owner, UnixMillis now) {
  if (auto own = std::ranges::find(topology.lanes, owner, &LaneLease::owner); own != topology.lanes.end()) return &*own;
  if (topology.lanes.size() < kRowIdLanes) return &add_lane(topology, lowest_unused(topology));
  auto longest_ended = std::ranges::min_element(topology.lanes, {}, &LaneLease::until);
  return longest_ended->until <= now ? &*longest_ended : nullptr;
}

}  // namespace

Result<LaneGrant> take_lane(Topology& topology, std::string_view owner, std::string_view holder, UnixMillis now) {
  LaneLease* lease = choose(topology, owner, now);
  if (lease == nullptr) return all_taken(topology, now);
  const UnixMillis from = begin_after(*lease, owner, now);
  lease->owner = owner;
  lease->holder = holder;
  lease->until = {std::max(now, from).value + kLaneLeaseMs};
  return LaneGrant{.lane = lease->lane, .span = {.from = from, .until = lease->until}};
}

Result<UnixMillis> renew_lane(Topology& topology, uint32_t lane, std::string_view holder, UnixMillis now) {
  LaneLease* lease = find_lease(topology, lane);
  if (lease == nullptr) {
    return fail(ErrorCode::kFailedPrecondition,
                "lane " + std::to_string(lane) + " of row ids is not in the topology any more");
  }
  if (lease->holder != holder) {
    return fail(
        ErrorCode::kFailedPrecondition,
        "lane " + std::to_string(lane) + " of row ids now belongs to another process, \"" + lease->owner + "\"");
  }
  lease->until = std::max(lease->until, UnixMillis{now.value + kLaneLeaseMs});
  return lease->until;
}

void give_back_lane(Topology& topology, uint32_t lane, std::string_view holder, UnixMillis unused_from) {
  LaneLease* lease = find_lease(topology, lane);
  if (lease == nullptr || lease->holder != holder) return;
  lease->until = std::min(lease->until, unused_from);
}

bool is_lane_held_by(const Topology& topology, uint32_t lane, std::string_view holder) {
  auto found = std::ranges::find(topology.lanes, lane, &LaneLease::lane);
  return found != topology.lanes.end() && found->holder == holder;
}

}  // namespace tidemark
