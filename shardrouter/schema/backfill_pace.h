// How fast a backfill may go: how many rows the next batch takes, and how long to wait before it.
//
// A batch aims at kBatchTime, so that no writer waits longer for a row; between batches the shard is left alone for as
// long as the batch took (busy_share 0.5), longer if rows_per_second says so. While a replica or the invalidator is
// more than lag_bytes_max behind, nothing is done at all. Threads: owned by one. I/O: none; time is told.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace tidemark::shardrouter {

class BackfillPace {
 public:
  static constexpr uint32_t kRowsMin = 10;
  static constexpr uint32_t kRowsMax = 5000;
  static constexpr Duration kBatchTime = std::chrono::milliseconds(50);
  static constexpr Duration kWaitMax = std::chrono::seconds(10);

  struct Limits {
    uint32_t rows_per_batch = 500;      // of the first one; kept within kRowsMin..kRowsMax
    double rows_per_second = 0;         // 0: no limit
    double busy_share = 0.5;            // of the time a batch may be running; (0, 1]
    uint64_t lag_bytes_max = 64 << 20;  // 0: not looked at
  };
  explicit BackfillPace(Limits limits);

  uint32_t rows_max() const { return rows_max_; }

  struct Batch {
    uint64_t rows = 0;
    Duration took{0};
  };
  // `lag_bytes`: of whoever is furthest behind.
  bool is_too_far_behind(uint64_t lag_bytes) const {
    return limits_.lag_bytes_max > 0 && lag_bytes > limits_.lag_bytes_max;
  }

  // The wait before the next batch.
  Duration after(const Batch& batch);

 private:
  Limits limits_;
  uint32_t rows_max_;
};

}  // namespace tidemark::shardrouter
