// Do the sizes of a cache's items vary so much that they should count? The standard deviation of their logarithms.
//
//     all alike: 0      half of 100 and half of 200 bytes: 0.5      uniform from 1 to 1000 bytes: 1.4
//
// Threads: one owner. I/O: none.
#pragma once

#include <bit>
#include <cstdint>

namespace tidemark::cacheserver {

class SizeSpread {
 public:
  static constexpr double kWide = 0.5;  // doublings; above it sizes count

  void add(uint32_t bytes) { count(log2_of(bytes), 1); }
  void remove(uint32_t bytes) { count(log2_of(bytes), -1); }
  void clear() { *this = {}; }
  bool is_wide() const { return variance() > kWide * kWide; }
  double variance() const {
    if (items_ == 0) return 0;
    const double mean = static_cast<double>(sum_) / static_cast<double>(items_);
    return (static_cast<double>(sum_of_squares_) / static_cast<double>(items_) - mean * mean) / (kUnit * kUnit);
  }

 private:
  static constexpr int kUnitShift = 8;
  static constexpr double kUnit = 1 << kUnitShift;

  // In 256ths. Straight lines between the powers of two: never more than 0.09 off.
  static int64_t log2_of(uint32_t bytes) {
    const uint64_t size = bytes | 1;
    const int whole = std::bit_width(size) - 1;
    return (int64_t{whole} << kUnitShift) + static_cast<int64_t>((size << kUnitShift) >> whole) - (1 << kUnitShift);
  }
  void count(int64_t size, int64_t times) {
    items_ += times;
    sum_ += times * size;
    sum_of_squares_ += times * size * size;
  }
  int64_t items_ = 0;
  int64_t sum_ = 0;
  int64_t sum_of_squares_ = 0;
};

}  // namespace tidemark::cacheserver
