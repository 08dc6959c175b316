// Every saga of up to three steps, with every outcome of every action, every place to die, reservations that expire,
// customers who cancel and messages that arrive after their relay has died: all of them end done or undone.
#include "services/platform/saga_machine.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace tidemark::services {
namespace {

using Kind = SagaAction::Kind;

TEST(SagaMachine, RunsEveryStepAtOnceAndThenEnds) {
  SagaMachine machine(2, SagaDirection::kForward);
  auto actions = machine.take_actions();
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[1], (SagaAction{.kind = Kind::kRun, .step = 1}));
  machine.on_outcome(actions[1], SagaOutcome::kDone);
  EXPECT_TRUE(machine.take_actions().empty()) << "step 0 is under way";
  machine.on_outcome(actions[0], SagaOutcome::kDone);
  auto end = machine.take_actions();
  ASSERT_EQ(end, (std::vector<SagaAction>{{.kind = Kind::kEnd}}));
  machine.on_outcome(end[0], SagaOutcome::kDone);
  EXPECT_TRUE(machine.has_ended());
  EXPECT_TRUE(machine.take_actions().empty());
}

TEST(SagaMachine, ARefusedStepTurnsTheSagaBackBeforeAnythingIsUndone) {
  SagaMachine machine(2, SagaDirection::kForward);
  auto runs = machine.take_actions();
  machine.on_outcome(runs[0], SagaOutcome::kRefused, "sold out");
  machine.on_outcome(runs[1], SagaOutcome::kUnknown, "timeout");
  auto turn = machine.take_actions();
  ASSERT_EQ(turn, (std::vector<SagaAction>{{.kind = Kind::kTurnBack, .reason = "sold out"}}));
  machine.on_outcome(turn[0], SagaOutcome::kDone);
  auto undos = machine.take_actions();
  ASSERT_EQ(undos.size(), 2u);
  EXPECT_EQ(undos[0].kind, Kind::kUndo);
  EXPECT_EQ(machine.direction(), SagaDirection::kBackward);
}

TEST(SagaMachine, WhatCouldNotBeToldIsTriedLaterWithItsReason) {
  SagaMachine machine(1, SagaDirection::kForward);
  machine.on_outcome(machine.take_actions()[0], SagaOutcome::kUnknown, "timeout");
  EXPECT_EQ(machine.take_actions(), (std::vector<SagaAction>{{.kind = Kind::kRetryLater, .reason = "timeout"}}));
  EXPECT_TRUE(machine.is_over());
  EXPECT_FALSE(machine.has_ended());
}

TEST(SagaMachine, AFencedWriteEndsTheAttemptWithoutAnotherWrite) {
  SagaMachine machine(1, SagaDirection::kBackward);
  machine.on_outcome(machine.take_actions()[0], SagaOutcome::kDone);
  machine.on_outcome(machine.take_actions()[0], SagaOutcome::kFenced);
  EXPECT_EQ(machine.take_actions(), (std::vector<SagaAction>{{.kind = Kind::kLeave}}));
  EXPECT_TRUE(machine.is_over());
}

// ------------------------------------------------------------------------------------------------------ exhaustively

// What is durable: the outbox row, the reservations, and what is still on its way from relays that have died.
struct World {
  enum class Line : uint8_t { kHeld, kExpired, kSoldOut, kConfirmed, kReleased };  // kSoldOut: expired, stock is gone
  std::vector<Line> lines;
  bool has_row = true;
  SagaDirection direction = SagaDirection::kForward;
  int claim = 0;
  std::string end;  // "done", "undone"
  struct Late {
    Kind kind;
    size_t step;
    int claim;
    auto operator<=>(const Late&) const = default;
  };
  std::multiset<Late> late;

  std::string key() const {
    std::string text = end + (has_row ? "r" : "-") + (direction == SagaDirection::kForward ? "f" : "b");
    for (Line line : lines) text += std::to_string(static_cast<int>(line));
    for (const Late& of : late) {
      // Old claims are all alike: none of them is the row's.
      text +=
          "/" + std::to_string(static_cast<int>(of.kind)) + std::to_string(of.step) + (of.claim == claim ? "=" : "<");
    }
    return text;
  }
};

