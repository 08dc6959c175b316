#include "bench/macro/demo/figures.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tidemark::bench {
namespace {

constexpr std::string_view kLag = "tidemark_cache_invalidation_lag_seconds";

}  // namespace

double database_reads(const Counters& before, const Counters& after) {
  return counted_between(before, {}, after, "catalog", "tidemark_client_loads_total");
}

double browsing_requests(const nlohmann::json& shop_report) {
  const auto by_operation = shop_report.value("requests_by_operation", nlohmann::json::object());
  double sum = 0;
  for (const char* operation : {"get_product", "batch_get_products", "set_price", "set_stock"})
    sum += by_operation.value(operation, 0.0);
  return sum;
}

double order_statements(const Counters& before, const std::map<std::string, MetricsText>& killed,
                        const Counters& after) {
  double sum = 0;
  for (const auto& [process, metrics] : after.services)
    if (process == "order" || process.starts_with("relay"))
      sum += counted_between(before, killed, after, process, "tidemark_database_statements_total");
  return sum;
}

void LagReadings::add(const std::map<std::string, MetricsText>& nodes, double sign) {
  for (const auto& [node, metrics] : nodes) {
    for (const auto& [edge, count] : metrics.buckets(kLag, {{"source", "live"}})) live_[edge] += sign * count;
    replayed_ += sign * metrics.sum("tidemark_cache_invalidation_lag_seconds_count", {{"source", "replay"}});
  }
}

LagFigures LagReadings::figures() const {
  const std::vector<std::pair<double, double>> buckets(live_.begin(), live_.end());
  return {.p50_ms = quantile_between({}, buckets, 0.5) * 1000,
          .p99_ms = quantile_between({}, buckets, 0.99) * 1000,
          .count = buckets.empty() ? 0 : static_cast<uint64_t>(std::max(0.0, buckets.back().second)),
          .replayed_count = static_cast<uint64_t>(std::max(0.0, replayed_))};
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
