#include "bench/macro/demo/figures.h"

#include <fmt/format.h>

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

std::map<std::string, uint64_t> reads_by_server(uint32_t shards, const Counters& before, const Counters& after) {
  std::map<std::string, uint64_t> reads;
  for (uint32_t shard = 0; shard < shards; ++shard) {
    for (const char* role : {"primary", "replica"}) {
      const std::string server = fmt::format("{}/{}", shard, role);
      double sum = 0;
      for (const auto& [process, metrics] : after.services)
        sum += counted_between(before, {}, after, process, "tidemark_client_shard_loads_total", {{"server", server}});
      reads[server] = static_cast<uint64_t>(std::max(0.0, sum));
    }
  }
  return reads;
}

void count_order_statements(const Counters& before, const std::map<std::string, MetricsText>& killed,
                            const Counters& after, ShopFigures& figures) {
  constexpr std::string_view kStatements = "tidemark_order_statements_total";
  for (const auto& [process, metrics] : after.services) {
    const double all = counted_between(before, killed, after, process, kStatements);
    if (process == "order") {
      figures.service_statements += all;
      figures.orders_measured += counted_between(before, killed, after, process, "tidemark_order_placed_total");
    }
    if (!process.starts_with("relay")) continue;
    double polls = 0;
    for (const char* poll : {"claim", "expire", "forget", "measure"})
      polls += counted_between(before, killed, after, process, kStatements, {{"kind", poll}});
    figures.poll_statements += polls;
    figures.relay_statements += all - polls;
  }
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
