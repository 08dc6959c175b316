// Time as cores see it: always an argument, never asked for.
//
// Instant is a point on one process's steady clock (microseconds; the origin means nothing). Points of two processes
// are never compared: what crosses a wire is an age, or a stamp that its own maker alone reads again.
// UnixMillis is wall-clock time, used only where Redis's protocol speaks of it (EXPIREAT) and for people.
#pragma once

#include <chrono>
#include <cstdint>

namespace tidemark {

using Duration = std::chrono::microseconds;
struct SteadyClockTag {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<SteadyClockTag>;
  static constexpr bool is_steady = true;
};
using Instant = std::chrono::time_point<SteadyClockTag, Duration>;

struct UnixMillis {
  int64_t value = 0;
  auto operator<=>(const UnixMillis&) const = default;
};

inline int64_t to_millis(Duration duration) { return duration.count() / 1000; }

}  // namespace tidemark
