#include "shardrouter/rebalance/watchdog_rule.h"

namespace tidemark::shardrouter {
namespace {

WatchdogDecision go_on_after(const WatchedMove& move, Duration limit, std::string_view reason) {
  if (move.silent < limit) return {};
  return {WatchdogAction::kGoOn, reason};
}

bool has_target_ended(TargetStep step) {
  return step == TargetStep::kAborted || step == TargetStep::kDone || step == TargetStep::kUndone;
}

WatchdogDecision before_fence(const WatchedMove& move, const WatchdogLimits& limits) {
  const bool is_given_up =
      move.wish == MoveWish::kAbort || move.target == TargetStep::kAborting || move.target == TargetStep::kAborted;
  if (is_given_up) return go_on_after(move, limits.silent_max, "it is being given up and nobody drives it");
  if (move.wish == MoveWish::kPause || move.silent < limits.abandoned_after) return {};
  constexpr std::string_view kReason = "nobody drives it, and its slot keeps the source's log";
  switch (limits.abandoned) {
    case AbandonedPolicy::kGiveUp:
      return {WatchdogAction::kGiveUp, kReason};
    case AbandonedPolicy::kGoOn:
      return {WatchdogAction::kGoOn, kReason};
    case AbandonedPolicy::kLeave:
      return {};
  }
  return {};
}

}  // namespace

WatchdogDecision decide_on(const WatchedMove& move, const WatchdogLimits& limits) {
  switch (move.source) {
    case SourceStep::kNone:
      return {};
    case SourceStep::kReserved:
      return before_fence(move, limits);
    case SourceStep::kFenced:
      return go_on_after(move, limits.silent_fenced_max, "writers wait and nobody drives it");
    case SourceStep::kMoved:
      if (move.is_held) return {};
      return go_on_after(move, limits.silent_max, "it is handed over, not cleaned up, and nobody drives it");
    case SourceStep::kCleaning:
      return go_on_after(move, limits.silent_max, "its clean-up has stopped");
    case SourceStep::kDone:
    case SourceStep::kAborted:
    case SourceStep::kUndone:
      if (move.target == TargetStep::kNone || has_target_ended(move.target) || move.source == SourceStep::kUndone)
        return {};
      return go_on_after(move, limits.silent_max, "its target is not tidied up");
  }
  return {};
}

}  // namespace tidemark::shardrouter
