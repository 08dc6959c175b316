#include "cacheserver/freshness/shard_tide.h"

#include <gtest/gtest.h>

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1000s};

FenceMessage fence(Lsn position, Lsn settled, Xid all_before, std::optional<Instant> echo = std::nullopt) {
  return {1, position, position, settled, PgSnapshot{all_before, all_before, {}}, echo};
}

class ShardTideTest : public testing::Test {
 protected:
  ShardTideTest() { tide_.join(1, Lsn{0x100}); }
  ShardTide tide_{{}, {}};
};

TEST(ShardTide, AnswersAGapUntilItIsJoined) {
  ShardTide tide({}, {});
  EXPECT_EQ(tide.admit({1, Lsn{}, Lsn{0x100}}), TideAdmission::kGap);
  EXPECT_EQ(tide.fence(fence(Lsn{}, Lsn{0x80}, 700), kStart), TideAdmission::kGap);
  EXPECT_EQ(tide.bound(kStart), std::nullopt);
}

TEST_F(ShardTideTest, TakesOnlyWhatFollowsAndNeverMovesBack) {
  EXPECT_EQ(tide_.admit({1, Lsn{0x101}, Lsn{0x200}}), TideAdmission::kGap);
  EXPECT_EQ(tide_.admit({1, Lsn{0x100}, Lsn{0x200}}), TideAdmission::kApplied);
  tide_.advance({1, Lsn{0x100}, Lsn{0x200}});
  EXPECT_EQ(tide_.admit({1, Lsn{0x80}, Lsn{0x180}}), TideAdmission::kApplied) << "sent again";
  tide_.advance({1, Lsn{0x80}, Lsn{0x180}});
  EXPECT_EQ(tide_.complete_through(), Lsn{0x200});
  EXPECT_EQ(tide_.fence({1, Lsn{0x201}, Lsn{0x300}, Lsn{}, std::nullopt, std::nullopt}, kStart), TideAdmission::kGap);
  EXPECT_EQ(tide_.complete_through(), Lsn{0x200});
}

TEST_F(ShardTideTest, KnowsOldAndNewEpochs) {
  EXPECT_EQ(tide_.admit({0, Lsn{0x100}, Lsn{0x200}}), TideAdmission::kOldEpoch);
  EXPECT_EQ(tide_.admit({2, Lsn{0x100}, Lsn{0x200}}), TideAdmission::kNewEpoch);
  EXPECT_TRUE(tide_.join(2, Lsn{0x50}));
  EXPECT_EQ(tide_.floor().lsn, Lsn{0x50}) << "positions of the old database mean nothing";
  EXPECT_EQ(tide_.refloor(), Lsn{0x50});
  EXPECT_FALSE(tide_.join(1, Lsn{0x900}));
}

TEST_F(ShardTideTest, NeverLowersItsFloorWhenItIsJoinedAgain) {
  tide_.join(1, Lsn{0x900});
  tide_.join(1, Lsn{0x200});
  EXPECT_EQ(tide_.complete_through(), Lsn{0x200});
  EXPECT_EQ(tide_.floor().lsn, Lsn{0x900});
  EXPECT_EQ(tide_.refloor(), Lsn{0x900});
}

TEST_F(ShardTideTest, GetsItsFloorsSnapshotFromTheFirstFenceThatSettlesTheJoin) {
  tide_.fence(fence(Lsn{0x100}, Lsn{0xFF}, 700), kStart);
  EXPECT_FALSE(tide_.floor().snapshot);
  tide_.fence(fence(Lsn{0x100}, Lsn{0x100}, 701), kStart);
  ASSERT_TRUE(tide_.floor().snapshot);
  EXPECT_EQ(tide_.floor().snapshot->xmax, 701u);
}

TEST_F(ShardTideTest, MovesItsFloorToTheNewestFencePointOfAMinuteAgo) {
  for (int second = 0; second <= 60; ++second) {
    auto n = static_cast<uint64_t>(second);
    tide_.fence(fence(Lsn{0x100}, Lsn{0x100 + n}, 700 + n), kStart + std::chrono::seconds(second));
  }
  EXPECT_EQ(tide_.floor().lsn, Lsn{0x100});
  tide_.fence(fence(Lsn{0x100}, Lsn{0x1FF}, 900), kStart + 75s);
  EXPECT_EQ(tide_.floor(), (Floor{Lsn{0x10F}, PgSnapshot{715, 715, {}}})) << "both halves of one point";
  EXPECT_EQ(tide_.collectable(), Lsn{0x10F});
}

