#include "bench/macro/demo/figures.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tidemark::bench {
namespace {

constexpr std::string_view kLag = "tidemark_cache_invalidation_lag_seconds";

class LagCounts {
 public:
  void add(const MetricsText& metrics, double sign) {
    for (const auto& [edge, count] : metrics.buckets(kLag, {{"source", "live"}})) live_[edge] += sign * count;
    replayed_ += sign * metrics.sum("tidemark_cache_invalidation_lag_seconds_count", {{"source", "replay"}});
  }
  LagFigures figures() const {
    const std::vector<std::pair<double, double>> buckets(live_.begin(), live_.end());
    return {.p50_ms = quantile_between({}, buckets, 0.5) * 1000,
            .p99_ms = quantile_between({}, buckets, 0.99) * 1000,
            .count = buckets.empty() ? 0 : static_cast<uint64_t>(std::max(0.0, buckets.back().second)),
            .replayed_count = static_cast<uint64_t>(std::max(0.0, replayed_))};
  }

 private:
  std::map<double, double> live_;  // cumulative counts by upper edge
  double replayed_ = 0;
};

}  // namespace

double database_reads(const Counters& before, const Counters& after) {
  return counted_between(before, {}, after, "catalog", "tidemark_client_loads_total");
}

LagFigures lag_between(const Counters& before, const std::map<std::string, MetricsText>& killed,
                       const Counters& after) {
  LagCounts counts;
  for (const auto& [node, metrics] : before.nodes) counts.add(metrics, -1);
  for (const auto& [node, metrics] : killed) counts.add(metrics, 1);
  for (const auto& [node, metrics] : after.nodes) counts.add(metrics, 1);
  return counts.figures();
}

void EventQueue::put(std::string event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}

std::vector<std::string> EventQueue::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

}  // namespace tidemark::bench
