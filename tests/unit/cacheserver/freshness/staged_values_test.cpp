#include "cacheserver/freshness/staged_values.h"

#include <gtest/gtest.h>

#include "cacheserver/entry/entry.h"
#include "cacheserver/freshness/freshness_state.h"

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1000s};
constexpr uint64_t kHash = 42;
constexpr BucketOwner kOwner{0, 1};

StagedValue value(Xid xid, uint64_t stage, std::string text = "row") {
  StagedValue staged;
  staged.key_hash = kHash;
  staged.key = "k";
  staged.value = std::move(text);
  staged.ttl = 60s;
  staged.domain = {0, 1, 1};
  staged.xid = xid;
  staged.stage = stage;
  return staged;
}

EntryClaims claims_from(Lsn lo) {
  EntryClaims claims;
  claims.db_epoch = 1;
  claims.bucket_epoch = 1;
  claims.lo = lo;
  return claims;
}

// ---- the container

TEST(StagedValues, AreBoundedInNumberAndBytes) {
  StagedValues few({.bytes_max = 1 << 20, .values_max = 1});
  ASSERT_NE(few.park(value(1, 1), kStart), StagedValues::kNone);
  EXPECT_EQ(few.park(value(2, 2), kStart), StagedValues::kNone);
  StagedValues small({.bytes_max = 1000, .values_max = 100});
  EXPECT_EQ(small.park(value(1, 1, std::string(1000, 'x')), kStart), StagedValues::kNone);
  EXPECT_EQ(small.size(), 0u);
  EXPECT_EQ(small.bytes(), 0u);
  EXPECT_EQ(small.ended()[static_cast<size_t>(StagedEnd::kFull)], 1u);
}

TEST(StagedValues, KeepFourOfOneKeyTheFifthPushesTheOldestOut) {
  StagedValues values({});
  for (Xid xid = 1; xid <= 5; ++xid) values.park(value(xid, xid), kStart);
  EXPECT_EQ(values.size(), StagedValues::kPerKeyMax);
  std::vector<Xid> xids;
  for (uint32_t at = values.first(kHash); at != StagedValues::kNone; at = values.next(at))
    xids.push_back(values.at(at).xid);
  EXPECT_EQ(xids, (std::vector<Xid>{5, 4, 3, 2}));
}

TEST(StagedValues, TheSameStageSentTwiceIsParkedOnce) {
  StagedValues values({});
  values.park(value(1, 7, "first"), kStart);
  values.park(value(1, 7, "again"), kStart);
  EXPECT_EQ(values.size(), 1u);
  EXPECT_EQ(values.at(values.first(kHash)).value, "again");
}

TEST(StagedValues, AreTakenInTheOrderOfTheirEndsUpToWhatSettled) {
  StagedValues values({});
  for (Xid xid : {3, 1, 2}) values.confirm(values.park(value(xid, xid), kStart), Lsn{0x100 * xid});
  EXPECT_FALSE(values.take_settled(1, Lsn{0x900})) << "another shard";
  EXPECT_FALSE(values.take_settled(0, Lsn{0xFF}));
  EXPECT_EQ(values.take_settled(0, Lsn{0x200})->xid, 1u);
  EXPECT_EQ(values.take_settled(0, Lsn{0x200})->xid, 2u);
  EXPECT_FALSE(values.take_settled(0, Lsn{0x200}));
  EXPECT_EQ(values.take_settled(0, Lsn{0x300})->xid, 3u);
  EXPECT_EQ(values.size(), 0u);
  EXPECT_EQ(values.bytes(), 0u);
}

TEST(StagedValues, EndAfterTenSecondsOldestFirstAFewAtATime) {
  StagedValues values({});
  for (uint64_t i = 0; i < 10; ++i) {
    StagedValue staged = value(1 + i, 1);
    staged.key_hash = i;
    values.park(std::move(staged), kStart + std::chrono::seconds(i));
  }
  values.expire(kStart + 9s, 100);
  EXPECT_EQ(values.size(), 10u);
  values.expire(kStart + 30s, 3);
  EXPECT_EQ(values.size(), 7u);
  values.expire(kStart + 15s, 100);
  EXPECT_EQ(values.size(), 4u);
  EXPECT_EQ(values.ended()[static_cast<size_t>(StagedEnd::kTimeout)], 6u);
}

TEST(StagedValues, OfAShardGoTogether) {
  StagedValues values({});
  StagedValue other = value(1, 1);
  other.domain.shard = 9;
  values.park(std::move(other), kStart);
  values.confirm(values.park(value(2, 2), kStart), Lsn{0x200});
  values.drop_shard(0);
  EXPECT_EQ(values.size(), 1u);
  EXPECT_FALSE(values.take_settled(0, Lsn{0x900}));
}

// ---- the rule, through the state that applies it

