#include "cacheserver/freshness/fill_rule.h"

#include <gtest/gtest.h>

namespace tidemark::cacheserver {
namespace {

constexpr uint64_t kHash = 7;
constexpr Instant kStart{std::chrono::seconds(1000)};

class FillRule : public testing::Test {
 protected:
  FillJudgement judge(const char* proof_text, std::optional<Lsn> existing_lo = std::nullopt, bool lease = true) {
    Proof proof = *Proof::parse(proof_text);
    Lsn lo = proof.kind == Proof::Kind::kReplica ? proof.lsn : snapshot_lo_;
    return judge_fill({lease, proof, {0, 4}, 2, tombstones_, kHash, floor_, lo, existing_lo});
  }
  void invalidated(Lsn end_lsn, Xid xid, CommitDomain domain = {0, 2, 4}) {
    tombstones_.add(kHash, domain, {end_lsn, xid}, false, {}, kStart);
  }
  Tombstones tombstones_{{}};
  Floor floor_{Lsn{0x100}, PgSnapshot{700, 705, {702}}};
  Lsn snapshot_lo_{0x100};
};

constexpr FillJudgement kYes{FillVerdict::kAccepted, {}};

TEST_F(FillRule, AcceptsAProofThatCoversTombstonesAndFloor) {
  invalidated(Lsn{0x500}, 725);
  EXPECT_EQ(judge("R:0:2:4:0/500"), kYes) << "both ends are ends of records: equal is enough";
  EXPECT_EQ(judge("S:0:2:4:726:726::0/600"), kYes);
}

TEST_F(FillRule, AsksForTheLeaseFirst) {
  EXPECT_EQ(judge("R:9:9:9:0/1", std::nullopt, false).verdict, FillVerdict::kLease);
}

TEST_F(FillRule, AsksForTheEpochsBeforeAnyPositionIsCompared) {
  invalidated(Lsn{0x500}, 725);
  EXPECT_EQ(judge("R:1:2:4:0/1").verdict, FillVerdict::kEpoch);
  EXPECT_EQ(judge("R:0:1:4:0/900").verdict, FillVerdict::kEpoch);
  EXPECT_EQ(judge("R:0:3:4:0/900").verdict, FillVerdict::kEpoch);
  EXPECT_EQ(judge("R:0:2:5:0/900").verdict, FillVerdict::kEpoch);
}

TEST_F(FillRule, NamesTheGreatestTombstoneThatIsNotCovered) {
  invalidated(Lsn{0x500}, 725);
  invalidated(Lsn{0x600}, 724);
  EXPECT_EQ(judge("R:0:2:4:0/4FF"), (FillJudgement{FillVerdict::kOlder, Lsn{0x600}}));
  EXPECT_EQ(judge("R:0:2:4:0/5FF"), (FillJudgement{FillVerdict::kOlder, Lsn{0x600}}));
  EXPECT_EQ(judge("S:0:2:4:725:726:725:0/900"), (FillJudgement{FillVerdict::kOlder, Lsn{0x500}}));
  EXPECT_EQ(judge("S:0:2:4:725:725::0/900"), (FillJudgement{FillVerdict::kOlder, Lsn{0x500}}))
      << "beyond xmax is not seen either";
}

TEST_F(FillRule, WantsXminBeyondAnOverflowedTombstonesGreatestXid) {
  for (uint64_t i = 0; i < 6; ++i) invalidated(Lsn{0x500 + i}, 725 + i);  // overflowed: 725 and 726
  EXPECT_EQ(judge("S:0:2:4:725:731:725:0/900"), (FillJudgement{FillVerdict::kOlder, Lsn{0x501}}))
      << "726 is seen, 725 is not";
  EXPECT_EQ(judge("S:0:2:4:726:731:726:0/900").verdict, FillVerdict::kOlder);
  EXPECT_EQ(judge("S:0:2:4:731:731::0/900"), kYes);
  EXPECT_EQ(judge("R:0:2:4:0/505"), kYes);
}

TEST_F(FillRule, TakesAnOverflowedTombstoneAsCoveredOnceItHasSettledForTheProof) {
  for (uint64_t i = 0; i < 6; ++i) invalidated(Lsn{0x500 + i}, 725 + i);
  const char* beside_a_long_transaction = "S:0:2:4:720:731:720:0/900";
  EXPECT_EQ(judge(beside_a_long_transaction).verdict, FillVerdict::kOlder);
  snapshot_lo_ = Lsn{0x501};
  EXPECT_EQ(judge(beside_a_long_transaction), kYes);
}

TEST_F(FillRule, ComparesTombstonesOfTheSameLogWhateverTheBucketsEpoch) {
  for (const BucketEpoch epoch : {0u, 3u, 4u}) invalidated(Lsn{0x500 + epoch}, 725 + epoch, {0, 2, epoch});
  EXPECT_EQ(judge("R:0:2:4:0/503"), (FillJudgement{FillVerdict::kOlder, Lsn{0x504}}));
  EXPECT_EQ(judge("R:0:2:4:0/504"), kYes);
  EXPECT_EQ(judge("S:0:2:4:725:731:725:0/900").verdict, FillVerdict::kOlder) << "the one of epoch 0 is not seen";
  EXPECT_EQ(judge("S:0:2:4:731:731::0/900"), kYes);
}

TEST_F(FillRule, AHandOverCoversTheTombstonesOfEarlierOwnersOnly) {
  invalidated(Lsn{0xFFFFFF}, 9'999, {1, 7, 3});
  EXPECT_EQ(judge("R:0:2:4:0/100"), kYes) << "shard 1 owned the bucket before";
  invalidated(Lsn{0x1}, 1, {1, 7, 4});
  EXPECT_EQ(judge("R:0:2:4:0/FFFFFF"), (FillJudgement{FillVerdict::kOlder, Lsn{}})) << "the same epoch";
}

TEST_F(FillRule, LetsNoProofCoverATombstoneOfAShardThatMayOwnTheBucketLater) {
  invalidated(Lsn{0x1}, 1, {1, 7, 0});
  EXPECT_EQ(judge("R:0:2:4:0/FFFFFF"), (FillJudgement{FillVerdict::kOlder, Lsn{}})) << "this node's map is older";
  EXPECT_EQ(judge("S:0:2:4:900:900::0/900"), (FillJudgement{FillVerdict::kOlder, Lsn{}}));
}

TEST_F(FillRule, ForgetsTombstonesOfTheDatabaseBeforeTheFenceall) {
  invalidated(Lsn{0xFFFFFF}, 9'999, {0, 1, 4});
  EXPECT_EQ(judge("R:0:2:4:0/100"), kYes);
}

TEST_F(FillRule, AsksForTheFloorWithoutAnyTombstone) {
  EXPECT_EQ(judge("R:0:2:4:0/FF"), (FillJudgement{FillVerdict::kFloor, Lsn{0x100}}));
  EXPECT_EQ(judge("S:0:2:4:700:704:700:0/900").verdict, FillVerdict::kFloor) << "xmax below the floor's";
  EXPECT_EQ(judge("S:0:2:4:703:705:703:0/900").verdict, FillVerdict::kFloor) << "703 was finished for the floor";
  EXPECT_EQ(judge("S:0:2:4:702:705:702:0/900"), kYes);
}

TEST_F(FillRule, RefusesSnapshotsWhileTheFloorHasNone) {
  floor_.snapshot.reset();
  EXPECT_EQ(judge("S:0:2:4:900:900::0/900").verdict, FillVerdict::kFloor);
  EXPECT_EQ(judge("R:0:2:4:0/100"), kYes);
}

TEST_F(FillRule, KeepsAnEntryThatContainsMore) {
  EXPECT_EQ(judge("R:0:2:4:0/200", Lsn{0x201}).verdict, FillVerdict::kKept);
  EXPECT_EQ(judge("R:0:2:4:0/200", Lsn{0x200}), kYes);
  EXPECT_EQ(judge("R:0:2:4:0/FF", Lsn{0x201}).verdict, FillVerdict::kFloor) << "the last rule is asked last";
}

}  // namespace
}  // namespace tidemark::cacheserver
