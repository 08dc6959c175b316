#include "shardrouter/rebalance/watchdog_rule.h"

#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

using namespace std::chrono_literals;
using enum WatchdogAction;

WatchedMove move_at(SourceStep source, TargetStep target, Duration silent) {
  return {.source = source, .target = target, .silent = silent};
}
WatchdogAction action_of(const WatchedMove& move, WatchdogLimits limits = {}) {
  return decide_on(move, limits).action;
}

TEST(WatchdogRule, AFenceThatNobodyHoldsIsGoneOnWithAtOnce) {
  EXPECT_EQ(action_of(move_at(SourceStep::kFenced, TargetStep::kCopied, 599ms)), kLeave);
  EXPECT_EQ(action_of(move_at(SourceStep::kFenced, TargetStep::kCopied, 600ms)), kGoOn);
  WatchedMove paused = move_at(SourceStep::kFenced, TargetStep::kCopied, 600ms);
  paused.wish = MoveWish::kPause;
  EXPECT_EQ(action_of(paused), kGoOn) << "writers wait, whatever was wished";
}

TEST(WatchdogRule, AnAbandonedCopyIsGivenUpOrGoneOnWithOrLeftAsToldButNeverSoon) {
  const WatchedMove silent = move_at(SourceStep::kReserved, TargetStep::kCopied, 60s);
  EXPECT_EQ(action_of(move_at(SourceStep::kReserved, TargetStep::kReserved, 59s)), kLeave);
  EXPECT_EQ(action_of(silent), kGiveUp);
  EXPECT_EQ(action_of(silent, {.abandoned = AbandonedPolicy::kGoOn}), kGoOn);
  EXPECT_EQ(action_of(silent, {.abandoned = AbandonedPolicy::kLeave}), kLeave);
  EXPECT_EQ(action_of(silent, {.abandoned_after = 61s}), kLeave);
}

TEST(WatchdogRule, APausedMoveIsLeftAlone) {
  WatchedMove paused = move_at(SourceStep::kReserved, TargetStep::kCopied, 24h);
  paused.wish = MoveWish::kPause;
  EXPECT_EQ(action_of(paused), kLeave);
}

TEST(WatchdogRule, AnAbortThatStoppedHalfWayIsEnded) {
  WatchedMove asked = move_at(SourceStep::kReserved, TargetStep::kCopied, 6s);
  asked.wish = MoveWish::kAbort;
  EXPECT_EQ(action_of(asked), kGoOn);
  EXPECT_EQ(action_of(move_at(SourceStep::kReserved, TargetStep::kAborting, 6s)), kGoOn);
  EXPECT_EQ(action_of(move_at(SourceStep::kReserved, TargetStep::kAborting, 5s)), kLeave);
  EXPECT_EQ(action_of(move_at(SourceStep::kAborted, TargetStep::kAborting, 6s)), kGoOn);
  EXPECT_EQ(action_of(move_at(SourceStep::kAborted, TargetStep::kAborted, 24h)), kLeave);
}

TEST(WatchdogRule, AfterTheHandOverTheRestIsDoneUnlessTheMoveIsHeld) {
  WatchedMove moved = move_at(SourceStep::kMoved, TargetStep::kOwned, 6s);
  EXPECT_EQ(action_of(moved), kGoOn);
  moved.is_held = true;
  moved.silent = 24h;
  EXPECT_EQ(action_of(moved), kLeave);
  EXPECT_EQ(action_of(move_at(SourceStep::kCleaning, TargetStep::kOwned, 6s)), kGoOn);
  EXPECT_EQ(action_of(move_at(SourceStep::kCleaning, TargetStep::kDone, 6s)), kGoOn);
  EXPECT_EQ(action_of(move_at(SourceStep::kDone, TargetStep::kDone, 24h)), kLeave);
}

TEST(WatchdogRule, AMoveThatWasTakenBackOrIsOnlyHalfKnownIsLeftAlone) {
  EXPECT_EQ(action_of(move_at(SourceStep::kUndone, TargetStep::kUndone, 24h)), kLeave);
  EXPECT_EQ(action_of(move_at(SourceStep::kNone, TargetStep::kOwned, 24h)), kLeave);
  EXPECT_EQ(action_of(move_at(SourceStep::kDone, TargetStep::kNone, 24h)), kLeave);
}

}  // namespace
}  // namespace tidemark::shardrouter