class StagedWriteThrough : public testing::Test {
 protected:
  StagedWriteThrough() {
    state_.fence_all(0, 1, Lsn{0x100});
    settle(Lsn{0x100});
  }
  void settle(Lsn lsn) {
    FenceMessage message;
    message.db_epoch = 1;
    message.prev_lsn = Lsn{0x100};
    message.lsn = message.settled = lsn;
    message.snapshot = PgSnapshot{900, 900, {}};
    EXPECT_EQ(state_.fence(0, message, kStart), TideAdmission::kApplied);
  }
  bool stream(Xid xid, Lsn end, std::optional<uint64_t> stage, const EntryClaims* existing = nullptr) {
    return state_.invalidate(kHash, kOwner, {0, 1, xid, end, false, stage}, existing, kStart);
  }
  void hint(Xid xid, Lsn end) { state_.invalidate(kHash, kOwner, {0, 1, xid, end, true, {}}, nullptr, kStart); }
  // What is installed now, if anything.
  std::optional<EntryClaims> install(const EntryClaims* existing = nullptr) {
    auto settled = state_.take_settled(0);
    return settled ? state_.on_install(*settled, kOwner, existing) : std::nullopt;
  }
  uint64_t ended(StagedEnd end) { return state_.gauges().staged_ended[static_cast<size_t>(end)]; }

  using Answer = FreshnessState::StageAnswer;
  FreshnessState state_{{.incarnation = 1, .group_epoch = 1, .slots_version = 1}};
};

TEST_F(StagedWriteThrough, InstallsWhatTheStreamNamesOnceItHasSettled) {
  EXPECT_EQ(state_.stage(value(725, 7), kStart), Answer::kStaged);
  EXPECT_FALSE(install()) << "the stream has not come";
  stream(725, Lsn{0x200}, 7);
  EXPECT_FALSE(install()) << "not settled";
  settle(Lsn{0x200});
  auto claims = install();
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->lo, Lsn{0x200});
  EXPECT_EQ(claims->hi, Lsn{0x200});
  EXPECT_EQ(claims->proof, ProofKind::kStream);
  EXPECT_TRUE(state_.is_valid(*claims, kOwner));
  EXPECT_FALSE(install()) << "once";
}

TEST_F(StagedWriteThrough, ComesAfterItsInvalidationAsWell) {
  stream(725, Lsn{0x200}, 7);
  settle(Lsn{0x200});
  hint(725, Lsn{0x280});
  EXPECT_EQ(state_.stage(value(725, 7), kStart), Answer::kStaged);
  EXPECT_TRUE(install());
}

TEST_F(StagedWriteThrough, IsNotConfirmedByAnotherStageOrNone) {
  stream(725, Lsn{0x200}, 8);
  EXPECT_EQ(state_.stage(value(725, 7), kStart), Answer::kNoStage);
  state_.stage(value(726, 9), kStart);
  stream(726, Lsn{0x300}, std::nullopt);
  EXPECT_EQ(ended(StagedEnd::kNoStage), 2u);
  settle(Lsn{0x300});
  EXPECT_FALSE(install());
}

TEST_F(StagedWriteThrough, EndsWithALaterCommitOnTheKey) {
  state_.stage(value(725, 7), kStart);
  stream(725, Lsn{0x200}, 7);
  stream(726, Lsn{0x300}, std::nullopt);
  EXPECT_EQ(ended(StagedEnd::kSuperseded), 1u);
  EXPECT_EQ(state_.stage(value(725, 7), kStart), Answer::kSuperseded);
}

TEST_F(StagedWriteThrough, EndsWithALaterWritersInval) {
  state_.stage(value(725, 7), kStart);
  stream(725, Lsn{0x200}, 7);
  hint(726, Lsn{0x380});
  EXPECT_EQ(ended(StagedEnd::kSuperseded), 1u);
}

TEST_F(StagedWriteThrough, AnEarlierWritersLateInvalDoesNotEndIt) {
  stream(724, Lsn{0x180}, std::nullopt);
  stream(725, Lsn{0x200}, 7);
  hint(724, Lsn{0x380});
  EXPECT_EQ(state_.stage(value(725, 7), kStart), Answer::kStaged);
  settle(Lsn{0x200});
  EXPECT_TRUE(install());
}

TEST_F(StagedWriteThrough, KeepsAnEntryThatProvablyContainsTheCommit) {
  EntryClaims seen = claims_from(Lsn{0x150});
  seen.proof = ProofKind::kSnapshot;
  seen.xmin = 726;
  state_.stage(value(725, 7), kStart);
  EXPECT_FALSE(stream(725, Lsn{0x200}, 7, &seen)) << "the entry stays";
  settle(Lsn{0x200});
  EXPECT_FALSE(install(&seen));
  EXPECT_EQ(ended(StagedEnd::kContained), 1u);
}

