// What a service measures of its calls, and the limit of calls at once.
//
//   tidemark_service_requests_total{method,code}   tidemark_service_latency_seconds{method}
//   tidemark_service_in_flight                     tidemark_service_requests_max
//   tidemark_service_refused_total                 calls beyond the limit
//   tidemark_service_bad_tokens_total              session tokens that could not be read and were ignored
//
// Threads: any; one mutex, held for a few instructions. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/io/metrics.h"

namespace tidemark::services {

class RpcMetrics {
 public:
  explicit RpcMetrics(size_t requests_max) : requests_max_(requests_max) {}

  // False: the limit is reached; the call must be refused, and end() must not be called for it.
  bool begin();
  void end(const std::string& method, const std::string& code, Duration latency);
  void count_bad_token();

  uint64_t requests(const std::string& method, const std::string& code) const;
  size_t in_flight() const;
  std::vector<io::MetricFamily> snapshot() const;

 private:
  const size_t requests_max_;
  mutable std::mutex mutex_;
  size_t in_flight_ = 0;
  uint64_t refused_ = 0;
  uint64_t bad_tokens_ = 0;
  std::map<std::pair<std::string, std::string>, uint64_t> requests_;
  std::map<std::string, Histogram> latencies_;  // microseconds
};

}  // namespace tidemark::services
