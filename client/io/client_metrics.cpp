#include "client/io/client_metrics.h"

#include <array>

namespace tidemark::client {
namespace {

struct Counter {
  std::string_view name;   // as count() takes it
  std::string_view label;  // the one label of its series
  std::string_view help;
};
constexpr std::array<Counter, 11> kCounters = {{
    {"bypass", "reason", "Reads that passed the cache by"},
    {"fills", "verdict", "Values offered to nodes, by their verdict"},
    {"invalidations", "outcome", "Keys invalidated after own commits"},
    {"leases", "outcome", "Leases that came late, and leases given back unfilled"},
    {"loads", "source", "Loads from the database"},
    {"redirects", "kind", "Requests sent on to another node"},
    {"replica_refused", "reason", "Loads that could not use a replica"},
    {"retries", "kind", "Requests sent a second time"},
    {"shard_loads", "server", "Loads from the database, by shard and role: 0/replica"},
    {"staged", "outcome", "Rows written through, by what their node said"},
    {"writes", "outcome", "Routed write transactions"},
}};

// Seconds.
constexpr std::array<double, 16> kLatencyBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                   0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};

io::MetricFamily latency_family(const std::map<std::string, Histogram, std::less<>>& latencies) {
  io::MetricFamily family{
      "tidemark_client_latency_seconds", "Time from the call to its answer", io::MetricFamily::Kind::kHistogram, {}};
  for (const auto& [origin, histogram] : latencies) {
    io::MetricSample sample;
    sample.labels = {{"origin", origin}};
    for (double bound : kLatencyBounds) {
      sample.cumulative_buckets.emplace_back(bound, histogram.count_at_most(static_cast<uint64_t>(bound * 1e6)));
    }
    sample.count = histogram.count();
    sample.sum = static_cast<double>(histogram.sum()) / 1e6;
    family.samples.push_back(std::move(sample));
  }
  return family;
}

}  // namespace

void ClientMetrics::count(std::string_view name, std::string_view label_value, uint64_t times) {
  std::lock_guard lock(mutex_);
  auto series = counters_.find(name);
  if (series == counters_.end())
    series = counters_.emplace(std::string(name), std::map<std::string, uint64_t, std::less<>>()).first;
  auto entry = series->second.find(label_value);
  if (entry == series->second.end()) {
    if (series->second.size() >= kSeriesMax) label_value = "other";
    entry = series->second.emplace(std::string(label_value), 0).first;
  }
  entry->second += times;
}

void ClientMetrics::count_request(std::string_view family, std::string_view origin, std::string_view outcome) {
  std::lock_guard lock(mutex_);
  ++requests_[{std::string(family), std::string(origin), std::string(outcome)}];
}

void ClientMetrics::record_latency(std::string_view origin, Duration latency) {
  std::lock_guard lock(mutex_);
  auto found = latencies_.find(origin);
  if (found == latencies_.end()) found = latencies_.emplace(std::string(origin), Histogram()).first;
  found->second.record(latency.count());
}

uint64_t ClientMetrics::value(std::string_view name, std::string_view label_value) const {
  std::lock_guard lock(mutex_);
  auto series = counters_.find(name);
  if (series == counters_.end()) return 0;
  auto entry = series->second.find(label_value);
  return entry == series->second.end() ? 0 : entry->second;
}

uint64_t ClientMetrics::requests(std::string_view family, std::string_view origin, std::string_view outcome) const {
  std::lock_guard lock(mutex_);
  auto found = requests_.find({std::string(family), std::string(origin), std::string(outcome)});
  return found == requests_.end() ? 0 : found->second;
}

std::vector<io::MetricFamily> ClientMetrics::snapshot() const {
  std::lock_guard lock(mutex_);
  std::vector<io::MetricFamily> families;
  io::MetricFamily requests{"tidemark_client_requests_total",
                            "Answers of repositories by family, origin and outcome",
                            io::MetricFamily::Kind::kCounter,
                            {}};
  for (const auto& [key, value] : requests_) {
    const auto& [family, origin, outcome] = key;
    io::MetricSample sample;
    sample.labels = {{"family", family}, {"origin", origin}, {"outcome", outcome}};
    sample.value = static_cast<double>(value);
    requests.samples.push_back(std::move(sample));
  }
  families.push_back(std::move(requests));
  for (const Counter& counter : kCounters) {
    io::MetricFamily family{"tidemark_client_" + std::string(counter.name) + "_total",
                            std::string(counter.help),
                            io::MetricFamily::Kind::kCounter,
                            {}};
    if (auto series = counters_.find(counter.name); series != counters_.end()) {
      for (const auto& [label, value] : series->second) {
        io::MetricSample sample;
        sample.labels = {{std::string(counter.label), label}};
        sample.value = static_cast<double>(value);
        family.samples.push_back(std::move(sample));
      }
    }
    families.push_back(std::move(family));
  }
  families.push_back(latency_family(latencies_));
  return families;
}

}  // namespace tidemark::client
