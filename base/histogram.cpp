#include "base/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace tidemark {
namespace {

constexpr unsigned kSubBits = 5;  // 32 buckets per power of two: an error of at most 1/32
constexpr uint64_t kSubCount = uint64_t{1} << kSubBits;
constexpr size_t kBucketTotal = (40 - kSubBits + 1) * kSubCount;

// 0..31 -> 0..31, 32..63 -> 32..63, 64,65 -> 64, 66,67 -> 65, …
size_t index_of(uint64_t value) {
  if (value < kSubCount) return value;
  auto shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
  return (size_t{shift} << kSubBits) + static_cast<size_t>(value >> shift);
}

uint64_t lower_edge(size_t index) {
  if (index < 2 * kSubCount) return index;
  size_t shift = (index >> kSubBits) - 1;
  return ((index & (kSubCount - 1)) + kSubCount) << shift;
}

uint64_t upper_edge(size_t index) {
  return lower_edge(index + 1) - 1;
}

}  // namespace

void Histogram::record(int64_t value, uint64_t times) {
  if (times == 0) return;
  if (counts_.empty()) counts_.assign(kBucketTotal, 0);
  uint64_t clamped = value < 0 ? 0 : std::min(static_cast<uint64_t>(value), kValueMax);
  counts_[index_of(clamped)] += times;
  min_ = count_ == 0 ? clamped : std::min(min_, clamped);
  max_ = std::max(max_, clamped);
  count_ += times;
  sum_ += clamped * times;
}

void Histogram::merge(const Histogram& other) {
  if (other.count_ == 0) return;
  if (counts_.empty()) counts_.assign(kBucketTotal, 0);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  count_ += other.count_;
  sum_ += other.sum_;
}

void Histogram::clear() {
  *this = Histogram();
}

uint64_t Histogram::quantile(double quantile) const {
  if (count_ == 0) return 0;
  double wanted = std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_));
  uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::clamp(upper_edge(i), min_, max_);
  }
  return max_;
}

uint64_t Histogram::count_at_most(uint64_t value) const {
  uint64_t total = 0;
  for (size_t i = 0; i < counts_.size() && upper_edge(i) <= value; ++i) total += counts_[i];
  return total;
}

std::vector<HistogramBucket> Histogram::buckets() const {
  std::vector<HistogramBucket> out;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] > 0) out.push_back({lower_edge(i), counts_[i]});
  }
  return out;
}

Result<Histogram> Histogram::from_buckets(std::span<const HistogramBucket> buckets) {
  Histogram out;
  uint64_t previous = 0;
  for (const HistogramBucket& bucket : buckets) {
    bool is_edge = bucket.value_min <= kValueMax && lower_edge(index_of(bucket.value_min)) == bucket.value_min;
    if (!is_edge) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("histogram: {} is not the lower edge of a bucket", bucket.value_min));
    }
    if (out.count_ > 0 && bucket.value_min <= previous) {
      return fail(ErrorCode::kCorrupt, fmt::format("histogram: bucket {} does not ascend", bucket.value_min));
    }
    out.record(static_cast<int64_t>(bucket.value_min), bucket.count);
    if (bucket.count > 0) out.max_ = upper_edge(index_of(bucket.value_min));
    previous = bucket.value_min;
  }
  return out;
}

}  // namespace tidemark
