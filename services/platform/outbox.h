// How a relay treats the rows of an outbox: who works on one, when a failed one is tried again, how often to look.
//
//   claim     a number in the row and a lease; a relay that dies holds its rows up for kOutboxLease, no longer, and one
//             that is late finds its number gone and writes nothing
//   retry     after 50 ms, 100 ms, 200 ms … kOutboxDelayMax
//   parked    from kOutboxAttemptsMax failed attempts on: marked, counted, tried every kOutboxParkedDelay; never
//   dropped polling   at once after a full batch, kOutboxPollBusy after some rows, doubled up to kOutboxPollIdle after
//   none
//
// Threads: pure functions and a plain value. I/O: none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace tidemark::services {

inline constexpr Duration kOutboxLease = std::chrono::seconds(5);
inline constexpr Duration kOutboxDelayFirst = std::chrono::milliseconds(50);
inline constexpr Duration kOutboxDelayMax = std::chrono::seconds(5);
inline constexpr int kOutboxAttemptsMax = 20;
inline constexpr Duration kOutboxParkedDelay = std::chrono::seconds(30);
inline constexpr size_t kOutboxBatchMax = 32;     // rows of one claim
inline constexpr size_t kOutboxInFlightMax = 64;  // rows that one relay works on at once
inline constexpr Duration kOutboxPollBusy = std::chrono::milliseconds(20);
inline constexpr Duration kOutboxPollIdle = std::chrono::milliseconds(160);

struct OutboxRetry {
  Duration delay{};
  bool is_parked = false;
  bool operator==(const OutboxRetry&) const = default;
};

// After the row's `attempts`-th attempt, 1 for the first, has failed.
inline OutboxRetry retry_after(int attempts) {
  if (attempts >= kOutboxAttemptsMax) return {kOutboxParkedDelay, true};
  Duration delay = kOutboxDelayFirst;
  for (int i = 1; i < attempts && delay < kOutboxDelayMax; ++i) delay *= 2;
  return {std::min(delay, kOutboxDelayMax), false};
}

class OutboxPace {
 public:
  // How long to wait after a claim that asked for `asked` rows and got `got`.
  Duration after(size_t got, size_t asked) {
    if (got > 0) delay_ = kOutboxPollBusy;
    if (got > 0 && got >= asked) return Duration::zero();
    const Duration now = delay_;
    if (got == 0) delay_ = std::min(delay_ * 2, kOutboxPollIdle);
    return now;
  }
  // After a claim that failed: the shard is asked seldom until it answers.
  Duration after_failure() {
    delay_ = kOutboxPollIdle;
    return kOutboxPollIdle;
  }

 private:
  Duration delay_ = kOutboxPollBusy;
};

}  // namespace tidemark::services
