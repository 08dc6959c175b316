#include "shardrouter/rebalance/throttle.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shardrouter {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(50);  // until a lagging standby or a slow source is asked again

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void Throttle::note_commit(Duration took) {
  commits_[commit_count_++ % kSamples] = took;
}

Duration Throttle::commit_p99() const {
  const size_t count = std::min(commit_count_, kSamples);
  if (count == 0) return Duration{0};
  auto sorted = commits_;
  std::sort(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(count));
  return sorted[(count * 99 + 99) / 100 - 1];
}

std::string Throttle::reason() const {
  if (standby_lag_bytes_ > limits_.standby_lag_bytes_max)
    return fmt::format("a standby lags {} bytes (at most {})", standby_lag_bytes_, limits_.standby_lag_bytes_max);
  if (limits_.commit_p99_max > Duration{0} && commit_p99() > limits_.commit_p99_max)
    return fmt::format("commits at the source take {:.1f} ms (p99, at most {:.1f})", seconds(commit_p99()) * 1e3,
                       seconds(limits_.commit_p99_max) * 1e3);
  return "";
}

Duration Throttle::delay_of(uint64_t bytes, Instant now) {
  if (!reason().empty()) return kPause;
  if (limits_.bytes_per_second == 0) return Duration{0};
  const double rate = static_cast<double>(limits_.bytes_per_second);
  const double cap = std::max(rate * seconds(kBurst), static_cast<double>(bytes));
  tokens_ = last_ == Instant{} ? cap : std::min(cap, tokens_ + rate * seconds(now - last_));
  last_ = now;
  const double wanted = static_cast<double>(bytes);
  if (tokens_ >= wanted) {
    tokens_ -= wanted;
    return Duration{0};
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>((wanted - tokens_) / rate)) + Duration{1};
}

}  // namespace tidemark::shardrouter
