#include "shardrouter/rebalance/move_machine.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace tidemark::shardrouter {
namespace {

using enum MoveAction;

template <typename Enum, size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<SourceStep, 8> kSourceSteps{{{SourceStep::kNone, ""},
                                             {SourceStep::kReserved, "reserved"},
                                             {SourceStep::kFenced, "fenced"},
                                             {SourceStep::kMoved, "moved"},
                                             {SourceStep::kCleaning, "cleaning"},
                                             {SourceStep::kDone, "done"},
                                             {SourceStep::kAborted, "aborted"},
                                             {SourceStep::kUndone, "undone"}}};
constexpr Names<TargetStep, 8> kTargetSteps{{{TargetStep::kNone, ""},
                                             {TargetStep::kReserved, "reserved"},
                                             {TargetStep::kCopied, "copied"},
                                             {TargetStep::kOwned, "owned"},
                                             {TargetStep::kAborting, "aborting"},
                                             {TargetStep::kAborted, "aborted"},
                                             {TargetStep::kDone, "done"},
                                             {TargetStep::kUndone, "undone"}}};
constexpr Names<MoveWish, 3> kWishes{
    {{MoveWish::kRun, "run"}, {MoveWish::kPause, "pause"}, {MoveWish::kAbort, "abort"}}};
constexpr Names<MoveAction, 33> kActions{{{kReserveSource, "reserve source"},
                                          {kReserveTarget, "reserve target"},
                                          {kCopy, "copy"},
                                          {kStartStream, "start stream"},
                                          {kArmReverse, "arm reverse stream"},
                                          {kCatchUp, "catch up"},
                                          {kVerify, "verify"},
                                          {kFence, "fence"},
                                          {kAwaitMarker, "await marker"},
                                          {kFlip, "flip"},
                                          {kNextAttempt, "next attempt"},
                                          {kUnfence, "unfence"},
                                          {kPublishSource, "publish source"},
                                          {kAwaitFlipDurable, "await durable flip"},
                                          {kMarkMoved, "mark moved"},
                                          {kPublishMap, "publish map"},
                                          {kDropForward, "drop forward stream"},
                                          {kSecondCheck, "second check"},
                                          {kStartCleaning, "start cleaning"},
                                          {kClean, "clean"},
                                          {kDropArtifacts, "drop slots and publications"},
                                          {kFinishTarget, "finish target"},
                                          {kFinishSource, "finish source"},
                                          {kAbortTarget, "abort target"},
                                          {kAwaitAbortDurable, "await durable abort"},
                                          {kAbortSource, "abort source"},
                                          {kWipeTarget, "wipe target"},
                                          {kFinishAbort, "finish abort"},
                                          {kPause, "pause"},
                                          {kHold, "hold"},
                                          {kFinished, "finished"},
                                          {kAborted, "aborted"},
                                          {kRefuse, "refuse"}}};

template <typename Enum, size_t N>
std::string_view name_of(const Names<Enum, N>& names, Enum value) {
  for (const auto& [known, name] : names)
    if (known == value) return name;
  return "?";
}
template <typename Enum, size_t N>
std::optional<Enum> value_of(const Names<Enum, N>& names, std::string_view text) {
  for (const auto& [known, name] : names)
    if (name == text) return known;
  return std::nullopt;
}

MoveDecision contradiction(const MoveView& view) {
  return {kRefuse,
          fmt::format("the source says \"{}\" (attempt {}), the target \"{}\" (attempt {}): no step leads there",
                      to_string(view.source), view.source_attempt, to_string(view.target), view.target_attempt)};
}

// Why a move that has not been handed over must be given up; empty: it need not.
std::string reason_to_abort(const MoveView& view) {
  if (view.wish == MoveWish::kAbort) return "asked for";
  if (view.has_source_timeline_changed) return "the source failed over";
  if (view.has_target_timeline_changed) return "the target failed over";
  if (view.target == TargetStep::kCopied && !view.is_stream_continuous)
    return "the replication slot is gone or ahead of what the target holds";
  if (view.verified == false) return "the comparison of source and target found a difference";
  return "";
}

// The target has given up, or gives up now; then the source takes its buckets back.
MoveDecision abort(const MoveView& view, std::string reason) {
  switch (view.target) {
    case TargetStep::kNone:
    case TargetStep::kReserved:
    case TargetStep::kCopied:
      return {kAbortTarget, std::move(reason)};
    case TargetStep::kAborting:
    case TargetStep::kAborted:
      if (!view.is_abort_durable) return {kAwaitAbortDurable, std::move(reason)};
      return {kAbortSource, std::move(reason)};
    case TargetStep::kOwned:
    case TargetStep::kDone:
    case TargetStep::kUndone:
      return contradiction(view);
  }
  return contradiction(view);
}

bool has_target_given_up(const MoveView& view) {
  return view.target == TargetStep::kAborting || view.target == TargetStep::kAborted;
}

MoveDecision before_fence(const MoveView& view) {
  if (has_target_given_up(view)) return abort(view, "the target has given it up");
  if (view.target == TargetStep::kOwned || view.target == TargetStep::kDone || view.target == TargetStep::kUndone)
    return contradiction(view);
  if (const std::string reason = reason_to_abort(view); !reason.empty()) return abort(view, reason);
  if (view.source_attempt > 1 && !view.is_source_map_published) return {kPublishSource, ""};
  if (view.wish == MoveWish::kPause) return {kPause, ""};
  if (view.target == TargetStep::kNone) return {kReserveTarget, ""};
  if (view.target == TargetStep::kReserved) return {kCopy, ""};
  // A crash may have taken the last steps back from either side: they were not waited for.
  if (view.target_attempt < view.source_attempt) return {kNextAttempt, "the target has forgotten an attempt"};
  if (view.target_attempt > view.source_attempt) return {kUnfence, "the source has forgotten an attempt"};
  if (!view.is_streaming) return {kStartStream, ""};
  if (!view.has_reverse_slot) return {kArmReverse, ""};
  if (!view.is_caught_up) return {kCatchUp, ""};
  if (!view.verified) return {kVerify, ""};
  return {kFence, ""};
}

MoveDecision fenced(const MoveView& view) {
  if (view.target == TargetStep::kOwned) {
    if (!view.is_flip_durable) return {kAwaitFlipDurable, ""};
    return {kMarkMoved, ""};
  }
  if (view.target == TargetStep::kCopied) {
    if (view.target_attempt > view.source_attempt) return {kUnfence, ""};
    if (view.target_attempt < view.source_attempt) return {kNextAttempt, "the target has forgotten an attempt"};
    if (const std::string reason = reason_to_abort(view); !reason.empty()) return abort(view, reason);
    if (!view.is_streaming || view.is_fence_deadline_over) return {kNextAttempt, ""};
    if (view.is_marker_applied && view.is_fence_durable) return {kFlip, ""};
    return {kAwaitMarker, ""};
  }
  if (has_target_given_up(view)) return abort(view, "the target has given it up");
  if (view.target == TargetStep::kNone || view.target == TargetStep::kReserved)
    return abort(view, "the target has lost what was copied");
  return contradiction(view);
}

MoveDecision handed_over(const MoveView& view) {
  // kUndone: a rollback was begun and given up; the target owns the buckets all the same.
  if (view.target != TargetStep::kOwned && view.target != TargetStep::kUndone) return contradiction(view);
  if (!view.is_map_published) return {kPublishMap, ""};
  if (!view.second_check && view.can_check_again) return {kSecondCheck, ""};
  if (view.has_forward_slot) return {kDropForward, ""};
  if (view.second_check == false)
    return {kRefuse,
            "source and target differed at the moment of the hand-over: nothing is cleaned; go back by tidemark-shards "
            "rollback, or look at both sides and give complete --accept-difference"};
  if (view.is_held) return {kHold, ""};
  return {kStartCleaning, ""};
}

MoveDecision cleaning(const MoveView& view) {
  if (view.target != TargetStep::kOwned && view.target != TargetStep::kUndone && view.target != TargetStep::kDone)
    return contradiction(view);
  if (!view.is_source_clean) return {kClean, ""};
  if (view.has_artifacts) return {kDropArtifacts, ""};
  if (view.target == TargetStep::kOwned) return {kFinishTarget, ""};
  return {kFinishSource, ""};
}

MoveDecision aborted(const MoveView& view) {
  if (!view.is_source_map_published) return {kPublishSource, ""};
  if (view.target == TargetStep::kAborting) {
    if (view.has_target_rows) return {kWipeTarget, ""};
    if (view.has_artifacts) return {kDropArtifacts, ""};
    return {kFinishAbort, ""};
  }
  if (view.target == TargetStep::kAborted) {
    if (view.has_artifacts) return {kDropArtifacts, ""};
    return {kAborted, ""};
  }
  return contradiction(view);
}

}  // namespace

