#include "services/order/relay/saga_run.h"

#include <utility>

#include "services/platform/kill_point.h"

namespace tidemark::order {
namespace {

using services::kill_point;
using services::SagaAction;
using services::SagaDirection;
using services::SagaOutcome;
using Kind = SagaAction::Kind;

const char* to_text(ConfirmOutcome outcome) {
  switch (outcome) {
    case ConfirmOutcome::kConfirmed:
      return "confirmed";
    case ConfirmOutcome::kReReserved:
      return "re_reserved";
    case ConfirmOutcome::kOutOfStock:
      return "out_of_stock";
    case ConfirmOutcome::kNoProduct:
      return "no_product";
    case ConfirmOutcome::kReleased:
      return "released";
  }
  return "confirmed";
}

std::string refusal_of(ConfirmOutcome outcome, const std::string& sku) {
  const std::string of = "sku \"" + sku + "\": its reservation ";
  if (outcome == ConfirmOutcome::kReleased) return of + "was released";
  return of + (outcome == ConfirmOutcome::kNoProduct ? "expired, and the product is gone"
                                                     : "expired, and there is not enough in stock any more");
}

const char* to_text(pb::OrderState state) {
  return state == pb::CONFIRMED ? "confirmed" : state == pb::CANCELLED ? "cancelled" : "failed";
}

}  // namespace

void SagaRun::start(std::shared_ptr<SagaStore> store, std::shared_ptr<OrderMetrics> metrics, Saga saga,
                    std::function<void(const Saga&, Ended)> done) {
  std::make_shared<SagaRun>(std::move(store), std::move(metrics), std::move(saga), std::move(done))->go_on();
}

SagaRun::SagaRun(std::shared_ptr<SagaStore> store, std::shared_ptr<OrderMetrics> metrics, Saga saga,
                 std::function<void(const Saga&, Ended)> done)
    : store_(std::move(store)),
      metrics_(std::move(metrics)),
      saga_(std::move(saga)),
      machine_(saga_.lines.size(), saga_.direction),
      done_(std::move(done)) {}

void SagaRun::go_on() {
  for (const SagaAction& action : machine_.take_actions()) perform(action);
}

void SagaRun::perform(const SagaAction& action) {
  switch (action.kind) {
    case Kind::kRun:
      return run(action);
    case Kind::kUndo:
      return undo(action);
    case Kind::kTurnBack:
      return turn_back(action);
    case Kind::kEnd:
      return end(action);
    case Kind::kRetryLater:
      return retry_later(action);
    case Kind::kLeave:
      metrics_->count_saga("fenced");
      return done_(saga_, {.trouble = "another relay has it, or it was cancelled meanwhile"});
  }
}

void SagaRun::run(const SagaAction& action) {
  store_->confirm(saga_, action.step, [self = shared_from_this(), action](Result<ConfirmOutcome> outcome) {
    if (!outcome) return self->on_outcome(action, SagaOutcome::kUnknown, outcome.error().to_string());
    self->metrics_->count_confirm(to_text(*outcome));
    kill_point("relay.confirmed_first");
    const bool is_done = *outcome == ConfirmOutcome::kConfirmed || *outcome == ConfirmOutcome::kReReserved;
    if (is_done) return self->on_outcome(action, SagaOutcome::kDone);
    self->on_outcome(action, SagaOutcome::kRefused, refusal_of(*outcome, self->saga_.lines[action.step].sku));
  });
}

void SagaRun::undo(const SagaAction& action) {
  store_->release(saga_, action.step, [self = shared_from_this(), action](Status released) {
    if (!released) return self->on_outcome(action, SagaOutcome::kUnknown, released.error().to_string());
    kill_point("relay.released_first");
    self->on_outcome(action, SagaOutcome::kDone);
  });
}

void SagaRun::turn_back(const SagaAction& action) {
  store_->turn_back(saga_, action.reason, [self = shared_from_this(), action](Result<bool> was_ours) {
    self->on_written(action, was_ours, "relay.turned_back");
  });
}

void SagaRun::end(const SagaAction& action) {
  const bool is_forward = machine_.direction() == SagaDirection::kForward;
  kill_point(is_forward ? "relay.confirmed" : "relay.released");
  store_->end(saga_, end_state(), [self = shared_from_this(), action](Result<bool> was_ours) {
    self->on_written(action, was_ours, "relay.ended");
    if (!self->machine_.has_ended()) return;
    self->metrics_->count_saga(to_text(self->end_state()));
    self->done_(self->saga_, {.has_ended = true});
  });
}

void SagaRun::retry_later(const SagaAction& action) {
  metrics_->count("saga_retries");
  const services::OutboxRetry retry = services::retry_after(saga_.attempts);
  store_->retry_later(saga_, retry, action.reason, [self = shared_from_this(), action, retry](Result<bool>) {
    // If it could not be written either, the lease ends by itself.
    kill_point("relay.retry_later");
    self->done_(self->saga_, {.is_parked = retry.is_parked, .trouble = action.reason});
  });
}

void SagaRun::on_written(const SagaAction& action, const Result<bool>& was_ours, const char* kill_point_name) {
  if (!was_ours) return on_outcome(action, SagaOutcome::kUnknown, was_ours.error().to_string());
  kill_point(kill_point_name);
  on_outcome(action, *was_ours ? SagaOutcome::kDone : SagaOutcome::kFenced);
}

void SagaRun::on_outcome(const SagaAction& action, SagaOutcome outcome, std::string reason) {
  machine_.on_outcome(action, outcome, std::move(reason));
  go_on();
}

pb::OrderState SagaRun::end_state() const {
  if (machine_.direction() == SagaDirection::kForward) return pb::CONFIRMED;
  return saga_.is_cancel ? pb::CANCELLED : pb::FAILED;
}

}  // namespace tidemark::order
