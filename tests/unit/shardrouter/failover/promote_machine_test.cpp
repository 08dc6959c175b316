#include "shardrouter/failover/promote_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace tidemark::shardrouter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = PromotionStep::Kind;

PromotionServer primary(std::string name) {
  return {.name = std::move(name),
          .is_primary_in_topology = true,
          .is_reachable = true,
          .timeline = 1,
          .db_epoch = 1,
          .is_open = true,
          .position = Lsn{0x500}};
}
PromotionServer replica(std::string name, uint64_t position) {
  return {.name = std::move(name),
          .is_reachable = true,
          .is_in_recovery = true,
          .db_epoch = 1,
          .position = Lsn{position},
          .follows = "a"};
}
PromotionFacts healthy() {
  return {.servers = {primary("a"), replica("b", 0x400), replica("c", 0x450)}};
}
PromotionFacts crashed() {
  PromotionFacts facts = healthy();
  facts.servers[0].is_reachable = false;
  return facts;
}

std::vector<std::string> run_to_the_end(PromotionFacts facts) {
  std::vector<std::string> steps;
  if (facts.wanted.empty()) {
    const auto target = promotion_target(facts);
    if (!target) return {target.error().message};
    facts.wanted = *target;
  }
  for (int i = 0; i < 20; ++i) {
    const auto step = next_promotion_step(facts);
    if (!step) return steps.push_back(step.error().message), steps;
    steps.push_back(std::string(to_string(step->kind)) + " " + step->server);
    if (step->kind == Kind::kDone) return steps;
    facts = after_promotion_step(std::move(facts), *step);
  }
  return steps;
}

TEST(PromoteMachine, ASwitchOverRetiresDrainsCatchesUpAndOpensBeforeItIsPublished) {
  PromotionFacts facts = healthy();
  facts.servers[0].writers = 2;
  EXPECT_THAT(run_to_the_end(facts), ElementsAre("retire a", "drain a", "repoint b", "catch-up c", "promote c",
                                                 "open c", "publish c", "done c"));
}

TEST(PromoteMachine, TheWantedReplicaIsPromotedHoweverFarBehindItIsWhileTheOldPrimaryCanTellItTheRest) {
  PromotionFacts facts = healthy();
  facts.wanted = "b";
  // c has what b will have: it follows.
  EXPECT_THAT(run_to_the_end(facts),
              ElementsAre("retire a", "repoint c", "catch-up b", "promote b", "open b", "publish b", "done b"));
}

TEST(PromoteMachine, ASilentPrimaryNeedsForce) {
  PromotionFacts facts = crashed();
  const auto refused = next_promotion_step(facts);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("a does not answer"));
  EXPECT_THAT(refused.error().message, HasSubstr("--force"));
  facts.is_forced = true;
  EXPECT_THAT(run_to_the_end(facts), ElementsAre("promote c", "open c", "publish c", "repoint b", "done c"));
}

TEST(PromoteMachine, WhatCannotFollowIsLeftToPeople) {
  PromotionFacts facts = crashed();
  facts.is_forced = true;
  facts.wanted = "b";
  EXPECT_THAT(run_to_the_end(facts), ElementsAre("promote b", "open b", "publish b", "done b")) << "c was ahead of b";
  for (const auto kind : {Kind::kPromote, Kind::kOpen, Kind::kPublish})
    facts = after_promotion_step(facts, {kind, "b", ""});
  EXPECT_THAT(promotion_leftovers(facts),
              ElementsAre(HasSubstr("a does not answer"), HasSubstr("c has WAL that b never had")));
}

TEST(PromoteMachine, RefusesWhatWouldLoseOrConfuse) {
  PromotionFacts facts = healthy();
  facts.servers[2].is_replay_paused = true;
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("replay of c is paused"));
  facts = healthy();
  facts.servers[2].stale_buckets = 3;
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("3 of its buckets moved"));
  facts = healthy();
  facts.wanted = "x";
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("no server x"));
  facts.wanted = "b";
  facts.servers[1].is_reachable = false;
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("b does not answer"));
  facts = healthy();
  facts.servers[1].is_reachable = false;
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("it may have more than c"));
  facts = healthy();
  facts.servers.resize(1);
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("no replica of the shard answers"));
  facts = healthy();
  facts.servers[1].is_in_recovery = false;
  facts.servers[1].timeline = 2;
  facts.servers[2].is_in_recovery = false;
  facts.servers[2].timeline = 2;
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("b and c are both primaries of timeline 2"));
}

TEST(PromoteMachine, BucketsThatMovedAwayAreGivenUpBeforeTheShardIsOpened) {
  PromotionFacts facts = crashed();
  facts.is_forced = true;
  facts.servers[2].stale_buckets = 3;
  EXPECT_THAT(run_to_the_end(facts),
              ElementsAre("promote c", "disown c", "open c", "publish c", "repoint b", "done c"));
}

