// What to do next about a bucket move, from what both shards say.
//
//   reserve source, reserve target, copy, stream, arm the reverse stream, catch up, verify,
//   fence -> (marker applied and fence durable) -> flip -> (flip durable) -> mark moved -> publish the map,
//   second check, clean up, finish target, finish source
//
// There is no state here: each call looks at the rows again, so a process that was killed anywhere is followed by one
// that begins with the same question. What keeps two shards from owning a bucket:
//   * the fence comes before the flip and names its attempt; the flip checks the attempt at the target;
//   * taking an attempt back, or aborting, begins at the target, and the source acts only after that is durable there;
//   * the source is marked as moved only after the flip is durable on the target's candidates;
//   * a changed timeline before the flip ends the move: a promoted server may have forgotten a decision.
// A process that finds a fence it did not set takes that attempt back instead of finishing it: writers wait meanwhile,
// and it would first have to connect, stream and wait for the standbys.
// Threads: pure function. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shardrouter/rebalance/move_view.h"

namespace tidemark::shardrouter {

enum class MoveAction : uint8_t {
  kReserveSource,
  kReserveTarget,
  kCopy,  // from the beginning: what an earlier copy left is removed first
  kStartStream,
  kArmReverse,
  kCatchUp,
  kVerify,
  kFence,
  kAwaitMarker,  // keep applying; ask again soon
  kFlip,
  kNextAttempt,    // at the target
  kUnfence,        // at the source
  kPublishSource,  // its epochs: caches take no proof of an epoch that the map does not have
  kAwaitFlipDurable,
  kMarkMoved,
  kPublishMap,
  kDropForward,  // the forward slot and publication: they keep WAL and row filters
  kSecondCheck,
  kStartCleaning,
  kClean,
  kDropArtifacts,
  kFinishTarget,
  kFinishSource,
  kAbortTarget,
  kAwaitAbortDurable,
  kAbortSource,
  kWipeTarget,
  kFinishAbort,
  kPause,     // wait for the wish to change
  kHold,      // handed over, kept for a rollback: this process may leave
  kFinished,  // nothing is left to do
  kAborted,
  kRefuse,  // the rows contradict each other or a check failed: a person must look
};

std::string_view to_string(MoveAction action);

struct MoveDecision {
  MoveAction action = MoveAction::kRefuse;
  std::string reason;  // of an abort or a refusal
  bool operator==(const MoveDecision&) const = default;
};

MoveDecision next_move_action(const MoveView& view);

// True while writers of the range have no owner, as far as the rows tell: a process must not dawdle.
bool is_without_owner(const MoveView& view);

}  // namespace tidemark::shardrouter
