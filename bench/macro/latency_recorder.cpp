#include "bench/macro/latency_recorder.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tidemark::bench {
namespace {

double to_ms(uint64_t us) {
  return static_cast<double>(us) / 1000;
}

}  // namespace

void LatencyRecorder::record(std::string_view label, Duration latency) {
  auto found = by_label_.find(label);
  if (found == by_label_.end()) found = by_label_.emplace(label, Histogram()).first;
  found->second.record(latency.count());
}

Duration LatencyRecorder::max() const {
  uint64_t max = 0;
  for (const auto& [label, histogram] : by_label_) max = std::max(max, histogram.max());
  return Duration(static_cast<int64_t>(max));
}

nlohmann::json LatencyRecorder::to_json_ms() const {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [label, histogram] : by_label_) {
    json[label] = {{"p50", to_ms(histogram.quantile(0.5))},
                   {"p99", to_ms(histogram.quantile(0.99))},
                   {"p999", to_ms(histogram.quantile(0.999))},
                   {"max", to_ms(histogram.max())},
                   {"n", histogram.count()}};
  }
  return json;
}

}  // namespace tidemark::bench