TEST_F(StagedWriteThrough, ReplacesAnEntryThatContainsLess) {
  EntryClaims old = claims_from(Lsn{0x150});
  state_.stage(value(725, 7), kStart);
  stream(725, Lsn{0x200}, 7);
  settle(Lsn{0x200});
  EXPECT_TRUE(install(&old));
}

TEST_F(StagedWriteThrough, EndsWithAnAcceptedFillThatContainsTheCommit) {
  state_.stage(value(725, 7), kStart);
  stream(725, Lsn{0x200}, 7);
  auto miss = state_.on_miss(kHash, kOwner, kStart);
  Proof proof{Proof::Kind::kReplica, 0, 1, 1, Lsn{0x280}, {}};
  ASSERT_EQ(state_.on_fill(kHash, miss.lease, proof, kOwner, nullptr, kStart).judgement.verdict,
            FillVerdict::kAccepted);
  EXPECT_EQ(ended(StagedEnd::kContained), 1u);
}

TEST_F(StagedWriteThrough, OutlivesAFillFromBeforeItsCommitWasKnown) {
  auto miss = state_.on_miss(kHash, kOwner, kStart);
  state_.stage(value(725, 7), kStart);  // before COMMIT: no lsn
  Proof proof{Proof::Kind::kReplica, 0, 1, 1, Lsn{0x180}, {}};
  ASSERT_EQ(state_.on_fill(kHash, miss.lease, proof, kOwner, nullptr, kStart).judgement.verdict,
            FillVerdict::kAccepted);
  stream(725, Lsn{0x200}, 7);
  settle(Lsn{0x200});
  EXPECT_TRUE(install());
}

TEST_F(StagedWriteThrough, ARunningFillIsKeptOutByWhatWasInstalledIfThatContainsMore) {
  state_.stage(value(725, 7), kStart);
  stream(725, Lsn{0x200}, 7);
  auto miss = state_.on_miss(kHash, kOwner, kStart);
  settle(Lsn{0x300});
  auto claims = install();
  ASSERT_TRUE(claims);
  Proof snapshot{Proof::Kind::kSnapshot, 0, 1, 1, Lsn{0x280}, {726, 726, {}}};
  EXPECT_NE(state_.on_fill(kHash, miss.lease, snapshot, kOwner, &*claims, kStart).judgement.verdict,
            FillVerdict::kLease)
      << "the installation does not end the lease";
}

TEST_F(StagedWriteThrough, EndsWithDelAndFlushall) {
  state_.stage(value(725, 7), kStart);
  state_.forget_key(kHash);
  stream(725, Lsn{0x200}, 7);
  state_.stage(value(725, 7), kStart);
  state_.forget_all();
  settle(Lsn{0x200});
  EXPECT_FALSE(install());
  EXPECT_EQ(ended(StagedEnd::kForgotten), 2u);
}

TEST_F(StagedWriteThrough, EndsWithFenceallAndAnotherTopology) {
  state_.stage(value(725, 7), kStart);
  state_.fence_all(0, 1, Lsn{0x100});
  EXPECT_EQ(state_.gauges().staged, 0u);
  state_.stage(value(725, 7), kStart);
  state_.set_topology(1, 2, false);
  EXPECT_EQ(state_.gauges().staged, 0u);
}

TEST_F(StagedWriteThrough, ALateOneFromBeforeAFenceallIsSuperseded) {
  stream(725, Lsn{0x200}, 7);
  state_.fence_all(0, 1, Lsn{0x300});
  EXPECT_EQ(state_.stage(value(725, 7), kStart), Answer::kSuperseded) << "what came between was never decoded";
}

TEST_F(StagedWriteThrough, IsNotParkedWithoutTheShard) {
  StagedValue elsewhere = value(725, 7);
  elsewhere.domain.shard = 3;
  EXPECT_EQ(state_.stage(std::move(elsewhere), kStart), Answer::kNotJoined);
}

TEST_F(StagedWriteThrough, OfAnotherOwnershipOfTheBucketIsNotInstalled) {
  state_.stage(value(725, 7), kStart);
  stream(725, Lsn{0x200}, 7);
  settle(Lsn{0x200});
  auto settled = state_.take_settled(0);
  ASSERT_TRUE(settled);
  EXPECT_FALSE(state_.on_install(*settled, BucketOwner{0, 2}, nullptr));
  EXPECT_FALSE(state_.on_install(*settled, std::nullopt, nullptr)) << "not this worker's key any more";
}

TEST_F(StagedWriteThrough, IsToldAtOnceWhenTheStreamIsPastItsCommitAndNamedNothing) {
  settle(Lsn{0x300});
  StagedValue late = value(725, 7);
  late.end_bound = Lsn{0x280};
  EXPECT_EQ(state_.stage(std::move(late), kStart), Answer::kNoStage);
}

}  // namespace
}  // namespace tidemark::cacheserver
