// Latencies by label (an origin, an operation), measured from the time a request was due.
//
// Threads: not shared. I/O: none. Limits: one histogram of 9 KiB per label; labels come from the program, not from
// input.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/histogram.h"

namespace tidemark::bench {

class LatencyRecorder {
 public:
  void record(std::string_view label, Duration latency);
  const std::map<std::string, Histogram, std::less<>>& histograms() const { return by_label_; }
  Duration max() const;

  // {"node": {"p50": 0.8, "p99": 3.1, "p999": 9.5, "max": 12.0, "n": 51234}, …} in milliseconds.
  nlohmann::json to_json_ms() const;

 private:
  std::map<std::string, Histogram, std::less<>> by_label_;
};

}  // namespace tidemark::bench
