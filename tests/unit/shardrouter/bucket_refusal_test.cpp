#include "shardrouter/routing/bucket_refusal.h"

#include <gtest/gtest.h>

#include "shardrouter/sql/sqlstate.h"

namespace tidemark::shardrouter {
namespace {

TEST(BucketRefusal, ReadsBackWhatTheGuardWrites) {
  EXPECT_EQ(BucketRefusal::parse("state=moved epoch=3 forward=1"), (BucketRefusal{BucketState::kMoved, 3, ShardId{1}}));
  EXPECT_EQ(BucketRefusal::parse("state=owned epoch=7 forward=-"),
            (BucketRefusal{BucketState::kOwned, 7, std::nullopt}));
  EXPECT_EQ(BucketRefusal::parse("state=absent epoch=0 forward=-"),
            (BucketRefusal{BucketState::kAbsent, 0, std::nullopt}));
}

TEST(BucketRefusal, EveryStateSurvivesTheRoundTrip) {
  for (const auto state : {BucketState::kOwned, BucketState::kFenced, BucketState::kMoved, BucketState::kImporting,
                           BucketState::kAborted, BucketState::kAbsent}) {
    const BucketRefusal refusal{state, 9, ShardId{2}};
    EXPECT_EQ(BucketRefusal::parse(refusal.to_string()), refusal) << refusal.to_string();
  }
}

TEST(BucketRefusal, RefusesAnyOtherText) {
  for (const char* text :
       {"", "state=moved", "state=moved epoch=3", "state=gone epoch=3 forward=1", "state=moved epoch=-3 forward=1",
        "state=moved epoch=4294967296 forward=1", "state=moved epoch=3 forward=65536", "state=moved epoch=3 forward=",
        "epoch=3 state=moved forward=1", "state=moved epoch=3 forward=1 ", "statemoved epoch=3 forward=1"})
    EXPECT_EQ(BucketRefusal::parse(text), std::nullopt) << text;
}

TEST(BucketRefusal, IsFoundInThePoolsError) {
  const Error error =
      error_of_sqlstate("SH001", "bucket 2 at epoch 1 is not owned here", "state=moved epoch=3 forward=1");
  EXPECT_EQ(error.code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refusal_of(error), (BucketRefusal{BucketState::kMoved, 3, ShardId{1}}));
  EXPECT_EQ(refusal_of(error.with_context("catalog")), (BucketRefusal{BucketState::kMoved, 3, ShardId{1}}));
}

TEST(BucketRefusal, IsNotFoundInOtherErrors) {
  EXPECT_EQ(refusal_of({ErrorCode::kFailedPrecondition, "no replica has replayed 0/5 yet"}), std::nullopt);
  EXPECT_EQ(refusal_of({ErrorCode::kInternal, "SH001 x: state=moved epoch=3 forward=1"}), std::nullopt);
  EXPECT_EQ(refusal_of({ErrorCode::kFailedPrecondition, "SH001 without its detail"}), std::nullopt);
}

}  // namespace
}  // namespace tidemark::shardrouter
