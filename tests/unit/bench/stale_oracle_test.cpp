#include "bench/macro/stale_oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kMs = 1000;
constexpr int64_t kEpoch = 1'000'000 * kMs;

uint64_t content_of(int64_t version) {
  return static_cast<uint64_t>(version) * 77;
}

RowCommit commit(int64_t version, int64_t at_ms) {
  return {"k", version, false, content_of(version), kEpoch + at_ms * kMs};
}
RowCommit deletion(int64_t at_ms) {
  return {"k", 0, true, 0, kEpoch + at_ms * kMs};
}

AnswerRecord answer(int64_t version, int64_t asked_ms, int32_t bound_ms, Origin origin = Origin::kNode) {
  AnswerRecord record;
  record.version = version;
  record.content = content_of(version);
  record.start_us = kEpoch + asked_ms * kMs;
  record.end_us = record.start_us + 5 * kMs;
  record.bound_ms = bound_ms;
  record.origin = origin;
  return record;
}

AnswerRecord absent(int64_t asked_ms, int32_t bound_ms) {
  AnswerRecord record = answer(0, asked_ms, bound_ms);
  record.kind = RecordKind::kAbsent;
  return record;
}

// v1 at 100 ms, v2 at 5,000, v3 at 10,000; each acknowledged 4 ms after its stamp.
StaleOracle three_versions() {
  StaleOracle oracle;
  for (const auto& [version, at_ms] : {std::pair{1, 100}, {2, 5'000}, {3, 10'000}}) {
    oracle.add(commit(version, at_ms));
    oracle.acknowledge("k", version, kEpoch + (at_ms + 4) * kMs);
  }
  return oracle;
}

Verdict verdict(const StaleOracle& oracle, const AnswerRecord& record) {
  return oracle.judge("k", record).verdict;
}

