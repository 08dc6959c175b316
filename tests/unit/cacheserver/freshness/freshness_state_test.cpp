#include "cacheserver/freshness/freshness_state.h"

#include <gtest/gtest.h>

#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1000s};
constexpr BucketOwner kOwner{0, 4};

EntryClaims claims(Lsn lo) {
  EntryClaims made;
  made.db_epoch = 1;
  made.bucket_epoch = 4;
  made.lo = lo;
  return made;
}

class FreshnessStateTest : public testing::Test {
 protected:
  FreshnessStateTest() { state_.fence_all(0, 1, Lsn{0x100}); }
  FreshnessState state_{{.incarnation = 0xABCDEF0123456789, .group_epoch = 1, .slots_version = 1}};
};

TEST_F(FreshnessStateTest, CallsAnEntryValidOnlyUnderItsOwnShardEpochAndOwnership) {
  EntryClaims mine = claims(Lsn{0x100});
  EXPECT_TRUE(state_.is_valid(mine, kOwner));
  EXPECT_FALSE(state_.is_valid(mine, {0, 5}));
  EXPECT_FALSE(state_.is_valid(mine, {1, 4}));
  mine.db_epoch = 2;
  EXPECT_FALSE(state_.is_valid(mine, kOwner));
  EXPECT_FALSE(state_.is_valid(claims(Lsn{0xFF}), kOwner)) << "older than the FENCEALL";
}

TEST_F(FreshnessStateTest, KeepsAnEntryOnlyIfItProvablyContainsTheCommit) {
  EntryClaims replica = claims(Lsn{0x200});
  EntryClaims snapshot = claims(Lsn{0x100});
  snapshot.proof = ProofKind::kSnapshot;
  snapshot.xmin = 726;
  auto drops = [&](const EntryClaims& entry, Xid xid, Lsn end_lsn) {
    return state_.invalidate(7, kOwner, {0, 1, xid, end_lsn, false}, &entry, kStart);
  };
  EXPECT_FALSE(drops(replica, 900, Lsn{0x200}));
  EXPECT_TRUE(drops(replica, 1, Lsn{0x201})) << "an R entry's xmin means nothing";
  EXPECT_FALSE(drops(snapshot, 725, Lsn{0x900}));
  EXPECT_TRUE(drops(snapshot, 726, Lsn{0x900}));
  EXPECT_TRUE(state_.invalidate(7, kOwner, {3, 1, 1, Lsn{0x1}, false}, &replica, kStart)) << "another shard's commit";
  EXPECT_FALSE(state_.invalidate(7, kOwner, {0, 1, 5, Lsn{0x300}, false}, nullptr, kStart));
  EXPECT_EQ(state_.counters().kept_entries, 2u);
  EXPECT_EQ(state_.counters().invalidated_entries, 3u);
}

TEST_F(FreshnessStateTest, LeavesItsShardsWhenItGainsSlots) {
  auto miss = state_.on_miss(7, kOwner, kStart);
  state_.set_topology(1, 2, true);
  EXPECT_FALSE(state_.is_valid(claims(Lsn{0x900}), kOwner));
  EXPECT_EQ(state_.on_miss(7, kOwner, kStart).kind, FreshnessState::Miss::Kind::kNotJoined);
  EXPECT_EQ(state_.admit(0, {1, Lsn{0x100}, Lsn{0x200}}), TideAdmission::kGap);
  EXPECT_EQ(state_.on_fill(7, miss.lease, *Proof::parse("R:0:1:4:0/900"), kOwner, nullptr, kStart).judgement.verdict,
            FillVerdict::kLease);
  EXPECT_TRUE(state_.joined_shards().empty());
}

TEST_F(FreshnessStateTest, KeepsItsShardsButNoLeaseWhenOnlyTheTableChanges) {
  auto miss = state_.on_miss(7, kOwner, kStart);
  state_.set_topology(1, 2, false);
  EXPECT_EQ(state_.on_fill(7, miss.lease, *Proof::parse("R:0:1:4:0/900"), kOwner, nullptr, kStart).judgement.verdict,
            FillVerdict::kLease);
  EXPECT_EQ(state_.joined_shards(), std::vector<ShardId>{0});
}

TEST_F(FreshnessStateTest, ReadsItsOwnStampsAndNoOthers) {
  uint64_t stamp = state_.stamp(kStart);
  EXPECT_EQ(state_.instant_of_stamp(stamp, kStart), kStart);
  EXPECT_EQ(state_.instant_of_stamp(stamp + 1, kStart), std::nullopt) << "of the future";
  EXPECT_EQ(state_.instant_of_stamp(5, kStart), std::nullopt);
  FreshnessState next_run({.incarnation = 0x0123456789ABCDEF});
  EXPECT_EQ(state_.instant_of_stamp(next_run.stamp(kStart), kStart), std::nullopt);
  EXPECT_GT(static_cast<int64_t>(FreshnessState({.incarnation = UINT64_MAX}).stamp(kStart)), 0)
      << "a RESP integer is signed";
}

TEST_F(FreshnessStateTest, CountsVerdictsGapsAndLag) {
  state_.admit(0, {1, Lsn{0x900}, Lsn{0x901}});
  state_.on_fill(7, "no lease", *Proof::parse("R:0:1:4:0/900"), kOwner, nullptr, kStart);
  state_.record_lag(1500, false);
  state_.record_lag(90'000'000, true);
  EXPECT_EQ(state_.counters().batch_gaps, 1u);
  EXPECT_EQ(state_.counters().fills[static_cast<size_t>(FillVerdict::kLease)], 1u);
  EXPECT_EQ(state_.lag_us().max(), 1500u) << "what is replayed does not spoil the live lag";
  EXPECT_EQ(state_.lag_replayed_us().count(), 1u);
}

TEST_F(FreshnessStateTest, WarnsThatThePrimaryMayRefuseUntilTheTombstoneHasSettled) {
  FenceMessage fence{1, Lsn{0x100}, Lsn{0x300}, Lsn{0x1FF}, PgSnapshot{725, 725, {}}, std::nullopt};
  state_.fence(0, fence, kStart);
  state_.invalidate(7, kOwner, {0, 1, 725, Lsn{0x200}, false}, nullptr, kStart);
  auto early = state_.on_miss(7, kOwner, kStart);
  EXPECT_TRUE(early.visible);
  EXPECT_EQ(early.need, Lsn{0x200});
  state_.forget_key(7);
  fence.settled = Lsn{0x200};
  fence.snapshot = PgSnapshot{726, 726, {}};
  state_.fence(0, fence, kStart);
  EXPECT_FALSE(state_.on_miss(7, kOwner, kStart).visible);
}

}  // namespace
}  // namespace tidemark::cacheserver