TEST(PromoteMachine, EndsWhatAnotherManagerBegan) {
  PromotionFacts facts = crashed();
  facts.servers[1].is_in_recovery = false;
  facts.servers[1].timeline = 2;
  facts.servers[1].switch_lsn = Lsn{0x460};
  EXPECT_THAT(run_to_the_end(facts), ElementsAre("open b", "publish b", "repoint c", "done b")) << "no --force";
  facts.servers[0].is_reachable = true;  // the old primary is back
  EXPECT_THAT(run_to_the_end(facts), ElementsAre("retire a", "open b", "publish b", "repoint c", "done b"));
  facts.wanted = "c";
  EXPECT_THAT(run_to_the_end(facts).back(), HasSubstr("b has been promoted already"));
}

// Killed behind any step, with or without --to: the next run goes on where it was, and ends with the same primary.
TEST(PromoteMachine, KilledAtAnyStepTheNextRunEndsIt) {
  for (const bool has_crashed : {false, true}) {
    for (const std::string& wanted : {std::string(), std::string("b"), std::string("c")}) {
      PromotionFacts facts = has_crashed ? crashed() : healthy();
      facts.is_forced = has_crashed;
      facts.wanted = wanted;
      const auto whole = run_to_the_end(facts);
      const std::string target = *promotion_target(facts);
      ASSERT_THAT(whole.back(), ::testing::StartsWith("done"));
      for (size_t killed_after = 0; killed_after + 1 < whole.size(); ++killed_after) {
        PromotionFacts now = facts;
        now.wanted = target;
        for (size_t i = 0; i < killed_after; ++i) now = after_promotion_step(now, *next_promotion_step(now));
        now.wanted = wanted;
        const auto rest = run_to_the_end(now);
        EXPECT_EQ(rest, std::vector<std::string>(whole.begin() + static_cast<long>(killed_after), whole.end()))
            << "killed after step " << killed_after;
      }
    }
  }
}

// From every combination of what three servers may be, a promotion ends or is refused; it never opens a server while
// another one that answers may still be written to, and never promotes beside a promoted one.
TEST(PromoteMachine, NeverHasTwoWritablePrimariesWhateverItFinds) {
  std::vector<PromotionServer> kinds;
  for (const bool is_topology_primary : {false, true}) {
    for (const uint32_t timeline : {1u, 2u}) {
      for (const bool is_retired : {false, true}) {
        PromotionServer one = primary("");
        one.is_primary_in_topology = is_topology_primary;
        one.timeline = timeline;
        one.is_retired = is_retired;
        one.is_open = timeline == 1;
        if (timeline == 2) one.switch_lsn = Lsn{0x420};
        kinds.push_back(one);
      }
    }
    PromotionServer silent = primary("");
    silent.is_primary_in_topology = is_topology_primary;
    silent.is_reachable = false;
    kinds.push_back(silent);
    PromotionServer standby = replica("", 0x440);
    standby.is_primary_in_topology = is_topology_primary;
    kinds.push_back(standby);
  }
  size_t ended = 0;
  for (size_t code = 0; code < kinds.size() * kinds.size() * kinds.size() * 2; ++code) {
    PromotionFacts facts;
    facts.is_forced = code % 2 == 1;
    size_t rest = code / 2;
    for (const char* name : {"a", "b", "c"}) {
      facts.servers.push_back(kinds[rest % kinds.size()]);
      facts.servers.back().name = name;
      rest /= kinds.size();
    }
    const auto target = promotion_target(facts);
    if (!target) continue;
    facts.wanted = *target;
    for (int step_number = 0;; ++step_number) {
      ASSERT_LT(step_number, 20) << code;
      const auto step = next_promotion_step(facts);
      if (!step) break;
      if (step->kind == Kind::kPromote || step->kind == Kind::kOpen) {
        for (const PromotionServer& one : facts.servers) {
          if (one.name == step->server || !one.is_reachable || one.is_in_recovery) continue;
          ASSERT_TRUE(one.is_retired) << code << ": " << describe(*step) << " beside " << one.name;
        }
      }
      if (step->kind == Kind::kDone) {
        ++ended;
        break;
      }
      facts = after_promotion_step(std::move(facts), *step);
    }
  }
  EXPECT_GT(ended, 300u);
}

TEST(PromoteMachine, SaysWhatAStepMeans) {
  EXPECT_EQ(describe({Kind::kOpen, "b", ""}), "b: slot, db_epoch, then routed writes");
  EXPECT_EQ(describe({Kind::kRepoint, "c", "b"}), "c follows b");
}

}  // namespace
}  // namespace tidemark::shardrouter
