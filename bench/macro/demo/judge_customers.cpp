#include "bench/macro/demo/judge_customers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/id/row_id.h"
#include "base/slot.h"
#include "bench/macro/io/event_log_file.h"
#include "bench/macro/io/session_key.h"

namespace tidemark::bench {
namespace {

std::string order_key(int64_t id) {
  return fmt::format("order:{}", id);
}

void add_slots_of_bucket(std::vector<uint16_t>& slots, Bucket bucket) {
  for (uint32_t i = 0; i < kSlotsPerBucket; ++i) slots.push_back(static_cast<uint16_t>(bucket * kSlotsPerBucket + i));
}

// As the oracle's commit stream names the row.
std::string session_row(const std::string& token) {
  return std::string(kSessionKeyPrefix) + session_digest(token);
}

// Whose failure would excuse this call's.
std::vector<uint16_t> slots_of(const ShopEvent& event) {
  std::vector<uint16_t> slots;
  if (!is_order_action(event.action)) {
    if (!event.session.empty()) slots.push_back(slot_of_key(session_key(event.session)));
    return slots;
  }
  if (event.customer_id > 0) add_slots_of_bucket(slots, bucket_of_row_id(event.customer_id));
  for (const OrderedLine& line : event.lines) add_slots_of_bucket(slots, bucket_of_natural_key(line.sku));
  return slots;
}

// The rows an event tells of: a read's answers to be judged, a write's acknowledgements.
class Rows {
 public:
  explicit Rows(const std::vector<RowCommit>& commits) {
    for (const RowCommit& commit : commits)
      if (commit.table != 0) oracle_.add(commit);
  }

  void acknowledge(const ShopEvent& event) {
    if (event.status != 0) return;
    const bool is_order_write =
        event.action == CustomerAction::kPlaceOrder || event.action == CustomerAction::kCancelOrder;
    const bool is_session_write =
        event.action == CustomerAction::kCreateSession || event.action == CustomerAction::kTouchSession;
    if (is_order_write && !event.is_replayed)
      for (const OrderSeen& order : event.orders) oracle_.acknowledge(order_key(order.id), order.version, event.end_us);
    if (is_session_write && event.version > 0)
      oracle_.acknowledge(session_row(event.session), event.version, event.end_us);
  }

  void judge(const ShopEvent& event, OracleTally& tally) const {
    if (event.action == CustomerAction::kGetSession)
      judge_row(event, session_row(event.session), event.status == 0 ? event.version : 0, tally);
    if (event.action == CustomerAction::kGetOrder && event.status != 0)
      judge_row(event, order_key(event.order_id), 0, tally);
    if (event.action == CustomerAction::kGetOrder || event.action == CustomerAction::kListOrders)
      for (const OrderSeen& order : event.orders) judge_row(event, order_key(order.id), order.version, tally);
  }

  const StaleOracle& oracle() const { return oracle_; }

 private:
  // Version 0: the answer was that there is no such row.
  void judge_row(const ShopEvent& event, const std::string& key, int64_t version, OracleTally& tally) const {
    if (!is_expected(event.action, event.status)) return;
    AnswerRecord record;
    record.kind = version > 0 ? RecordKind::kAnswer : RecordKind::kAbsent;
    record.origin = event.origin;
    record.bound_ms = event.bound_ms;
    record.version = version;
    record.content = content_hash({});  // the version alone is compared
    record.start_us = event.start_us;
    record.end_us = event.end_us;
    tally.add(key, record, oracle_.judge(key, record));
  }

  StaleOracle oracle_;
};

// From the first attempt to place an order to the commit that confirmed it.
LatencyRecorder confirmation_times(const std::vector<RowCommit>& commits, const std::vector<ShopEvent>& events) {
  std::map<std::string, int64_t> started_us;  // by idempotency key
  std::unordered_map<std::string, int64_t> of_order;
  for (const ShopEvent& event : events) {
    if (event.action != CustomerAction::kPlaceOrder) continue;
    const auto [first, is_first] = started_us.try_emplace(event.key, event.start_us);
    if (event.status == 0 && !event.orders.empty() && !event.is_warmup)
      of_order.try_emplace(order_key(event.orders.front().id), first->second);
  }
  LatencyRecorder times;
  for (const RowCommit& commit : commits) {
    if (commit.state != to_string(OrderStage::kConfirmed)) continue;
    const auto order = of_order.find(commit.key);
    if (order == of_order.end()) continue;
    times.record("confirmed", std::chrono::microseconds(std::max<int64_t>(0, commit.commit_us - order->second)));
    of_order.erase(order);
  }
  return times;
}

void add_error(FaultReport& faults, const ShopEvent& event) {
  if (is_expected(event.action, event.status)) return;
  AnswerRecord error;
  error.kind = RecordKind::kError;
  error.error = event.status;
  error.is_warmup = event.is_warmup;
  error.start_us = event.start_us;
  error.end_us = event.end_us;
  faults.add(error, slots_of(event));
}

void add_counts(std::map<std::string, uint64_t>& to, const std::map<std::string, uint64_t>& from) {
  for (const auto& [kind, count] : from) to[kind] += count;
}

}  // namespace

Status judge_customers(const CustomerEvidence& evidence, DemoSummary& summary) {
  std::vector<ShopEvent> events;
  auto status = read_event_log(evidence.events, [&](const ShopEvent& event) { events.push_back(event); });
  if (!status) return status;
  Rows rows(*evidence.commits);
  OrderOracle orders;
  SessionOracle sessions;
  RywOracle ryw;
  FaultReport faults(evidence.windows);
  for (const ShopEvent& event : events) {
    rows.acknowledge(event);
    orders.add(event);
    sessions.add(event);
    ryw.add(event);
    add_error(faults, event);
  }
  for (const ShopEvent& event : events) rows.judge(event, summary.tally);

  summary.lost += rows.oracle().lost();
  summary.acknowledged += rows.oracle().acknowledged();
  summary.commits += rows.oracle().commits();
  for (auto& example : rows.oracle().lost_examples(OrderOracle::kExamplesMax))
    summary.lost_examples.push_back(std::move(example));
  add_counts(summary.errors_in_window, faults.in_window());
  add_counts(summary.errors_outside_window, faults.outside_window());
  add_counts(summary.errors_warmup, faults.warmup());
  summary.errors_other_slots += faults.other_slots();
  ShopFigures figures;
  figures.orders = orders.judge(*evidence.state);
  figures.sessions = sessions.figures();
  figures.ryw = ryw.figures();
  figures.confirmation = confirmation_times(*evidence.commits, events);
  summary.shop_figures = std::move(figures);
  return {};
}

}  // namespace tidemark::bench
