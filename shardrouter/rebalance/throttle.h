// How fast a copy may go: bytes per second, the lag of standbys, the commit time that the source shows.
//
// A token bucket gives the bytes; while a standby lags more than it may, or commits at the source take longer than they
// may (p99 of the last kSamples probes), nothing is given at all. The caller sends what was allowed and asks again.
// Threads: owned by one. I/O: none; told the time.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace tidemark::shardrouter {

struct ThrottleLimits {
  uint64_t bytes_per_second = 0;  // 0: no limit
  uint64_t standby_lag_bytes_max = 64u << 20;
  Duration commit_p99_max{0};  // 0: no limit
};

class Throttle {
 public:
  static constexpr size_t kSamples = 64;
  static constexpr Duration kBurst = std::chrono::milliseconds(100);  // what may be saved up

  explicit Throttle(ThrottleLimits limits) : limits_(limits) {}

  void note_standby_lag(uint64_t bytes) { standby_lag_bytes_ = bytes; }
  void note_commit(Duration took);

  // How long to wait before `bytes` more may be sent; zero: they are taken from the bucket, send them.
  Duration delay_of(uint64_t bytes, Instant now);

  // Why nothing is given; empty: something is.
  std::string reason() const;
  Duration commit_p99() const;

 private:
  ThrottleLimits limits_;
  uint64_t standby_lag_bytes_ = 0;
  std::array<Duration, kSamples> commits_{};
  size_t commit_count_ = 0;
  double tokens_ = 0;
  Instant last_{};
};

}  // namespace tidemark::shardrouter