std::string_view to_string(SourceStep step) {
  return name_of(kSourceSteps, step);
}
std::string_view to_string(TargetStep step) {
  return name_of(kTargetSteps, step);
}
std::string_view to_string(MoveWish wish) {
  return name_of(kWishes, wish);
}
std::string_view to_string(MoveAction action) {
  return name_of(kActions, action);
}
std::optional<SourceStep> parse_source_step(std::string_view text) {
  return value_of(kSourceSteps, text);
}
std::optional<TargetStep> parse_target_step(std::string_view text) {
  return value_of(kTargetSteps, text);
}
std::optional<MoveWish> parse_move_wish(std::string_view text) {
  return value_of(kWishes, text);
}

MoveDecision next_move_action(const MoveView& view) {
  switch (view.source) {
    case SourceStep::kNone:
      if (view.target != TargetStep::kNone) return contradiction(view);
      return {kReserveSource, ""};
    case SourceStep::kReserved:
      return before_fence(view);
    case SourceStep::kFenced:
      return fenced(view);
    case SourceStep::kMoved:
      return handed_over(view);
    case SourceStep::kCleaning:
      return cleaning(view);
    case SourceStep::kDone:
      if (view.target != TargetStep::kDone && view.target != TargetStep::kUndone) return contradiction(view);
      return {view.has_artifacts ? kDropArtifacts : kFinished, ""};
    case SourceStep::kAborted:
      return aborted(view);
    case SourceStep::kUndone:
      return {kFinished, ""};
  }
  return contradiction(view);
}

bool is_without_owner(const MoveView& view) {
  return view.source == SourceStep::kFenced && view.target != TargetStep::kOwned;
}

}  // namespace tidemark::shardrouter
