#include "bench/macro/shop/shop_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/io/system_clock.h"
#include "bench/macro/fault_report.h"

namespace tidemark::bench {
namespace {

using std::chrono::seconds;

constexpr uint8_t kResourceExhausted = 8;  // gRPC's number
constexpr Duration kTurn = std::chrono::milliseconds(1);
constexpr size_t kBatchOfFinished = 64;

std::string_view name_of(ShopOpKind kind) {
  switch (kind) {
    case ShopOpKind::kGet:
      return "get_product";
    case ShopOpKind::kBatchGet:
      return "batch_get_products";
    case ShopOpKind::kSetPrice:
      return "set_price";
    case ShopOpKind::kSetStock:
      return "set_stock";
  }
  return "unknown";
}

bool is_read(ShopOpKind kind) {
  return kind == ShopOpKind::kGet || kind == ShopOpKind::kBatchGet;
}

std::chrono::steady_clock::time_point to_std(Instant instant) {
  return std::chrono::steady_clock::time_point(instant.time_since_epoch());
}

uint64_t arrivals_in(double rate, Duration duration) {
  return static_cast<uint64_t>(rate * static_cast<double>(duration.count()) / 1e6);
}

}  // namespace

ShopRun::ShopRun(Options options, ShopClient& client, Mailbox& mailbox, AnswerLogWriter* log)
    : options_(std::move(options)),
      client_(client),
      mailbox_(mailbox),
      log_(log),
      mix_(options_.mix),
      loop_(Instant{}, options_.rate),
      arrivals_(arrivals_in(options_.rate, options_.warmup + options_.seconds)),
      arrivals_warmup_(arrivals_in(options_.rate, options_.warmup)),
      arrivals_cold_(arrivals_in(options_.rate, std::min(options_.cold, options_.warmup))) {}

void ShopRun::run() {
  begin_ = io::steady_now();
  next_progress_ = begin_ + seconds(1);
  loop_ = OpenLoop(begin_, options_.rate);
  while ((sent_ < arrivals_ || in_flight_ > 0) && !(options_.should_stop && options_.should_stop())) {
    const Instant now = io::steady_now();
    send_due(now);
    take_finished();
    report_progress(now);
    const Instant wake = sent_ < arrivals_ ? std::max(loop_.due_at(sent_), now + kTurn / 4) : now + kTurn;
    mailbox_.wait_until(to_std(std::min(wake, now + kTurn)), kBatchOfFinished);
  }
}

void ShopRun::send_due(Instant now) {
  const uint64_t due = std::min(loop_.due_before(now), arrivals_);
  while (sent_ < due) {
    send(sent_, now);
    ++sent_;
  }
}

void ShopRun::send(uint64_t number, Instant now) {
  ShopOp op = mix_.next();
  if (!is_warmup(number)) send_late_max_ = std::max(send_late_max_, now - loop_.due_at(number));
  if (in_flight_ < options_.in_flight_max) {
    in_flight_seen_max_ = std::max(in_flight_seen_max_, ++in_flight_);
    client_.start(number, std::move(op));
    return;
  }
  FinishedCall refused;
  refused.number = number;
  refused.kind = op.kind;
  refused.status = kResourceExhausted;
  refused.products = std::move(op.products);
  refused.message = "the shop's own limit of requests in flight (--in-flight-max)";
  refused.start_us = refused.end_us = io::unix_now_us();
  refused.started = refused.ended = now;
  finish(refused);
}

void ShopRun::take_finished() {
  for (const FinishedCall& call : mailbox_.take()) {
    --in_flight_;
    finish(call);
  }
}

void ShopRun::finish(const FinishedCall& call) {
  log_call(call);
  count(second_, call);
  if (call.number < arrivals_cold_) count(cold_, call);
  count(is_warmup(call.number) ? warmup_ : measured_, call);
  const Duration latency = call.ended - loop_.due_at(call.number);
  second_latency_.record("all", latency);
  if (call.status != 0) error_examples_.try_emplace(grpc_status_name(call.status), call.message);
  for (const RowAnswer& row : call.rows) {
    if (row.kind == RecordKind::kError) error_examples_.try_emplace(grpc_status_name(row.error), call.message);
  }
  if (is_warmup(call.number)) return;
  request_max_ = std::max(request_max_, call.ended - call.started);
  by_operation_.record(name_of(call.kind), latency);
  if (call.status == 0 && call.kind == ShopOpKind::kGet)
    by_origin_.record(to_string(call.rows.front().origin), latency);
}

void ShopRun::count(Part& part, const FinishedCall& call) const {
  ++part.requests;
  ++part.requests_by_operation[std::string(name_of(call.kind))];
  if (call.status != 0) {
    ++part.errors[grpc_status_name(call.status)];
    return;
  }
  ++part.answered;
  if (!is_read(call.kind)) return;
  for (const RowAnswer& row : call.rows) {
    if (row.kind == RecordKind::kError) {
      ++part.errors[grpc_status_name(row.error)];
      continue;
    }
    ++part.rows;
    ++part.rows_by_origin[std::string(to_string(row.origin))];
    if (row.origin == Origin::kNode) ++part.rows_from_node;
  }
}

void ShopRun::log_call(const FinishedCall& call) {
  if (log_ == nullptr) return;
  AnswerRecord record;
  record.request = static_cast<uint32_t>(call.number);
  record.is_warmup = is_warmup(call.number);
  record.start_us = call.start_us;
  record.end_us = call.end_us;
  if (call.status != 0) {
    record.kind = RecordKind::kError;
    record.error = call.status;
    for (const uint32_t product : call.products) {
      record.product = product;
      log_->append(record);
    }
    return;
  }
  for (const RowAnswer& row : call.rows) {
    record.kind = row.kind;
    record.error = row.error;
    record.origin = row.origin;
    record.product = row.product;
    record.bound_ms = row.bound_ms;
    record.version = row.version;
    record.content = row.content;
    log_->append(record);
  }
}

void ShopRun::report_progress(Instant now) {
  if (now < next_progress_) return;
  next_progress_ += seconds(1);
  if (options_.on_progress) {
    uint64_t errors = 0;
    for (const auto& [kind, count] : second_.errors) errors += count;
    options_.on_progress({{"second", (now - begin_) / seconds(1)},
                          {"phase", now - begin_ < options_.warmup ? "warmup" : "run"},
                          {"requests", second_.requests},
                          {"hit_ratio", second_.hit_ratio()},
                          {"errors", errors},
                          {"in_flight", in_flight_},
                          {"latency_ms", second_latency_.to_json_ms()}});
  }
  second_ = Part{};
  second_latency_ = LatencyRecorder();
}

nlohmann::json ShopRun::report() const {
  const auto to_ms = [](Duration duration) { return static_cast<double>(duration.count()) / 1000; };
  return {{"requests", measured_.requests},
          {"answered", measured_.answered},
          {"rows", measured_.rows},
          {"rows_by_origin", measured_.rows_by_origin},
          {"requests_by_operation", measured_.requests_by_operation},
          {"hit_ratio", measured_.hit_ratio()},
          {"hit_ratio_cold", cold_.hit_ratio()},
          {"rows_cold", cold_.rows},
          {"requests_warmup", warmup_.requests},
          {"errors", measured_.errors},
          {"errors_warmup", warmup_.errors},
          {"error_examples", error_examples_},
          {"latency_ms", by_origin_.to_json_ms()},
          {"latency_by_operation_ms", by_operation_.to_json_ms()},
          {"request_ms_max", to_ms(request_max_)},
          {"send_late_ms_max", to_ms(send_late_max_)},
          {"in_flight_max", in_flight_seen_max_},
          {"answers_logged", log_ == nullptr ? 0 : log_->written()},
          {"answers_dropped", log_ == nullptr ? 0 : log_->dropped()},
          {"rate", options_.rate},
          {"seconds", to_ms(options_.seconds) / 1000},
          {"warmup_seconds", to_ms(options_.warmup) / 1000},
          {"cold_seconds", to_ms(options_.cold) / 1000},
          {"seed", options_.mix.seed}};
}

}  // namespace tidemark::bench
