// The decisions of a move: the way through, every refusal, and every crash in a made-up world of two shards.
#include "shardrouter/rebalance/move_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace tidemark::shardrouter {
namespace {

using ::testing::HasSubstr;
using enum MoveAction;

// One bucket on two shards, by the rules of move.sql; and what the driving process knows, which a crash forgets.
struct World {
  MoveView view;  // the durable half is the shards' truth
  std::string source_bucket = "owned", target_bucket = "moved";
  int source_epoch = 1, target_epoch = 0;
  bool has_slot = false, has_reverse = false, has_other = false;  // other: publications, origins
  bool has_rows_at_target = false, has_rows_at_source = true;
  bool is_map_at_target = false;
  int map_epoch = 1;
  bool is_comparison_equal = true;
  int fences_too_slow = 0;  // so many fences run into their deadline
  std::vector<MoveAction> done;
  // What is on either side's disk: the last steps are not waited for and may be forgotten.
  struct Disk {
    std::string bucket;
    int epoch = 0, attempt = 1;
    SourceStep source_step = SourceStep::kNone;
    TargetStep target_step = TargetStep::kNone;
  } source_disk, target_disk;

  void write_source() { source_disk = {source_bucket, source_epoch, view.source_attempt, view.source, {}}; }
  void write_target() { target_disk = {target_bucket, target_epoch, view.target_attempt, {}, view.target}; }
  void forget_at_source() {
    source_bucket = source_disk.bucket;
    source_epoch = source_disk.epoch;
    view.source_attempt = source_disk.attempt;
    view.source = source_disk.source_step;
  }
  void forget_at_target() {
    target_bucket = target_disk.bucket;
    target_epoch = target_disk.epoch;
    view.target_attempt = target_disk.attempt;
    view.target = target_disk.target_step;
  }

