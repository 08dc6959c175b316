// A clock that stands still until it is told otherwise.
//
// Threads: any.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace tidemark::testing {

class ManualClock {
 public:
  Instant now() const { return Instant(Duration(now_us_.load())); }
  void advance(Duration by) { now_us_ += by.count(); }

 private:
  std::atomic<int64_t> now_us_{3'600'000'000};  // not zero: Instant{} means "unknown" in places
};

}  // namespace tidemark::testing
