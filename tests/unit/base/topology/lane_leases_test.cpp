#include "base/topology/lane_leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/topology/topology_check.h"

namespace tidemark {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = kRowIdEpochMs + 10 * kLaneLeaseMs;

LaneGrant must_take(Topology& topology, std::string_view owner, int64_t now, std::string_view holder = {}) {
  Result<LaneGrant> grant =
      take_lane(topology, owner, holder.empty() ? "holder-of-" + std::string(owner) : holder, {now});
  EXPECT_TRUE(grant) << grant.error().message;
  EXPECT_TRUE(check_topology(topology));
  return grant.value_or(LaneGrant{.lane = 999, .span = {}});
}

void take_all(Topology& topology, int64_t now) {
  for (uint32_t i = 0; i < kRowIdLanes; ++i) must_take(topology, "o" + std::to_string(i), now + i);
}

TEST(LaneLeases, TheFirstTakesLaneZeroForAnHour) {
  Topology topology;
  EXPECT_EQ(must_take(topology, "a", kNow), (LaneGrant{0, {.from = {0}, .until = {kNow + kLaneLeaseMs}}}));
  EXPECT_TRUE(is_lane_held_by(topology, 0, "holder-of-a"));
  EXPECT_FALSE(is_lane_held_by(topology, 0, "holder-of-b"));
  EXPECT_FALSE(is_lane_held_by(topology, 1, "holder-of-a"));
}

TEST(LaneLeases, DifferentOwnersTakeDifferentLanes) {
  Topology topology;
  EXPECT_EQ(must_take(topology, "a", kNow).lane, 0u);
  EXPECT_EQ(must_take(topology, "b", kNow).lane, 1u);
  EXPECT_EQ(must_take(topology, "c", kNow).lane, 2u);
}

TEST(LaneLeases, AGapIsFilled) {
  Topology topology;
  take_all(topology, kNow);
  topology.lanes.erase(topology.lanes.begin() + 5);
  EXPECT_EQ(must_take(topology, "new", kNow).lane, 5u);
}

TEST(LaneLeases, AnOwnerThatWasKilledTakesItsLaneAgainAtOnce) {
  Topology topology;
  must_take(topology, "a", kNow, "first");
  must_take(topology, "b", kNow);
  LaneGrant again = must_take(topology, "a", kNow + 700, "second");
  EXPECT_EQ(again, (LaneGrant{0, {.from = {kNow + 700}, .until = {kNow + 700 + kLaneLeaseMs}}}));
  EXPECT_FALSE(is_lane_held_by(topology, 0, "first"));
}

TEST(LaneLeases, AnOwnerWhoseClockWentBackBeginsNoEarlierThanItsLastRenewal) {
  Topology topology;
  must_take(topology, "a", kNow);
  EXPECT_EQ(must_take(topology, "a", kNow - 5000).span.from, UnixMillis{kNow});
}

TEST(LaneLeases, ALaneGivenBackBeginsWhereItsIdsEnded) {
  Topology topology;
  must_take(topology, "a", kNow);
  give_back_lane(topology, 0, "holder-of-a", {kNow + 10});
  EXPECT_EQ(must_take(topology, "a", kNow + 700).span.from, UnixMillis{kNow + 10});
}

TEST(LaneLeases, OnlyTheHolderGivesALaneBackAndNeverLengthensIt) {
  Topology topology;
  must_take(topology, "a", kNow);
  Topology before = topology;
  give_back_lane(topology, 0, "somebody", {kNow});
  give_back_lane(topology, 7, "holder-of-a", {kNow});
  give_back_lane(topology, 0, "holder-of-a", {kNow + 5 * kLaneLeaseMs});
  EXPECT_EQ(topology, before);
}

TEST(LaneLeases, ThirtyThreeOwnersAreOneTooMany) {
  Topology topology;
  take_all(topology, kNow);
  Topology before = topology;
  Result<LaneGrant> grant = take_lane(topology, "late", "x", {kNow + kLaneLeaseMs - 1500});
  ASSERT_FALSE(grant);
  EXPECT_EQ(grant.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(grant.error().message, HasSubstr("all 32 lanes"));
  for (const LaneLease& lease : topology.lanes) EXPECT_THAT(grant.error().message, HasSubstr(lease.owner));
  EXPECT_THAT(grant.error().message, HasSubstr("in 2 s"));
  EXPECT_EQ(topology, before);
}

TEST(LaneLeases, TheLaneThatEndedLongestAgoIsTakenFirstAndItsTimesAreNotUsedAgain) {
  Topology topology;
  take_all(topology, kNow);
  give_back_lane(topology, 9, "holder-of-o9", {kNow + 20});
  give_back_lane(topology, 4, "holder-of-o4", {kNow + 30});
  EXPECT_EQ(must_take(topology, "new", kNow + 100), (LaneGrant{9, {{kNow + 20}, {kNow + 100 + kLaneLeaseMs}}}));
  EXPECT_EQ(must_take(topology, "newer", kNow + 100).lane, 4u);
}

TEST(LaneLeases, ALeaseEndsAtItsLastMillisecond) {
  Topology topology;
  take_all(topology, kNow);  // the first ends at kNow + kLaneLeaseMs
  EXPECT_FALSE(take_lane(topology, "late", "x", {kNow + kLaneLeaseMs - 1}));
  LaneGrant grant = must_take(topology, "late", kNow + kLaneLeaseMs);
  EXPECT_EQ(grant.lane, 0u);
  EXPECT_EQ(grant.span.from, UnixMillis{kNow + kLaneLeaseMs});
}

TEST(LaneLeases, ARenewalLengthensTheLease) {
  Topology topology;
  must_take(topology, "a", kNow);
  EXPECT_EQ(renew_lane(topology, 0, "holder-of-a", {kNow + kLaneRenewAfterMs}).value(),
            UnixMillis{kNow + kLaneRenewAfterMs + kLaneLeaseMs});
  EXPECT_EQ(renew_lane(topology, 0, "holder-of-a", {kNow}).value(),
            UnixMillis{kNow + kLaneRenewAfterMs + kLaneLeaseMs});
}

TEST(LaneLeases, ALeaseThatRanOutIsRenewedAsLongAsNobodyTookTheLane) {
  Topology topology;
  must_take(topology, "a", kNow);
  EXPECT_TRUE(renew_lane(topology, 0, "holder-of-a", {kNow + 7 * kLaneLeaseMs}));
}

TEST(LaneLeases, ALaneOfAnotherCannotBeRenewedAndTheErrorSaysWhose) {
  Topology topology;
  must_take(topology, "a", kNow, "first");
  must_take(topology, "a", kNow, "second");
  Result<UnixMillis> renewed = renew_lane(topology, 0, "first", {kNow});
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(renewed.error().message, HasSubstr("\"a\""));
  EXPECT_EQ(renew_lane(topology, 8, "first", {kNow}).error().code, ErrorCode::kFailedPrecondition);
}

// Whoever holds a lane, and whatever the clocks of the machines say: the spans of times of its holders are disjoint
// once each is cut at the moment its holder stopped.
TEST(LaneLeases, TwoOwnersOfALaneNeverShareAMillisecond) {
  for (int64_t skew : {-2 * kLaneLeaseMs, int64_t{-1}, int64_t{0}, int64_t{1}, 2 * kLaneLeaseMs}) {
    Topology topology;
    take_all(topology, kNow);
    UnixMillis until = topology.lanes[0].until;
    Result<LaneGrant> grant = take_lane(topology, "other", "x", {until.value + skew});
    if (grant && grant->lane == 0) EXPECT_GE(grant->span.from, until) << skew;
    EXPECT_EQ(grant.has_value(), skew >= 0) << skew;
  }
}

}  // namespace
}  // namespace tidemark
