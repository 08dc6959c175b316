// Lets through at most so many log lines per second and counts the others, so that an outage under load does not fill
// the disk with one line per call. The next line let through says how many were kept back. Threads: any. I/O: none.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace tidemark::services {

class LogLimiter {
 public:
  static constexpr uint32_t kLinesPerSecondMax = 20;

  // The number of lines kept back since the last one, if this one may be written.
  std::optional<uint64_t> admit(Instant now) {
    std::lock_guard lock(mutex_);
    if (now - window_begin_ >= std::chrono::seconds(1)) {
      window_begin_ = now;
      lines_ = 0;
    }
    if (lines_ == kLinesPerSecondMax) {
      ++kept_back_;
      return std::nullopt;
    }
    ++lines_;
    return std::exchange(kept_back_, 0);
  }

 private:
  std::mutex mutex_;
  Instant window_begin_{};
  uint32_t lines_ = 0;
  uint64_t kept_back_ = 0;
};

}  // namespace tidemark::services
