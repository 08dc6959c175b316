#include "services/platform/saga_machine.h"

#include <utility>

#include "base/invariant.h"

namespace tidemark::services {

using Kind = SagaAction::Kind;

SagaMachine::SagaMachine(size_t steps, SagaDirection direction) : steps_(steps), direction_(direction) {
  INVARIANT(steps > 0 && steps <= kSagaStepsMax, steps);
}

std::vector<SagaAction> SagaMachine::take_actions() {
  if (under_way_ > 0 || state_ == State::kOver) return {};
  if (is_fenced_) {
    state_ = State::kOver;
    return {{.kind = Kind::kLeave}};
  }
  // A refusal is for ever, so it is acted on although another step's outcome is unknown: undoing deals with both.
  if (is_refused_) {
    is_refused_ = is_unknown_ = false;
    state_ = State::kTurningBack;
    ++under_way_;
    return {{.kind = Kind::kTurnBack, .reason = refusal_}};
  }
  if (is_unknown_) {
    state_ = State::kOver;
    return {{.kind = Kind::kRetryLater, .reason = trouble_}};
  }
  if (!has_begun_) return begin_steps(direction_ == SagaDirection::kForward ? Kind::kRun : Kind::kUndo);
  if (has_ended_) {
    state_ = State::kOver;
    return {};
  }
  state_ = State::kEnding;
  ++under_way_;
  return {{.kind = Kind::kEnd}};
}

std::vector<SagaAction> SagaMachine::begin_steps(Kind kind) {
  has_begun_ = true;
  state_ = State::kSteps;
  under_way_ = steps_;
  std::vector<SagaAction> actions;
  for (size_t step = 0; step < steps_; ++step) actions.push_back({.kind = kind, .step = step});
  return actions;
}

void SagaMachine::on_outcome(const SagaAction& action, SagaOutcome outcome, std::string reason) {
  INVARIANT(under_way_ > 0, static_cast<int>(action.kind), static_cast<int>(outcome));
  --under_way_;
  switch (action.kind) {
    case Kind::kRun:
    case Kind::kUndo:
      on_step(outcome, std::move(reason));
      return;
    case Kind::kTurnBack:
      if (outcome == SagaOutcome::kDone) {
        direction_ = SagaDirection::kBackward;
        has_begun_ = false;
      }
      break;
    case Kind::kEnd:
      has_ended_ = outcome == SagaOutcome::kDone;
      if (has_ended_) state_ = State::kOver;
      break;
    case Kind::kRetryLater:
    case Kind::kLeave:
      break;
  }
  if (outcome == SagaOutcome::kDone) return;
  (outcome == SagaOutcome::kFenced ? is_fenced_ : is_unknown_) = true;
  trouble_ = std::move(reason);
}

void SagaMachine::on_step(SagaOutcome outcome, std::string reason) {
  if (outcome == SagaOutcome::kDone) return;
  // Undoing cannot be refused: whoever says so gets another attempt, and is seen in the parked rows.
  if (outcome == SagaOutcome::kRefused && direction_ == SagaDirection::kForward) {
    is_refused_ = true;
    refusal_ = std::move(reason);
    return;
  }
  is_unknown_ = true;
  trouble_ = std::move(reason);
}

}  // namespace tidemark::services