TEST(StaleOracle, AcceptsTheNewestVersion) {
  EXPECT_EQ(verdict(three_versions(), answer(3, 20'000, 0)), Verdict::kFresh);
}

TEST(StaleOracle, RefusesAVersionThatAnOlderCommitThanTheBoundHadReplaced) {
  const auto judgement = three_versions().judge("k", answer(1, 5'200, 100));
  EXPECT_EQ(judgement.verdict, Verdict::kStale);
  EXPECT_EQ(judgement.missing_version, 2);
  EXPECT_EQ(judgement.late_by_us, (5'200 - 100 - 5'004) * kMs);
}

TEST(StaleOracle, AcceptsAnOldVersionThatTheBoundAllows) {
  EXPECT_EQ(verdict(three_versions(), answer(1, 5'200, 200)), Verdict::kFresh);
}

TEST(StaleOracle, AVersionCountsFromItsAcknowledgementNotFromItsStamp) {
  const StaleOracle oracle = three_versions();
  const auto between = oracle.judge("k", answer(1, 5'003, 0, Origin::kPrimary));
  EXPECT_EQ(between.verdict, Verdict::kFresh);
  EXPECT_TRUE(between.is_stale_by_stamp);
  EXPECT_EQ(verdict(oracle, answer(1, 5'005, 0, Origin::kPrimary)), Verdict::kStale);
}

TEST(StaleOracle, ACommitNobodyHeardOfCountsASecondAfterItsStamp) {
  StaleOracle oracle;
  oracle.add(commit(1, 0));
  oracle.add(commit(2, 5'000));
  EXPECT_EQ(verdict(oracle, answer(1, 6'000, 0)), Verdict::kFresh);
  EXPECT_EQ(verdict(oracle, answer(1, 6'001, 0)), Verdict::kStale);
}

TEST(StaleOracle, ACommitNobodyHeardOfCountsWhenTheNextOneOfItsRowIsStamped) {
  StaleOracle oracle;
  oracle.add(commit(1, 0));
  oracle.add(commit(2, 5'000));
  oracle.add(commit(3, 5'010));
  EXPECT_EQ(verdict(oracle, answer(1, 5'020, 0)), Verdict::kStale);
}

TEST(StaleOracle, HoldsAnAnswerToTheVersionsBeforeItsRequestOnly) {
  EXPECT_EQ(verdict(three_versions(), answer(2, 9'999, 0)), Verdict::kFresh);
}

TEST(StaleOracle, RefusesAnAnswerWithoutBoundUnlessThePrimaryGaveIt) {
  const StaleOracle oracle = three_versions();
  EXPECT_EQ(verdict(oracle, answer(3, 20'000, kBoundMissing)), Verdict::kBoundMissing);
  EXPECT_EQ(verdict(oracle, answer(3, 20'000, kBoundMissing, Origin::kReplica)), Verdict::kBoundMissing);
  EXPECT_EQ(verdict(oracle, answer(3, 20'000, kBoundMissing, Origin::kPrimary)), Verdict::kFresh);
  EXPECT_EQ(verdict(oracle, answer(2, 20'000, kBoundMissing, Origin::kPrimary)), Verdict::kStale);
}

TEST(StaleOracle, RefusesAVersionThatNeverCommitted) {
  EXPECT_EQ(verdict(three_versions(), answer(4, 20'000, 60'000)), Verdict::kPhantom);
}

TEST(StaleOracle, RefusesAVersionThatCommittedAfterTheAnswer) {
  EXPECT_EQ(verdict(three_versions(), answer(3, 9'000, 0)), Verdict::kFromTheFuture);
}

TEST(StaleOracle, RefusesARowWhoseColumnsAreNotThoseOfItsVersion) {
  AnswerRecord record = answer(3, 20'000, 0);
  record.content ^= 1;
  EXPECT_EQ(verdict(three_versions(), record), Verdict::kWrongContent);
}

TEST(StaleOracle, AcceptsAbsenceBeforeTheFirstInsertAndWithinTheBoundAfterIt) {
  const StaleOracle oracle = three_versions();
  EXPECT_EQ(verdict(oracle, absent(50, 0)), Verdict::kFresh);
  EXPECT_EQ(verdict(oracle, absent(150, 100)), Verdict::kFresh);
  EXPECT_EQ(verdict(oracle, absent(150, 10)), Verdict::kStale);
}

TEST(StaleOracle, AcceptsAbsenceOfARowThatNeverWas) {
  EXPECT_EQ(StaleOracle().judge("none", absent(150, 0)).verdict, Verdict::kFresh);
}

TEST(StaleOracle, RefusesARowThatWasDeletedBeforeTheBound) {
  StaleOracle oracle = three_versions();
  oracle.add(deletion(15'000));
  EXPECT_EQ(verdict(oracle, absent(20'000, 0)), Verdict::kFresh);
  EXPECT_EQ(verdict(oracle, answer(3, 20'000, 0)), Verdict::kStale);
  EXPECT_EQ(verdict(oracle, answer(3, 20'000, 6'000)), Verdict::kFresh);
}

TEST(StaleOracle, TellsARowInsertedAgainFromItsFormerLife) {
  StaleOracle oracle;
  oracle.add(commit(1, 0));
  oracle.add(deletion(5'000));
  oracle.add(commit(1, 10'000));
  EXPECT_EQ(verdict(oracle, answer(1, 20'000, 0)), Verdict::kFresh);
  EXPECT_EQ(verdict(oracle, answer(1, 9'000, 0)), Verdict::kStale) << "its first life had ended";
  EXPECT_EQ(verdict(oracle, absent(20'000, 0)), Verdict::kStale);
}

TEST(StaleOracle, KnowsTheFormerLifeOfARowByItsColumns) {
  StaleOracle oracle;
  RowCommit second_life = commit(1, 10'000);
  second_life.content = 4;
  oracle.add(commit(1, 0));
  oracle.add(deletion(5'000));
  oracle.add(second_life);
  EXPECT_EQ(verdict(oracle, answer(1, 11'500, 7'000)), Verdict::kFresh) << "the bound reaches back into the first life";
  EXPECT_EQ(verdict(oracle, answer(1, 11'500, 5'000)), Verdict::kStale);
  AnswerRecord of_neither = answer(1, 11'500, 7'000);
  of_neither.content = 5;
  EXPECT_EQ(verdict(oracle, of_neither), Verdict::kWrongContent);
}

TEST(StaleOracle, CallsAnAcknowledgedWriteThatNeverCommittedLost) {
  StaleOracle oracle = three_versions();
  EXPECT_EQ(oracle.lost(), 0u);
  oracle.acknowledge("k", 9, kEpoch);
  oracle.acknowledge("other", 1, kEpoch);
  EXPECT_EQ(oracle.lost(), 2u);
  EXPECT_EQ(oracle.lost_examples(1).size(), 1u);
}

TEST(StaleOracle, AcceptsAnAcknowledgementThatIsToldBeforeItsCommit) {
  StaleOracle oracle;
  oracle.acknowledge("k", 1, kEpoch + 7 * kMs);
  oracle.add(commit(1, 3));
  EXPECT_EQ(oracle.lost(), 0u);
  EXPECT_EQ(verdict(oracle, absent(8, 0)), Verdict::kStale) << "it counts from its acknowledgement";
}

TEST(OracleTally, CountsByVerdictAndKeepsExamplesOfWhatIsNotFresh) {
  const StaleOracle oracle = three_versions();
  OracleTally tally;
  for (const AnswerRecord& record : {answer(3, 20'000, 0), answer(2, 20'000, 0), answer(4, 20'000, 0)}) {
    tally.add("k", record, oracle.judge("k", record));
  }
  EXPECT_EQ(tally.checked, 3u);
  EXPECT_EQ(tally.count(Verdict::kFresh), 1u);
  EXPECT_EQ(tally.count(Verdict::kStale), 1u);
  EXPECT_EQ(tally.count(Verdict::kPhantom), 1u);
  EXPECT_THAT(tally.examples,
              ElementsAre(HasSubstr("stale: k version 2 from node"), HasSubstr("phantom: k version 4")));
}

}  // namespace
}  // namespace tidemark::bench