  MoveView look() const {
    MoveView seen = view;
    seen.has_forward_slot = has_slot;
    seen.has_reverse_slot = has_reverse;
    seen.has_artifacts = has_slot || has_reverse || has_other;
    seen.has_target_rows = has_rows_at_target;
    seen.is_stream_continuous = has_slot;
    return seen;
  }
  void crash() {
    const MoveView old = view;
    view = {};
    view.source = old.source;
    view.target = old.target;
    view.wish = old.wish;
    view.source_attempt = old.source_attempt;
    view.target_attempt = old.target_attempt;
    view.is_held = old.is_held;
    view.second_check = old.second_check;
    view.has_source_timeline_changed = old.has_source_timeline_changed;
    view.has_target_timeline_changed = old.has_target_timeline_changed;
  }
  void perform(MoveAction action) {
    done.push_back(action);
    switch (action) {
      case kReserveSource:
        view.source = SourceStep::kReserved;
        break;
      case kReserveTarget:
        view.target = TargetStep::kReserved;
        target_bucket = "importing";
        target_epoch = source_epoch;
        break;
      case kCopy:
        EXPECT_FALSE(has_rows_at_target) << "a copy onto rows";
        has_slot = has_other = has_rows_at_target = true;
        view.target = TargetStep::kCopied;
        break;
      case kStartStream:
        view.is_streaming = true;
        break;
      case kArmReverse:
        has_reverse = true;
        break;
      case kCatchUp:
        view.is_caught_up = true;
        break;
      case kVerify:
        view.verified = is_comparison_equal;
        view.is_caught_up = false;
        break;
      case kFence:
        EXPECT_EQ(view.verified, true) << "a fence without a comparison";
        write_source();  // its rehearsal
        source_bucket = "fenced";
        ++source_epoch;
        view.source = SourceStep::kFenced;
        view.is_caught_up = view.is_marker_applied = view.is_fence_durable = view.is_fence_deadline_over = false;
        break;
      case kAwaitMarker:
        if (fences_too_slow > 0) {
          --fences_too_slow;
          view.is_fence_deadline_over = true;
        } else {
          view.is_marker_applied = view.is_fence_durable = true;
          write_source();
        }
        break;
      case kFlip:
        EXPECT_EQ(view.source_attempt, view.target_attempt);
        target_bucket = "owned";
        target_epoch += 2;
        view.target = TargetStep::kOwned;
        view.can_check_again = true;
        break;
      case kNextAttempt:
        target_epoch += 3;
        ++view.target_attempt;
        break;
      case kUnfence:
        source_epoch += source_bucket == "fenced" ? 2 : 3;
        source_bucket = "owned";
        ++view.source_attempt;
        view.source = SourceStep::kReserved;
        view.is_source_map_published = false;
        break;
      case kPublishSource:
        map_epoch = source_epoch;
        view.is_source_map_published = true;
        break;
      case kAwaitFlipDurable:
        view.is_flip_durable = true;
        write_target();
        break;
      case kMarkMoved:
        EXPECT_TRUE(view.is_flip_durable);
        EXPECT_EQ(target_disk.bucket, "owned") << "the source let go of what the target may forget";
        source_bucket = "moved";
        ++source_epoch;
        view.source = SourceStep::kMoved;
        break;
      case kPublishMap:
        is_map_at_target = view.is_map_published = true;
        map_epoch = target_epoch;
        break;
      case kDropForward:
        has_slot = false;
        break;
      case kSecondCheck:
        view.second_check = true;
        break;
      case kStartCleaning:
        view.source = SourceStep::kCleaning;
        break;
      case kClean:
        EXPECT_EQ(source_bucket, "moved") << "live rows were cleaned";
        has_rows_at_source = false;
        view.is_source_clean = true;
        break;
      case kDropArtifacts:
        has_slot = has_reverse = has_other = false;
        break;
      case kFinishTarget:
        view.target = TargetStep::kDone;
        break;
      case kFinishSource:
        view.source = SourceStep::kDone;
        break;
      case kAbortTarget:
        if (view.target == TargetStep::kNone) {
          view.target = TargetStep::kAborted;
        } else {
          view.target = TargetStep::kAborting;
          target_bucket = "aborted";
        }
        break;
      case kAwaitAbortDurable:
        view.is_abort_durable = true;
        break;
      case kAbortSource:
        if (source_bucket == "fenced") source_epoch += 2;
        source_bucket = "owned";
        view.source = SourceStep::kAborted;
        view.is_source_map_published = false;
        break;
      case kWipeTarget:
        EXPECT_EQ(target_bucket, "aborted") << "live rows were wiped";
        has_rows_at_target = false;
        break;
      case kFinishAbort:
        view.target = TargetStep::kAborted;
        break;
      case kPause:
      case kHold:
      case kFinished:
      case kAborted:
      case kRefuse:
        break;
    }
    const bool is_waited_for = action != kFence && action != kUnfence && action != kNextAttempt && action != kFlip &&
                               action != kAwaitMarker && action != kAwaitFlipDurable;
    if (is_waited_for) write_source();
    if (is_waited_for) write_target();
    EXPECT_FALSE(source_bucket == "owned" && target_bucket == "owned") << "two owners after " << to_string(action);
    EXPECT_LE(done.size(), 500u) << "it turns in circles";
  }
};

bool is_end(MoveAction action) {
  return action == kFinished || action == kAborted || action == kRefuse || action == kHold || action == kPause;
}

// Runs until the end; before step `crash_before` the process dies.
MoveDecision run(World& world, int crash_before = -1, const std::function<void(World&)>& at_crash = {}) {
  for (int step = 0; step < 500; ++step) {
    if (step == crash_before) {
      world.crash();
      if (at_crash) at_crash(world);
    }
    const MoveDecision decision = next_move_action(world.look());
    if (is_end(decision.action)) return decision;
    world.perform(decision.action);
  }
  return {kRefuse, "no end"};
}

void expect_moved(const World& world) {
  EXPECT_EQ(world.source_bucket, "moved");
  EXPECT_EQ(world.target_bucket, "owned");
  EXPECT_EQ(world.source_epoch, world.target_epoch);
  EXPECT_TRUE(world.has_rows_at_target);
  EXPECT_FALSE(world.has_rows_at_source);
  EXPECT_TRUE(world.is_map_at_target);
  EXPECT_EQ(world.map_epoch, world.target_epoch);
  EXPECT_FALSE(world.has_slot || world.has_reverse || world.has_other);
}
void expect_stayed(const World& world) {
  EXPECT_EQ(world.source_bucket, "owned");
  EXPECT_EQ(world.map_epoch, world.source_epoch);
  EXPECT_NE(world.target_bucket, "owned");
  EXPECT_FALSE(world.has_rows_at_target);
  EXPECT_TRUE(world.has_rows_at_source);
  EXPECT_FALSE(world.has_slot || world.has_reverse || world.has_other);
}

int steps_of_a_whole_move() {
  World world;
  run(world);
  return static_cast<int>(world.done.size());
}

TEST(MoveMachine, GoesFromReservationToTheEndInThisOrder) {
  World world;
  EXPECT_EQ(run(world).action, kFinished);
  expect_moved(world);
  EXPECT_EQ(world.done,
            (std::vector{kReserveSource, kReserveTarget, kCopy,        kStartStream, kArmReverse,    kCatchUp,
                         kVerify,        kCatchUp,       kFence,       kAwaitMarker, kFlip,          kAwaitFlipDurable,
                         kMarkMoved,     kPublishMap,    kSecondCheck, kDropForward, kStartCleaning, kClean,
                         kDropArtifacts, kFinishTarget,  kFinishSource}));
}

TEST(MoveMachine, EndsWellWhereverTheProcessDies) {
  for (int step = 0; step <= steps_of_a_whole_move(); ++step) {
    SCOPED_TRACE(step);
    World world;
    EXPECT_EQ(run(world, step).action, kFinished);
    expect_moved(world);
  }
}

TEST(MoveMachine, EndsWellWhereverTwoProcessesDie) {
  for (int first = 0; first <= steps_of_a_whole_move(); ++first) {
    for (int second = 0; second <= steps_of_a_whole_move() + 8; ++second) {
      SCOPED_TRACE(::testing::Message() << first << " and " << second);
      World world;
      int step = 0;
      MoveDecision decision;
      while (step < 500 && !is_end((decision = next_move_action(world.look())).action)) {
        if (step == first || step == first + second) world.crash();
        world.perform(next_move_action(world.look()).action);
        ++step;
      }
      EXPECT_EQ(decision.action, kFinished);
      expect_moved(world);
    }
  }
}

TEST(MoveMachine, AnAbortAtAnyTimeLeavesExactlyOneOwner) {
  for (int step = 0; step <= steps_of_a_whole_move(); ++step) {
    SCOPED_TRACE(step);
    World world;
    const auto decision = run(world, step, [](World& w) {
      if (w.view.source != SourceStep::kNone) w.view.wish = MoveWish::kAbort;
    });
    if (decision.action == kAborted)
      expect_stayed(world);
    else
      expect_moved(world);  // handed over already, or nothing was there to abort
  }
}

TEST(MoveMachine, AFailOverOfEitherSideBeforeTheHandOverEndsTheMove) {
  for (const bool is_source : {true, false}) {
    for (int step = 1; step <= steps_of_a_whole_move(); ++step) {
      SCOPED_TRACE(::testing::Message() << (is_source ? "source " : "target ") << step);
      World world;
      bool was_before = false;
      const auto decision = run(world, step, [&](World& w) {
        was_before = w.view.target != TargetStep::kOwned && w.view.target != TargetStep::kDone;
        (is_source ? w.view.has_source_timeline_changed : w.view.has_target_timeline_changed) = true;
      });
      if (was_before) {
        EXPECT_EQ(decision.action, kAborted);
        expect_stayed(world);
      } else {
        EXPECT_EQ(decision.action, kFinished);
        expect_moved(world);
      }
    }
  }
}

TEST(MoveMachine, ALostSlotBeforeTheHandOverEndsTheMove) {
  for (int step = 3; step <= 10; ++step) {
    SCOPED_TRACE(step);
    World world;
    EXPECT_EQ(run(world, step, [](World& w) { w.has_slot = false; }).action, kAborted);
    expect_stayed(world);
  }
}

TEST(MoveMachine, AFenceThatIsTooSlowIsTakenBackAndTriedAgain) {
  World world;
  world.fences_too_slow = 3;
  EXPECT_EQ(run(world).action, kFinished);
  expect_moved(world);
  EXPECT_EQ(std::ranges::count(world.done, kFence), 4);
  EXPECT_EQ(std::ranges::count(world.done, kUnfence), 3);
  EXPECT_EQ(world.target_epoch, 12);  // three retreats of 3, one flip of 2, from 1
}

TEST(MoveMachine, ACrashWhileAnAttemptIsTakenBackIsHarmless) {
  for (int step = 0; step < 40; ++step) {
    SCOPED_TRACE(step);
    World world;
    world.fences_too_slow = 2;
    EXPECT_EQ(run(world, step).action, kFinished);
    expect_moved(world);
  }
}

TEST(MoveMachine, AServerThatForgetsInACrashWhatWasNotWaitedForIsCaughtUpWith) {
  for (const auto& [forgets_source, forgets_target] : {std::pair{true, false}, {false, true}, {true, true}}) {
    for (int step = 1; step < 40; ++step) {
      SCOPED_TRACE(::testing::Message() << "step " << step << (forgets_source ? ", the source" : "")
                                        << (forgets_target ? ", the target" : ""));
      World world;
      world.fences_too_slow = 3;
      const auto decision = run(world, step, [&](World& w) {
        if (forgets_source) w.forget_at_source();
        if (forgets_target) w.forget_at_target();
      });
      EXPECT_EQ(decision.action, kFinished) << decision.reason;
      expect_moved(world);
    }
  }
}

TEST(MoveMachine, AProcessThatFindsAFenceItDidNotSetTakesItBack) {
  MoveView view;
  view.source = SourceStep::kFenced;
  view.target = TargetStep::kCopied;
  EXPECT_EQ(next_move_action(view).action, kNextAttempt);
  view.target_attempt = 2;
  EXPECT_EQ(next_move_action(view).action, kUnfence);
}

TEST(MoveMachine, NoFenceIsSetBeforeBothSidesCountTheSameAttempt) {
  MoveView view;
  view.source = SourceStep::kReserved;
  view.target = TargetStep::kCopied;
  view.is_stream_continuous = view.is_streaming = view.has_reverse_slot = view.is_caught_up = true;
  view.is_source_map_published = true;
  view.verified = true;
  view.source_attempt = 3;
  view.target_attempt = 2;
  EXPECT_EQ(next_move_action(view).action, kNextAttempt);
  view.target_attempt = 4;
  EXPECT_EQ(next_move_action(view).action, kUnfence);
  view.target_attempt = 3;
  EXPECT_EQ(next_move_action(view).action, kFence);
}

TEST(MoveMachine, AFenceOfAnAttemptThatTheTargetHasForgottenIsTakenBack) {
  MoveView view;
  view.source = SourceStep::kFenced;
  view.target = TargetStep::kCopied;
  view.is_stream_continuous = view.is_streaming = view.is_marker_applied = view.is_fence_durable = true;
  view.source_attempt = 3;
  view.target_attempt = 2;
  EXPECT_EQ(next_move_action(view).action, kNextAttempt);
}

TEST(MoveMachine, FlipsOnlyWhenTheMarkerIsAppliedAndTheFenceDurable) {
  MoveView view;
  view.source = SourceStep::kFenced;
  view.target = TargetStep::kCopied;
  view.is_streaming = true;
  EXPECT_EQ(next_move_action(view).action, kAwaitMarker);
  view.is_marker_applied = true;
  EXPECT_EQ(next_move_action(view).action, kAwaitMarker);
  view.is_fence_durable = true;
  EXPECT_EQ(next_move_action(view).action, kFlip);
  view.is_fence_deadline_over = true;
  EXPECT_EQ(next_move_action(view).action, kNextAttempt);
}

TEST(MoveMachine, TheSourceLetsGoOnlyWhenTheFlipIsDurable) {
  MoveView view;
  view.source = SourceStep::kFenced;
  view.target = TargetStep::kOwned;
  EXPECT_EQ(next_move_action(view).action, kAwaitFlipDurable);
  view.is_flip_durable = true;
  EXPECT_EQ(next_move_action(view).action, kMarkMoved);
}

TEST(MoveMachine, TheSourceTakesBackOnlyWhenTheTargetsAbortIsDurable) {
  MoveView view;
  view.source = SourceStep::kFenced;
  view.target = TargetStep::kAborting;
  EXPECT_EQ(next_move_action(view).action, kAwaitAbortDurable);
  view.is_abort_durable = true;
  EXPECT_EQ(next_move_action(view).action, kAbortSource);
}

TEST(MoveMachine, ADifferenceBeforeTheFenceAborts) {
  World world;
  world.is_comparison_equal = false;
  EXPECT_EQ(run(world).action, kAborted);
  expect_stayed(world);
  EXPECT_EQ(std::ranges::count(world.done, kFence), 0);
}

TEST(MoveMachine, ADifferenceAtTheFenceForbidsTheCleanUp) {
  MoveView view;
  view.source = SourceStep::kMoved;
  view.target = TargetStep::kOwned;
  view.is_map_published = true;
  view.second_check = false;
  EXPECT_EQ(next_move_action(view).action, kRefuse);
  EXPECT_THAT(next_move_action(view).reason, HasSubstr("rollback"));
}

TEST(MoveMachine, ADifferenceAtTheFenceOutlivesTheProcessThatFoundIt) {
  World world;
  world.view.is_held = true;
  EXPECT_EQ(run(world).action, kHold);
  world.view.second_check = false;
  world.crash();
  world.view.is_held = false;
  EXPECT_EQ(run(world).action, kRefuse);
  EXPECT_TRUE(world.has_rows_at_source);
}

TEST(MoveMachine, AHeldMoveKeepsItsRowsAndTheReverseStream) {
  World world;
  world.view.is_held = true;
  EXPECT_EQ(run(world).action, kHold);
  EXPECT_TRUE(world.has_rows_at_source);
  EXPECT_TRUE(world.has_reverse);
  EXPECT_FALSE(world.has_slot);
  world.view.is_held = false;
  EXPECT_EQ(run(world).action, kFinished);
  expect_moved(world);
}

TEST(MoveMachine, APausedMoveIsNotFenced) {
  MoveView view;
  view.source = SourceStep::kReserved;
  view.target = TargetStep::kCopied;
  view.is_streaming = view.has_reverse_slot = view.is_caught_up = true;
  view.verified = true;
  EXPECT_EQ(next_move_action(view).action, kFence);
  view.wish = MoveWish::kPause;
  EXPECT_EQ(next_move_action(view).action, kPause);
}

TEST(MoveMachine, RefusesRowsThatContradictEachOther) {
  for (const auto& [source, target] : {std::pair{SourceStep::kNone, TargetStep::kCopied},
                                       {SourceStep::kReserved, TargetStep::kOwned},
                                       {SourceStep::kMoved, TargetStep::kCopied},
                                       {SourceStep::kCleaning, TargetStep::kCopied},
                                       {SourceStep::kDone, TargetStep::kOwned},
                                       {SourceStep::kAborted, TargetStep::kOwned},
                                       {SourceStep::kAborted, TargetStep::kCopied}}) {
    MoveView view;
    view.is_source_map_published = true;
    view.source = source;
    view.target = target;
    EXPECT_EQ(next_move_action(view).action, kRefuse) << to_string(source) << " " << to_string(target);
    EXPECT_THAT(next_move_action(view).reason, HasSubstr(std::string(to_string(target))));
  }
}

TEST(MoveMachine, EveryNameIsReadBack) {
  for (int i = 0; i <= static_cast<int>(SourceStep::kUndone); ++i)
    EXPECT_EQ(parse_source_step(to_string(static_cast<SourceStep>(i))), static_cast<SourceStep>(i));
  for (int i = 0; i <= static_cast<int>(TargetStep::kUndone); ++i)
    EXPECT_EQ(parse_target_step(to_string(static_cast<TargetStep>(i))), static_cast<TargetStep>(i));
  for (int i = 0; i <= static_cast<int>(kRefuse); ++i) EXPECT_NE(to_string(static_cast<MoveAction>(i)), "?") << i;
  EXPECT_EQ(parse_move_wish("pause"), MoveWish::kPause);
  EXPECT_EQ(parse_source_step("elsewhere"), std::nullopt);
}

}  // namespace
}  // namespace tidemark::shardrouter
