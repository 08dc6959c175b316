// Charges time to commands and finds the slow ones.
//
// A run of the same fast command, of one session or of several in turn, is timed as one, so that a round of GETs reads
// the clock twice; every other command is timed alone. Fast is what names one key and has no large argument, and what
// its row calls so. stop() ends the run: before anything else takes time, and before
// the last request's arguments or its session go.
// Threads: a worker's own. I/O: none; the clock is given.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "cacheserver/command/command_table.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {

class CommandTimer {
 public:
  static constexpr size_t kFastArgumentBytesMax = 4096;
  using Clock = Instant (*)();
  CommandTimer(WorkerView& view, const CommandTable& table, Clock clock) : view_(view), table_(table), clock_(clock) {}

  // Before a command runs; `row` may be CommandTable::kNoRow.
  void before(uint32_t row, Arguments arguments, const Session& session, UnixMillis unix_now) {
    if (row != row_ || row == CommandTable::kNoRow || !is_fast_ || arguments.back().size() > kFastArgumentBytesMax) {
      begin(row);
    }
    ++calls_;
    arguments_ = arguments;
    session_ = &session;
    unix_now_ = unix_now;
  }
  void stop() {
    if (row_ != CommandTable::kNoRow) charge(clock_());
    row_ = CommandTable::kNoRow;
  }

 private:
  void begin(uint32_t row);
  void charge(Instant ended_at);

  WorkerView& view_;
  const CommandTable& table_;
  Clock clock_;
  uint32_t row_ = CommandTable::kNoRow;
  bool is_fast_ = false;
  uint64_t calls_ = 0;
  Instant began_at_{};
  UnixMillis unix_now_{};
  Arguments arguments_;
  const Session* session_ = nullptr;
};

}  // namespace tidemark::cacheserver
