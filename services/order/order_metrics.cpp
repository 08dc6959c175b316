#include "services/order/order_metrics.h"

#include "services/platform/outbox.h"

namespace tidemark::order {
namespace {

using Kind = io::MetricFamily::Kind;
using io::MetricFamily;

MetricFamily one(const char* name, const char* help, Kind kind, double value) {
  return {name, help, kind, {{.value = value}}};
}

MetricFamily labelled(const char* name, const char* help, const char* label,
                      const std::map<std::string, uint64_t>& counts) {
  MetricFamily family{name, help, Kind::kCounter};
  for (const auto& [value, count] : counts) {
    family.samples.push_back({.labels = {{label, value}}, .value = static_cast<double>(count)});
  }
  return family;
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void OrderMetrics::count(const char* what, uint64_t by) {
  std::lock_guard lock(mutex_);
  counts_[what] += by;
}
void OrderMetrics::count_refused(const std::string& reason) {
  std::lock_guard lock(mutex_);
  ++refused_[reason];
}
void OrderMetrics::count_saga(const std::string& outcome) {
  std::lock_guard lock(mutex_);
  ++sagas_[outcome];
}
void OrderMetrics::count_confirm(const std::string& outcome) {
  std::lock_guard lock(mutex_);
  ++confirms_[outcome];
}
void OrderMetrics::count_statements(const std::string& kind, uint64_t statements) {
  std::lock_guard lock(mutex_);
  statements_[kind] += statements;
}
void OrderMetrics::note_wait(Duration wait) {
  std::lock_guard lock(mutex_);
  wait_ += wait;
  ++waits_;
}
void OrderMetrics::set_depth(ShardId shard, const OutboxDepth& depth) {
  std::lock_guard lock(mutex_);
  depths_[shard] = depth;
}
void OrderMetrics::set_in_flight(size_t in_flight) {
  std::lock_guard lock(mutex_);
  in_flight_ = in_flight;
}

uint64_t OrderMetrics::value_locked(const std::string& what) const {
  auto found = counts_.find(what);
  return found == counts_.end() ? 0 : found->second;
}
uint64_t OrderMetrics::value(const std::string& what) const {
  std::lock_guard lock(mutex_);
  return value_locked(what);
}
uint64_t OrderMetrics::statements(const std::string& kind) const {
  std::lock_guard lock(mutex_);
  auto found = statements_.find(kind);
  return found == statements_.end() ? 0 : found->second;
}
uint64_t OrderMetrics::sagas(const std::string& outcome) const {
  std::lock_guard lock(mutex_);
  auto found = sagas_.find(outcome);
  return found == sagas_.end() ? 0 : found->second;
}
uint64_t OrderMetrics::refused(const std::string& reason) const {
  std::lock_guard lock(mutex_);
  auto found = refused_.find(reason);
  return found == refused_.end() ? 0 : found->second;
}

std::vector<MetricFamily> OrderMetrics::snapshot() const {
  std::lock_guard lock(mutex_);
  std::vector<MetricFamily> families = side_ == Side::kService ? service_families() : relay_families();
  families.push_back(statements_family());
  return families;
}

MetricFamily OrderMetrics::statements_family() const {
  MetricFamily family{"tidemark_order_statements_total", "SQL statements sent for orders.", Kind::kCounter};
  const char* program = side_ == Side::kService ? "order" : "relay";
  for (const auto& [kind, count] : statements_) {
    family.samples.push_back({.labels = {{"program", program}, {"kind", kind}}, .value = static_cast<double>(count)});
  }
  return family;
}

std::vector<MetricFamily> OrderMetrics::service_families() const {
  auto counter = [&](const char* name, const char* help, const char* what) {
    return one(name, help, Kind::kCounter, static_cast<double>(value_locked(what)));
  };
  return {
      counter("tidemark_order_placed_total", "Orders written.", "placed"),
      counter("tidemark_order_replayed_total", "Answers that an idempotency key had already.", "replayed"),
      counter("tidemark_order_cancelled_total", "Orders that began to be cancelled.", "cancelled"),
      counter("tidemark_order_unknown_total", "Placings whose outcome the caller was not told.", "unknown"),
      labelled("tidemark_order_refused_total", "Orders refused, by reason.", "reason", refused_),
  };
}

std::vector<MetricFamily> OrderMetrics::relay_families() const {
  auto counter = [&](const char* name, const char* help, const char* what) {
    return one(name, help, Kind::kCounter, static_cast<double>(value_locked(what)));
  };
  MetricFamily depth{"tidemark_order_outbox_depth", "Sagas under way.", Kind::kGauge};
  MetricFamily parked{"tidemark_order_outbox_parked", "Sagas that have failed many times; still tried.", Kind::kGauge};
  MetricFamily oldest{"tidemark_order_outbox_oldest_seconds", "Age of the oldest saga under way.", Kind::kGauge};
  for (const auto& [shard, now] : depths_) {
    const std::vector<std::pair<std::string, std::string>> labels = {{"shard", std::to_string(shard)}};
    depth.samples.push_back({.labels = labels, .value = static_cast<double>(now.waiting)});
    parked.samples.push_back({.labels = labels, .value = static_cast<double>(now.parked)});
    oldest.samples.push_back({.labels = labels, .value = seconds(now.oldest)});
  }
  return {
      labelled("tidemark_order_sagas_total", "Sagas ended by this relay.", "outcome", sagas_),
      labelled("tidemark_order_confirm_total", "Lines confirmed, by the product's shard's answer.", "outcome",
               confirms_),
      counter("tidemark_order_saga_retries_total", "Attempts that ended without an end.", "saga_retries"),
      counter("tidemark_order_reservations_expired_total", "Reservations held too long.", "expired"),
      counter("tidemark_order_reservations_forgotten_total", "Rows of ended reservations deleted.", "forgotten"),
      one("tidemark_order_saga_wait_seconds_total", "Time from being due to the claim.", Kind::kCounter,
          seconds(wait_)),
      one("tidemark_order_saga_wait_count", "Claims in tidemark_order_saga_wait_seconds_total.", Kind::kCounter,
          static_cast<double>(waits_)),
      one("tidemark_order_sagas_in_flight", "Sagas this relay works on.", Kind::kGauge,
          static_cast<double>(in_flight_)),
      one("tidemark_order_sagas_in_flight_max", "The limit of sagas at once.", Kind::kGauge,
          static_cast<double>(services::kOutboxInFlightMax)),
      std::move(depth),
      std::move(parked),
      std::move(oldest),
  };
}

}  // namespace tidemark::order
