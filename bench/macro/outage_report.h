// What users saw while a part of the system was stopped and after it came back.
//
//     before |  stopped (stop .. return)  |  recovering (5 s)  |  healthy again
//
// Allowed: UNAVAILABLE, DEADLINE_EXCEEDED and RESOURCE_EXHAUSTED while it is stopped or recovering, and answers whose
// bound says that they are old. Not allowed: any other error, any error before or once it must be healthy, a request
// longer than its deadline + 100 ms, an answer that is older than its bound (the oracle counts those). Threads: a
// value. I/O: none.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/macro/answer_log.h"

namespace tidemark::bench {

class OutageReport {
 public:
  static constexpr Duration kRecovery = std::chrono::seconds(5);
  static constexpr Duration kLatencyTolerance = std::chrono::milliseconds(100);

  struct Options {
    std::string part;         // "primary"
    int64_t stopped_us = 0;   // Unix microseconds: the stop began
    int64_t returned_us = 0;  // it was up again
    Duration deadline = std::chrono::milliseconds(500);
  };
  explicit OutageReport(Options options) : options_(std::move(options)) {}

  // Records of the warm-up are left out: an empty cache is no outage.
  void add(const AnswerRecord& record);
  void set_stale(uint64_t stale_beyond_bound, uint64_t otherwise_wrong) {
    stale_ = stale_beyond_bound, wrong_ = otherwise_wrong;
  }

  std::vector<std::string> violations() const;
  nlohmann::json to_json() const;
  std::string to_table() const;

 private:
  enum Phase { kBefore, kStopped, kRecovering, kHealthy };
  static constexpr size_t kPhaseCount = 4;
  struct Figures {
    uint64_t rows = 0, rows_from_node = 0;
    std::map<std::string, uint64_t> errors;
    int64_t latency_us_max = 0;
    int32_t bound_ms_max = 0;
  };
  Phase phase_of(const AnswerRecord& record) const;

  Options options_;
  std::array<Figures, kPhaseCount> figures_;
  uint64_t stale_ = 0, wrong_ = 0;
};

}  // namespace tidemark::bench
