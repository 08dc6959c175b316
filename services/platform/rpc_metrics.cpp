#include "services/platform/rpc_metrics.h"

#include <array>

namespace tidemark::services {
namespace {

constexpr std::array<double, 13> kLatencyBoundsSeconds = {0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                                          0.05,   0.1,    0.2,   0.5,   1,     5};

io::MetricSample histogram_sample(const std::string& method, const Histogram& latency) {
  io::MetricSample sample{.labels = {{"method", method}}};
  for (double bound : kLatencyBoundsSeconds) {
    sample.cumulative_buckets.emplace_back(bound, latency.count_at_most(static_cast<uint64_t>(bound * 1e6)));
  }
  sample.count = latency.count();
  sample.sum = static_cast<double>(latency.sum()) / 1e6;
  return sample;
}

}  // namespace

bool RpcMetrics::begin() {
  std::lock_guard lock(mutex_);
  if (in_flight_ >= requests_max_) {
    ++refused_;
    return false;
  }
  ++in_flight_;
  return true;
}

void RpcMetrics::end(const std::string& method, const std::string& code, Duration latency) {
  std::lock_guard lock(mutex_);
  --in_flight_;
  ++requests_[{method, code}];
  latencies_[method].record(latency.count());
}

void RpcMetrics::count_bad_token() {
  std::lock_guard lock(mutex_);
  ++bad_tokens_;
}

uint64_t RpcMetrics::requests(const std::string& method, const std::string& code) const {
  std::lock_guard lock(mutex_);
  auto found = requests_.find({method, code});
  return found == requests_.end() ? 0 : found->second;
}

size_t RpcMetrics::in_flight() const {
  std::lock_guard lock(mutex_);
  return in_flight_;
}

std::vector<io::MetricFamily> RpcMetrics::snapshot() const {
  using Kind = io::MetricFamily::Kind;
  std::lock_guard lock(mutex_);
  io::MetricFamily requests{"tidemark_service_requests_total", "Calls answered, by method and gRPC status.",
                            Kind::kCounter};
  for (const auto& [key, count] : requests_) {
    requests.samples.push_back(
        {.labels = {{"method", key.first}, {"code", key.second}}, .value = static_cast<double>(count)});
  }
  io::MetricFamily latencies{"tidemark_service_latency_seconds", "Time from a call's arrival to its answer.",
                             Kind::kHistogram};
  for (const auto& [method, latency] : latencies_) latencies.samples.push_back(histogram_sample(method, latency));
  auto one = [](const char* name, const char* help, Kind kind, double value) {
    return io::MetricFamily{name, help, kind, {{.value = value}}};
  };
  return {std::move(requests),
          std::move(latencies),
          one("tidemark_service_in_flight", "Calls being answered now.", Kind::kGauge, static_cast<double>(in_flight_)),
          one("tidemark_service_requests_max", "The limit of calls at once.", Kind::kGauge,
              static_cast<double>(requests_max_)),
          one("tidemark_service_refused_total", "Calls refused because the limit was reached.", Kind::kCounter,
              static_cast<double>(refused_)),
          one("tidemark_service_bad_tokens_total", "Session tokens that could not be read and were ignored.",
              Kind::kCounter, static_cast<double>(bad_tokens_))};
}

}  // namespace tidemark::services
