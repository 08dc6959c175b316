#include "client/strategy/session_demand.h"

#include <gtest/gtest.h>

namespace tidemark::client {
namespace {

using Source = AnswerClaims::Source;
using V = SessionVerdict;

SessionDemand demand(uint64_t own, uint64_t read) {
  return {SessionDemand::Kind::kPosition, {.shard = 1, .db_epoch = 3, .own = Lsn{own}, .read = Lsn{read}}, 10};
}
AnswerClaims answer(Source source, uint64_t contains, uint64_t sent = 0, uint64_t complete_at = 0, DbEpoch epoch = 3) {
  return {source, 1, epoch, Lsn{contains}, Lsn{9999}, sent, complete_at};
}

TEST(SessionDemand, NodesAndReplicasMustContainBothPositions) {
  for (Source source : {Source::kNode, Source::kReplica}) {
    EXPECT_EQ(judge_for_session(demand(500, 400), answer(source, 500)), V::kYes);
    EXPECT_EQ(judge_for_session(demand(500, 400), answer(source, 499, 11, 11)), V::kBehind);
    EXPECT_EQ(judge_for_session(demand(400, 500), answer(source, 499)), V::kBehind);
    EXPECT_EQ(judge_for_session(demand(500, 400), answer(source, 900, 0, 0, 2)), V::kOldEpoch);
    EXPECT_EQ(judge_for_session(demand(500, 400), answer(source, 900, 0, 0, 4)), V::kBehind);
  }
}

TEST(SessionDemand, ThePrimaryShowsOwnWritesToWhoAsksAfterThem) {
  EXPECT_EQ(judge_for_session(demand(500, 0), answer(Source::kPrimary, 0, 10)), V::kYes);
  EXPECT_EQ(judge_for_session(demand(500, 0), answer(Source::kPrimary, 0, 9)), V::kBehind);
  EXPECT_EQ(judge_for_session(demand(500, 0), answer(Source::kPrimary, 500, 9)), V::kYes);
}

TEST(SessionDemand, ThePrimaryMustProveWhatWasReadElsewhere) {
  EXPECT_EQ(judge_for_session(demand(0, 500), answer(Source::kPrimary, 499, 10)), V::kUnproven);
  EXPECT_EQ(judge_for_session(demand(900, 500), answer(Source::kPrimary, 499, 10)), V::kUnproven)
      << "a greater own position says nothing of a commit below it that hangs";
  EXPECT_EQ(judge_for_session(demand(0, 500), answer(Source::kPrimary, 500, 9)), V::kYes);
  EXPECT_EQ(judge_for_session(demand(0, 500), answer(Source::kPrimary, 0, 12, 10)), V::kYes);
  EXPECT_EQ(judge_for_session(demand(0, 500), answer(Source::kPrimary, 0, 12, 9)), V::kUnproven)
      << "complete, but of a moment before the session read";
}

TEST(SessionDemand, ThePrimaryOfANewEpochDecidesAndOfAnOldOneNothing) {
  EXPECT_EQ(judge_for_session(demand(500, 500), answer(Source::kPrimary, 0, 10, 0, 4)), V::kYes);
  EXPECT_EQ(judge_for_session(demand(500, 500), answer(Source::kPrimary, 0, 9, 0, 4)), V::kBehind);
  EXPECT_EQ(judge_for_session(demand(1, 1), answer(Source::kPrimary, 900, 10, 10, 2)), V::kOldEpoch);
}

TEST(SessionDemand, NothingIsTakenThatCannotBeAbsorbed) {
  AnswerClaims unbounded = answer(Source::kReplica, 900);
  unbounded.hi.reset();
  EXPECT_EQ(judge_for_session({}, unbounded), V::kBehind);
  EXPECT_EQ(judge_for_session({}, answer(Source::kNode, 900, 0, 0, 0)), V::kBehind);
  EXPECT_EQ(judge_for_session({}, answer(Source::kNode, 0)), V::kYes);
}

TEST(SessionDemand, WhoForgotAWriteAsksThePrimaryOfShardsThatItDoesNotKnow) {
  SessionToken token;
  for (ShardId shard = 1; shard <= 4; ++shard) token.absorb_write(shard, 3, Lsn{500});
  EXPECT_EQ(demand_of(token, 4, 10).kind, SessionDemand::Kind::kPosition);
  EXPECT_EQ(demand_of(token, 4, 10).position.own, Lsn{500});
  const SessionDemand forgotten = demand_of(token, 1, 10);
  EXPECT_EQ(forgotten.kind, SessionDemand::Kind::kPrimary);
  EXPECT_EQ(judge_for_session(forgotten, answer(Source::kNode, 900)), V::kBehind);
  EXPECT_EQ(judge_for_session(forgotten, answer(Source::kReplica, 900)), V::kBehind);
  EXPECT_EQ(judge_for_session(forgotten, answer(Source::kPrimary, 0, 9)), V::kBehind);
  EXPECT_EQ(judge_for_session(forgotten, answer(Source::kPrimary, 0, 10)), V::kYes);
  EXPECT_EQ(demand_of(SessionToken(), 1, 10).kind, SessionDemand::Kind::kAny);
}

}  // namespace
}  // namespace tidemark::client
