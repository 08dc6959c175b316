// What one look at both shards shows of a move, and what the process that drives it knows besides.
//
// The rows (shard.move on either side) are the move; everything else in here is lost when the process dies, and the
// decisions of MoveMachine must be right without it. Threads: plain values. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidemark::shardrouter {

enum class SourceStep : uint8_t { kNone, kReserved, kFenced, kMoved, kCleaning, kDone, kAborted, kUndone };
enum class TargetStep : uint8_t { kNone, kReserved, kCopied, kOwned, kAborting, kAborted, kDone, kUndone };
enum class MoveWish : uint8_t { kRun, kPause, kAbort };

std::string_view to_string(SourceStep step);
std::string_view to_string(TargetStep step);
std::string_view to_string(MoveWish wish);
// Of the rows' texts; "" is kNone.
std::optional<SourceStep> parse_source_step(std::string_view text);
std::optional<TargetStep> parse_target_step(std::string_view text);
std::optional<MoveWish> parse_move_wish(std::string_view text);

struct MoveView {
  // ---- in the shards' rows
  SourceStep source = SourceStep::kNone;
  TargetStep target = TargetStep::kNone;
  MoveWish wish = MoveWish::kRun;
  int source_attempt = 1;
  int target_attempt = 1;
  bool is_held = false;              // the rows at the source and the reverse stream are kept after the hand-over
  std::optional<bool> second_check;  // at the fence's position; nothing: not done, or the process died before it

  // ---- elsewhere in the shards
  bool has_source_timeline_changed = false;  // since the move was reserved: a fail-over
  bool has_target_timeline_changed = false;
  bool is_stream_continuous = true;  // slot there and not confirmed beyond what the target holds; asked once it copied
  bool has_reverse_slot = false;
  bool has_forward_slot = false;
  bool has_artifacts = false;    // any slot, publication or origin of the move
  bool has_target_rows = false;  // rows of the range at the target (looked at while aborting)

  // ---- this process's own
  bool is_streaming = false;
  bool is_caught_up = false;
  std::optional<bool> verified;    // the first comparison: nothing yet, equal, different
  bool is_marker_applied = false;  // of the attempt in `source_attempt`
  bool is_fence_durable = false;   // on every server that may be promoted at the source
  bool is_fence_deadline_over = false;
  bool is_abort_durable = false;  // the target's decision to abort, on its candidates
  bool is_flip_durable = false;
  bool is_map_published = false;         // the target's epochs
  bool is_source_map_published = false;  // the source's, which grow with every attempt that is taken back
  bool can_check_again = false;          // the snapshot for it is open
  bool is_source_clean = false;
};

}  // namespace tidemark::shardrouter
