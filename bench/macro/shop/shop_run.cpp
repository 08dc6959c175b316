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
    case ShopOpKind::kListSection:
      return "list_section";
    case ShopOpKind::kSearch:
      return "search_products";
    case ShopOpKind::kVisit:
      return "visit";
  }
  return "unknown";
}

std::string_view name_of(const FinishedCall& call) {
  return call.event ? to_string(call.event->action) : name_of(call.kind);
}

bool is_read(ShopOpKind kind) {
  return kind == ShopOpKind::kGet || kind == ShopOpKind::kBatchGet || kind == ShopOpKind::kListSection ||
         kind == ShopOpKind::kSearch;
}

bool has_failed(const FinishedCall& call) {
  return call.status != 0 && !(call.event && is_expected(call.event->action, call.status));
}

std::chrono::steady_clock::time_point to_std(Instant instant) {
  return std::chrono::steady_clock::time_point(instant.time_since_epoch());
}

uint64_t arrivals_in(double rate, Duration duration) {
  return static_cast<uint64_t>(rate * static_cast<double>(duration.count()) / 1e6);
}

}  // namespace

ShopRun::ShopRun(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(parts),
      mix_(options_.mix, &parts.names),
      loop_(Instant{}, options_.rate),
      arrivals_(arrivals_in(options_.rate, options_.warmup + options_.seconds)) {}

void ShopRun::run() {
  begin_ = io::steady_now();
  next_progress_ = begin_ + seconds(1);
  loop_ = OpenLoop(begin_, options_.rate);
  while (!is_over() && !(options_.should_stop && options_.should_stop())) {
    const Instant now = io::steady_now();
    send_due(now);
    send_later_ones(now);
    take_finished();
    report_progress(now);
    parts_.mailbox.wait_until(to_std(next_wake(now)), kBatchOfFinished);
  }
}

Instant ShopRun::next_wake(Instant now) const {
  const Instant wake = sent_ < arrivals_ ? std::max(loop_.due_at(sent_), now + kTurn / 4) : now + kTurn;
  return std::min(wake, now + kTurn);
}

void ShopRun::send_due(Instant now) {
  for (const uint64_t due = std::min(loop_.due_before(now), arrivals_); sent_ < due; ++sent_) {
    const Instant due_at = loop_.due_at(sent_);
    if (!is_warmup(due_at)) send_late_max_ = std::max(send_late_max_, now - due_at);
    ShopOp op = mix_.next();
    if (op.kind == ShopOpKind::kVisit) {
      auto call = parts_.customers ? parts_.customers->arrive() : std::nullopt;
      if (call) {
        send(std::move(*call), now, due_at);
        continue;
      }
      op = mix_.get_product();  // every customer is busy: somebody else looks around
    }
    if (op.kind == ShopOpKind::kListSection) {
      if (sections_.empty())
        op = mix_.get_product();  // nobody has seen one yet
      else
        op.text = sections_[next_section_++ % sections_.size()];
    }
    send(std::move(op), now, due_at);
  }
}

void ShopRun::send_later_ones(Instant now) {
  while (!later_.empty() && later_.begin()->first <= now) {
    auto first = later_.extract(later_.begin());
    send(std::move(first.mapped()), now, first.key());
  }
}

bool ShopRun::may_send() {
  if (in_flight_ >= options_.in_flight_max) return false;
  in_flight_seen_max_ = std::max(in_flight_seen_max_, ++in_flight_);
  return true;
}

void ShopRun::send(ShopOp op, Instant now, Instant due) {
  const uint64_t number = next_number_++;
  if (may_send()) return parts_.client.start(number, due, std::move(op));
  refuse({.number = number, .kind = op.kind, .products = std::move(op.products), .due = due}, now);
}

void ShopRun::send(Customers::Call call, Instant now, Instant due) {
  const uint64_t number = next_number_++;
  if (may_send()) return parts_.customer_client->start(number, due, std::move(call));
  refuse({.number = number, .kind = ShopOpKind::kVisit, .event = std::move(call.request), .due = due}, now);
}

void ShopRun::refuse(FinishedCall refused, Instant now) {
  refused.status = kResourceExhausted;
  refused.message = "the shop's own limit of requests in flight (--in-flight-max)";
  refused.start_us = refused.end_us = io::unix_now_us();
  refused.started = refused.ended = now;
  if (refused.event) {
    refused.event->status = refused.status;
    refused.event->message = refused.message;
    refused.event->start_us = refused.event->end_us = refused.end_us;
  }
  finish(std::move(refused));
}

void ShopRun::take_finished() {
  for (FinishedCall& call : parts_.mailbox.take()) {
    --in_flight_;
    finish(std::move(call));
  }
}

void ShopRun::finish(FinishedCall call) {
  const bool warmup = is_warmup(call.due);
  if (call.event) call.event->is_warmup = warmup;
  log_call(call);
  count(second_, call);
  if (call.due < begin_ + std::min(options_.cold, options_.warmup)) count(cold_, call);
  count(warmup ? warmup_ : measured_, call);
  const Duration latency = call.ended - call.due;
  second_latency_.record("all", latency);
  if (has_failed(call)) error_examples_.try_emplace(grpc_status_name(call.status), call.message);
  for (const RowAnswer& row : call.rows) {
    if (row.kind == RecordKind::kError) error_examples_.try_emplace(grpc_status_name(row.error), call.message);
  }
  remember_section(call);
  if (!warmup) {
    request_max_ = std::max(request_max_, call.ended - call.started);
    by_operation_.record(name_of(call), latency);
    if (call.status == 0 && call.kind == ShopOpKind::kGet)
      by_origin_.record(to_string(call.rows.front().origin), latency);
  }
  if (call.event) finish_visit(call);
}

void ShopRun::finish_visit(FinishedCall& call) {
  auto next = parts_.customers->answered(*call.event, call.token);
  if (!next) return;
  const Instant due = call.ended + next->delay;
  later_.emplace(due, std::move(*next));
}

void ShopRun::remember_section(const FinishedCall& call) {
  if (call.section.empty()) return;
  if (sections_.size() < kSectionsKept)
    sections_.push_back(call.section);
  else
    sections_[call.number % kSectionsKept] = call.section;
}

void ShopRun::count(Part& part, const FinishedCall& call) const {
  ++part.requests;
  ++part.requests_by_operation[std::string(name_of(call))];
  if (has_failed(call)) {
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
  if (call.event) {
    if (parts_.events) parts_.events->append(*call.event);
    return;
  }
  if (parts_.answers == nullptr) return;
  AnswerRecord record;
  record.request = static_cast<uint32_t>(call.number);
  record.is_warmup = is_warmup(call.due);
  record.start_us = call.start_us;
  record.end_us = call.end_us;
  if (call.status != 0) {
    record.kind = RecordKind::kError;
    record.error = call.status;
    const std::vector<uint32_t> none = {kNoProduct};
    for (const uint32_t product : call.products.empty() ? none : call.products) {
      record.product = product;
      parts_.answers->append(record);
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
    parts_.answers->append(record);
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
          {"answers_logged", parts_.answers == nullptr ? 0 : parts_.answers->written()},
          {"answers_dropped", parts_.answers == nullptr ? 0 : parts_.answers->dropped()},
          {"events_logged", parts_.events == nullptr ? 0 : parts_.events->written()},
          {"events_dropped", parts_.events == nullptr ? 0 : parts_.events->dropped()},
          {"retries", parts_.customers == nullptr ? 0 : parts_.customers->retries()},
          {"given_up", parts_.customers == nullptr ? 0 : parts_.customers->given_up()},
          {"rate", options_.rate},
          {"seconds", to_ms(options_.seconds) / 1000},
          {"warmup_seconds", to_ms(options_.warmup) / 1000},
          {"cold_seconds", to_ms(options_.cold) / 1000},
          {"seed", options_.mix.seed}};
}

}  // namespace tidemark::bench
