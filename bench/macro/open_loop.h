// The schedule of an open loop: arrival i is due at start + i / rate, whether or not earlier requests were answered.
//
// A closed loop asks the next question only after the last answer, so a server that stalls for a second is asked
// nothing in that second and the stall counts once. Here the questions of that second are still asked, late, and their
// latency is measured from due_at(): "coordinated omission" (Gil Tene) is corrected by construction.
//
//     rate 1000/s, start 0:   due_at(0) = 0   due_at(1) = 1 ms   due_at(2500) = 2.5 s;   due_before(2.5 s) = 2500
//
// Threads: a plain value. I/O: none; it is told the time.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace tidemark::bench {

class OpenLoop {
 public:
  // Requires rate > 0 (arrivals per second).
  OpenLoop(Instant start, double rate) : start_(start), rate_(rate) {}

  Instant due_at(uint64_t arrival) const {
    return start_ + Duration(static_cast<int64_t>(static_cast<double>(arrival) * 1e6 / rate_));
  }

  // How many arrivals are due strictly before `now`: the number that should have been sent by then.
  uint64_t due_before(Instant now) const {
    if (now <= start_) return 0;
    uint64_t count = static_cast<uint64_t>(static_cast<double>((now - start_).count()) * rate_ / 1e6);
    while (due_at(count) < now) ++count;  // the division rounds; the definition is due_at's
    while (count > 0 && due_at(count - 1) >= now) --count;
    return count;
  }

 private:
  Instant start_;
  double rate_;
};

}  // namespace tidemark::bench
