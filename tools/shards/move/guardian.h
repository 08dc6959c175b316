// A second process that goes on with a move when the first one cannot: killed, or stopped while writers wait.
//
// The guardian does nothing while its parent lives and shows itself. When the parent is gone without having said that
// it is done, or has been silent for Mover::kSilentFencedMax with the fence up, it ends what sessions are left and
// drives the move itself: to its end, or back, as the rows say. A machine that dies takes both along; then a
// watchdog on another does the same (tools/shards/watchdog), or any tool's next command about the move. Threads: none may exist before start().
// Limits: one guardian for each move.
#pragma once

#include <utility>

#include "tools/shards/move/mover.h"

namespace tidemark::shards {

class Guardian {
 public:
  static constexpr int kPollMs = 100;

  // Forks. The child never returns from here.
  static Result<Guardian> start(const MoveOptions& options);
  // The parent is done, whatever the outcome: the guardian leaves.
  void dismiss();
  Guardian(Guardian&& other) noexcept : pipe_(std::exchange(other.pipe_, -1)), pid_(other.pid_) {}
  Guardian& operator=(Guardian&&) = delete;
  ~Guardian() = default;  // without dismiss() the closing pipe of a dying process is the alarm

 private:
  Guardian(int pipe, int pid) : pipe_(pipe), pid_(pid) {}
  int pipe_ = -1;
  int pid_ = 0;
};

}  // namespace tidemark::shards
