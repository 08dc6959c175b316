// A histogram of durations (or any non-negative numbers): log-linear, fixed memory, quantiles within 3.2 %.
//
// Values below 32 are exact; above, each power of two is cut into 32 equal buckets. With 1..100 recorded once each:
//
//     quantile(0.5) == 50     quantile(0.99) == 99     max() == 100     count() == 100
//
// A quantile is the upper edge of the bucket that holds it, never more than max(). Values above kValueMax count as
// kValueMax, negative ones as 0 (a clock of another machine may be ahead).
// Threads: a value; one writer. I/O: none. Size: 9 KiB, allocated at the first record().
// Source: the log-linear layout of HdrHistogram (Tene), without its auto-resizing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace tidemark {

// One non-empty bucket; `value_min` is its lower edge and names it.
struct HistogramBucket {
  uint64_t value_min = 0;
  uint64_t count = 0;
  bool operator==(const HistogramBucket&) const = default;
};

class Histogram {
 public:
  static constexpr uint64_t kValueMax = (uint64_t{1} << 40) - 1;  // 12.7 days in microseconds

  void record(int64_t value, uint64_t times = 1);
  void merge(const Histogram& other);
  void clear();

  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_); }

  // The value that `quantile` (0..1) of all values do not exceed; 0 while empty.
  uint64_t quantile(double quantile) const;
  // How many values are at most `value`, rounded down to whole buckets: for cumulative exporters.
  uint64_t count_at_most(uint64_t value) const;

  // What another process or a file needs to rebuild it; ascending. Quantiles survive, min, max and sum to a bucket.
  std::vector<HistogramBucket> buckets() const;
  static Result<Histogram> from_buckets(std::span<const HistogramBucket> buckets);

  bool operator==(const Histogram&) const = default;

 private:
  std::vector<uint64_t> counts_;  // empty until something is recorded
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t min_ = 0;
  uint64_t max_ = 0;
};

}  // namespace tidemark