TEST_F(ShardTideTest, RemembersHalfAMinuteOrAnHourWithTheSameMemory) {
  ShardTide patient({.retention = 3600s}, {});
  patient.join(1, Lsn{0x100});
  for (int second = 0; second < 3600; ++second) {
    auto n = static_cast<uint64_t>(second);
    patient.fence(fence(Lsn{0x100}, Lsn{0x100 + n}, 700 + n), kStart + std::chrono::seconds(second));
  }
  EXPECT_EQ(patient.floor().lsn, Lsn{0x100});
  patient.fence(fence(Lsn{0x100}, Lsn{0x9000}, 9000), kStart + 5000s);
  EXPECT_GE(patient.floor().lsn, Lsn{0x100 + 1400 - 30});
  EXPECT_LE(patient.floor().lsn, Lsn{0x100 + 1400});
}

TEST_F(ShardTideTest, IgnoresFencePointsOfASenderThatLags) {
  tide_.fence(fence(Lsn{0x100}, Lsn{0x180}, 720), kStart);
  tide_.fence(fence(Lsn{0x100}, Lsn{0x150}, 710), kStart + 2s);
  EXPECT_EQ(tide_.settled(), Lsn{0x180});
  tide_.fence(fence(Lsn{0x100}, Lsn{0x190}, 730), kStart + 62s);
  EXPECT_EQ(tide_.floor().lsn, Lsn{0x180}) << "not 0/150, though it is a minute old too";
}

TEST_F(ShardTideTest, RaisesItsFloorForWhatCouldNotBeKept) {
  tide_.fence(fence(Lsn{0x100}, Lsn{0x180}, 720), kStart);
  tide_.raise_floor(1, Lsn{0x170});
  EXPECT_EQ(tide_.floor(), (Floor{Lsn{0x170}, PgSnapshot{720, 720, {}}})) << "it has settled already";
  tide_.raise_floor(1, Lsn{0x190});
  EXPECT_EQ(tide_.floor(), (Floor{Lsn{0x190}, std::nullopt}));
  tide_.fence(fence(Lsn{0x100}, Lsn{0x190}, 730), kStart + 1s);
  EXPECT_TRUE(tide_.floor().snapshot);
  tide_.raise_floor(9, Lsn{0x900});
  EXPECT_EQ(tide_.floor().lsn, Lsn{0x190}) << "another database's";
}

TEST_F(ShardTideTest, TellsWhatASnapshotContainsByTheNewestFenceItCovers) {
  tide_.fence(fence(Lsn{0x100}, Lsn{0x110}, 710), kStart);
  tide_.fence(fence(Lsn{0x100}, Lsn{0x120}, 720), kStart + 1s);
  tide_.fence(fence(Lsn{0x100}, Lsn{0x130}, 730), kStart + 1500ms);  // the newest is not in the history yet
  EXPECT_EQ(tide_.lo_of(*Proof::parse("S:0:1:1:731:731::0/900")), Lsn{0x130});
  EXPECT_EQ(tide_.lo_of(*Proof::parse("S:0:1:1:725:725::0/900")), Lsn{0x120});
  EXPECT_EQ(tide_.lo_of(*Proof::parse("S:0:1:1:715:725:715:0/900")), Lsn{0x110});
  EXPECT_EQ(tide_.lo_of(*Proof::parse("S:0:1:1:700:700::0/900")), Lsn{}) << "it does not even cover the floor";
  EXPECT_EQ(tide_.lo_of(*Proof::parse("R:0:1:1:0/17")), Lsn{0x17});
}

TEST_F(ShardTideTest, BoundsStalenessByItsOwnClockSinceTheNewestEcho) {
  tide_.fence(fence(Lsn{0x100}, Lsn{0x100}, 700, kStart), kStart + 20ms);
  EXPECT_EQ(tide_.bound(kStart + 30ms), Duration(30ms));
  tide_.fence(fence(Lsn{0x100}, Lsn{0x100}, 700, kStart - 1s), kStart + 40ms);
  EXPECT_EQ(tide_.bound(kStart + 50ms), Duration(50ms)) << "an older echo does not worsen it";
  tide_.join(1, Lsn{0x100});
  EXPECT_EQ(tide_.bound(kStart + 60ms), std::nullopt);
}

TEST_F(ShardTideTest, ForgetsItsPositionButNotItsFloorWhenItLeaves) {
  tide_.leave();
  EXPECT_EQ(tide_.admit({1, Lsn{0x100}, Lsn{0x200}}), TideAdmission::kGap);
  EXPECT_EQ(tide_.complete_through(), Lsn{});
  EXPECT_EQ(tide_.floor().lsn, Lsn{0x100});
  EXPECT_EQ(tide_.admit({0, Lsn{0x100}, Lsn{0x200}}), TideAdmission::kOldEpoch);
}

}  // namespace
}  // namespace tidemark::cacheserver