struct Rules {
  bool is_release_final = true;  // a released line refuses to be confirmed
  bool is_turn_durable = true;   // undoing begins after the turn is written down
  bool checks_claims = true;     // a write of an old claim is refused
};

class Explorer {
 public:
  explicit Explorer(Rules rules) : rules_(rules) {}

  void explore(size_t lines) {
    World world;
    world.lines.assign(lines, World::Line::kHeld);
    visit(world, kFaultsMax);
  }
  const std::set<std::string>& violations() const { return violations_; }
  size_t worlds() const { return seen_.size(); }
  const std::set<std::string>& ends() const { return ends_; }

 private:
  static constexpr int kFaultsMax = 4;  // deaths, untold outcomes, expiries, cancellations

  // Between two attempts.
  void visit(const World& world, int faults) {
    auto [found, is_new] = seen_.try_emplace(world.key(), faults);
    if (!is_new && found->second >= faults) return;
    found->second = faults;
    check_quiet_end(world);
    for (const World::Late& late : std::set(world.late.begin(), world.late.end())) {
      World next = world;
      next.late.erase(next.late.find(late));
      execute(next, late.kind, late.step, late.claim);
      visit(next, faults);
    }
    if (faults > 0) disturb(world, faults - 1);
    if (!world.has_row) return;
    World claimed = world;
    ++claimed.claim;
    attempt(claimed, SagaMachine(world.lines.size(), world.direction), {}, faults);
  }

  // The world goes on while nobody looks.
  void disturb(const World& world, int faults) {
    for (size_t i = 0; i < world.lines.size(); ++i) {
      if (world.lines[i] != World::Line::kHeld) continue;
      for (World::Line as : {World::Line::kExpired, World::Line::kSoldOut}) {
        World next = world;
        next.lines[i] = as;
        visit(next, faults);
      }
    }
    // The customer cancels: under way or confirmed.
    if (world.end == "undone") return;
    World next = world;
    next.has_row = true;
    next.direction = SagaDirection::kBackward;
    next.end.clear();
    ++next.claim;
    if (next.key() != world.key()) visit(next, faults);
  }

  void attempt(const World& world, SagaMachine machine, std::vector<SagaAction> todo, int faults) {
    if (todo.empty()) {
      todo = machine.take_actions();
      if (todo.empty()) return visit(world, faults);
    }
    const SagaAction action = todo.back();
    todo.pop_back();
    if (action.kind == Kind::kRun && machine.direction() == SagaDirection::kBackward) {
      violations_.insert("a step was run after the saga had turned back");
    }
    if (action.kind == Kind::kRetryLater || action.kind == Kind::kLeave) return visit(world, faults);

    // It is done, and told.
    World done = world;
    const SagaOutcome outcome = execute(done, action.kind, action.step, world.claim);
    SagaMachine told = machine;
    told.on_outcome(action, outcome, "refused");
    attempt(done, told, todo, faults);
    if (faults == 0) return;

    // It is done and not told; it is not done and not told.
    SagaMachine untold = machine;
    untold.on_outcome(action, SagaOutcome::kUnknown, "timeout");
    attempt(done, untold, todo, faults - 1);
    attempt(world, untold, todo, faults - 1);
    // The relay dies: after it, before it, and with it on its way.
    visit(done, faults - 1);
    visit(world, faults - 1);
    World on_its_way = world;
    on_its_way.late.insert({action.kind, action.step, world.claim});
    visit(on_its_way, faults - 1);
    // It is on its way, not told, and the relay goes on.
    attempt(on_its_way, untold, todo, faults - 1);
  }

