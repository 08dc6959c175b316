// Should somebody else go on with this move? What a watchdog decides from the two rows of a move and the time since the
// process that drives it was last heard of.
//
// Before the hand-over a move may always be given up; what its process had copied was lost with it anyway, while its
// slot keeps the source's WAL. From the fence on the only way is forward (the machine takes back a fence that it did
// not set), and writers wait. A paused or held move is nobody's fault.
// Threads: pure functions. I/O: none.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "shardrouter/rebalance/move_view.h"

namespace tidemark::shardrouter {

enum class AbandonedPolicy : uint8_t { kGiveUp, kGoOn, kLeave };  // of moves that were not fenced yet

struct WatchdogLimits {
  // A little more than a guardian on the tool's own machine waits, which is nearer.
  Duration silent_fenced_max = std::chrono::milliseconds(600);
  Duration silent_max = std::chrono::seconds(6);  // once it is decided which way the move ends
  Duration abandoned_after = std::chrono::seconds(60);
  AbandonedPolicy abandoned = AbandonedPolicy::kGiveUp;
};

struct WatchedMove {
  SourceStep source = SourceStep::kNone;
  TargetStep target = TargetStep::kNone;
  MoveWish wish = MoveWish::kRun;
  bool is_held = false;
  Duration silent{0};  // since the source's row was last touched by a driver
};

enum class WatchdogAction : uint8_t { kLeave, kGoOn, kGiveUp };

struct WatchdogDecision {
  WatchdogAction action = WatchdogAction::kLeave;
  std::string_view reason{};
  bool operator==(const WatchdogDecision&) const = default;
};

WatchdogDecision decide_on(const WatchedMove& move, const WatchdogLimits& limits);

}  // namespace tidemark::shardrouter
