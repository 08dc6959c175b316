// Metrics as values: what a program measured, on its way to /metrics. Callers need no prometheus header for it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tidemark::io {

struct MetricSample {
  std::vector<std::pair<std::string, std::string>> labels{};
  double value = 0;  // counters and gauges

  // Histograms: (upper bound, count of observations <= it), ascending, without +Inf.
  std::vector<std::pair<double, uint64_t>> cumulative_buckets{};
  uint64_t count = 0;
  double sum = 0;
};

struct MetricFamily {
  enum class Kind : uint8_t { kCounter, kGauge, kHistogram };
  std::string name;  // "tidemark_cache_hits_total"
  std::string help;
  Kind kind = Kind::kGauge;
  std::vector<MetricSample> samples{};
};

// Asked at every scrape, on the admin server's thread.
using MetricSource = std::function<std::vector<MetricFamily>()>;

}  // namespace tidemark::io