  // What the shards do with a message.
  SagaOutcome execute(World& world, Kind kind, size_t step, int claim) {
    using Line = World::Line;
    const bool is_ours = world.has_row && (claim == world.claim || !rules_.checks_claims);
    switch (kind) {
      case Kind::kRun: {
        Line& line = world.lines[step];
        if (line == Line::kReleased && rules_.is_release_final) return SagaOutcome::kRefused;
        if (line == Line::kSoldOut) return SagaOutcome::kRefused;
        line = Line::kConfirmed;
        return SagaOutcome::kDone;
      }
      case Kind::kUndo:
        world.lines[step] = Line::kReleased;
        return SagaOutcome::kDone;
      case Kind::kTurnBack:
        if (!is_ours) return SagaOutcome::kFenced;
        if (rules_.is_turn_durable) world.direction = SagaDirection::kBackward;
        return SagaOutcome::kDone;
      case Kind::kEnd: {
        if (!is_ours) return SagaOutcome::kFenced;
        world.has_row = false;
        world.end = world.direction == SagaDirection::kForward ? "done" : "undone";
        return SagaOutcome::kDone;
      }
      case Kind::kRetryLater:
      case Kind::kLeave:
        break;
    }
    return SagaOutcome::kDone;
  }

  // From every world, attempts without faults end the saga; then whatever is late arrives, and the end still holds.
  void check_quiet_end(World world) {
    for (int attempts = 0; world.has_row && attempts < 3; ++attempts) {
      ++world.claim;
      SagaMachine machine(world.lines.size(), world.direction);
      for (auto todo = machine.take_actions(); !todo.empty(); todo = machine.take_actions()) {
        for (const SagaAction& action : todo) {
          if (action.kind == Kind::kRetryLater || action.kind == Kind::kLeave) continue;
          machine.on_outcome(action, execute(world, action.kind, action.step, world.claim), "refused");
        }
      }
    }
    if (world.has_row) violations_.insert("a saga did not end: " + world.key());
    check_end(world);
    for (const World::Late& late : std::multiset(world.late)) execute(world, late.kind, late.step, late.claim);
    world.late.clear();
    check_end(world);
    ends_.insert(world.end);
  }

  void check_end(const World& world) {
    for (World::Line line : world.lines) {
      const bool is_right = world.end == "done" ? line == World::Line::kConfirmed : line == World::Line::kReleased;
      if (!is_right) violations_.insert("ended " + world.end + " with line " + std::to_string(static_cast<int>(line)));
    }
  }

  const Rules rules_;
  std::map<std::string, int> seen_;  // and with how many faults left
  std::set<std::string> violations_, ends_;
};

class EverySaga : public testing::TestWithParam<size_t> {};

TEST_P(EverySaga, EndsDoneOrUndoneWhateverHappens) {
  Explorer explorer({});
  explorer.explore(GetParam());
  EXPECT_TRUE(explorer.violations().empty()) << *explorer.violations().begin();
  EXPECT_EQ(explorer.ends(), (std::set<std::string>{"done", "undone"})) << "both ends are reached";
  RecordProperty("worlds", static_cast<int>(explorer.worlds()));
  EXPECT_GT(explorer.worlds(), 30u);
}
INSTANTIATE_TEST_SUITE_P(UpToThreeLines, EverySaga, testing::Values(1, 2, 3));

TEST(SagaRules, WithoutFinalReleasesALateMessageTakesStockForever) {
  Explorer explorer({.is_release_final = false});
  explorer.explore(1);
  EXPECT_FALSE(explorer.violations().empty()) << "this test could not fail";
}
TEST(SagaRules, WithoutADurableTurnASagaGoesForwardAgainAfterItsLinesWereReleased) {
  Explorer explorer({.is_turn_durable = false});
  explorer.explore(2);
  EXPECT_FALSE(explorer.violations().empty()) << "this test could not fail";
}
TEST(SagaRules, WithoutClaimsALateEndEndsASagaThatGoesBack) {
  Explorer explorer({.checks_claims = false});
  explorer.explore(2);
  EXPECT_FALSE(explorer.violations().empty()) << "this test could not fail";
}

}  // namespace
}  // namespace tidemark::services
