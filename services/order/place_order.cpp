#include "services/order/place_order.h"

#include <algorithm>
#include <map>
#include <utility>

#include "services/platform/kill_point.h"

namespace tidemark::order {
namespace {

using client::Callback;
using client::WriteOptions;
using services::kill_point;

Error refusal_of(ReserveOutcome outcome, const std::string& sku) {
  switch (outcome) {
    case ReserveOutcome::kOutOfStock:
      return {ErrorCode::kFailedPrecondition, "sku \"" + sku + "\": not enough in stock"};
    case ReserveOutcome::kNoProduct:
      return {ErrorCode::kFailedPrecondition, "sku \"" + sku + "\": there is no such product"};
    case ReserveOutcome::kReserved:
    case ReserveOutcome::kGone:
    case ReserveOutcome::kConflict:
      break;
  }
  // The id is this call's own: only its own lateness can have done that.
  return {ErrorCode::kAborted, "sku \"" + sku + "\": its reservation has ended meanwhile; try again"};
}

std::string reason_of(ReserveOutcome outcome) {
  if (outcome == ReserveOutcome::kOutOfStock) return "out_of_stock";
  return outcome == ReserveOutcome::kNoProduct ? "no_product" : "overtaken";
}

bool may_have_been_done(const Error& error) {
  return error.code == ErrorCode::kOutcomeUnknown || error.code == ErrorCode::kDeadlineExceeded ||
         error.code == ErrorCode::kInternal;
}

bool has_same_lines(const pb::Order& order, const std::vector<PlaceRequest::Line>& lines) {
  std::map<std::string, int64_t> wanted, had;
  for (const PlaceRequest::Line& line : lines) wanted[line.sku] = line.quantity;
  for (const pb::OrderLine& line : order.lines()) had[line.sku()] = line.quantity();
  return wanted == had;
}

}  // namespace

void PlaceOrder::start(std::shared_ptr<OrderStore> store, std::shared_ptr<OrderMetrics> metrics, PlaceSettings settings,
                       PlaceRequest request, WriteOptions options, Callback<Result<Placed>> done) {
  std::make_shared<PlaceOrder>(std::move(store), std::move(metrics), std::move(settings), std::move(request),
                               std::move(options), std::move(done))
      ->look_up();
}

PlaceOrder::PlaceOrder(std::shared_ptr<OrderStore> store, std::shared_ptr<OrderMetrics> metrics, PlaceSettings settings,
                       PlaceRequest request, WriteOptions options, Callback<Result<Placed>> done)
    : store_(std::move(store)),
      metrics_(std::move(metrics)),
      settings_(std::move(settings)),
      request_(std::move(request)),
      options_(std::move(options)),
      deadline_(settings_.now() + options_.timeout),
      done_(std::move(done)) {}

void PlaceOrder::look_up() {
  store_->find_by_key(request_.customer_id, request_.key, time_left(),
                      [self = shared_from_this()](Result<std::optional<pb::Order>> found) {
                        kill_point("order.looked_up");
                        if (!found) return self->finish(std::unexpected(found.error()));
                        if (*found) return self->answer_replay(std::move(**found));
                        self->reserve_all();
                      });
}

void PlaceOrder::reserve_all() {
  auto id = settings_.new_order_id(bucket_of_row_id(request_.customer_id));
  if (!id) return finish(std::unexpected(id.error().with_context("a new order's id")));
  order_.set_id(*id);
  order_.set_customer_id(request_.customer_id);
  for (const PlaceRequest::Line& line : request_.lines) {
    pb::OrderLine& out = *order_.add_lines();
    out.set_sku(line.sku);
    out.set_quantity(line.quantity);
  }
  under_way_ = request_.lines.size();
  for (size_t line = 0; line < request_.lines.size(); ++line) reserve(line, 1);
}

void PlaceOrder::reserve(size_t line, int attempt) {
  store_->reserve(key_of(line), settings_.reservation_ttl, write_options(),
                  [self = shared_from_this(), line, attempt](Result<Reserved> reserved) {
                    if (!reserved && self->may_ask_again(reserved.error(), attempt)) {
                      return self->reserve(line, attempt + 1);
                    }
                    self->on_reserved(line, std::move(reserved));
                  });
}

void PlaceOrder::on_reserved(size_t line, Result<Reserved> reserved) {
  const std::string& sku = request_.lines[line].sku;
  if (!reserved) {
    if (!trouble_) trouble_ = reserved.error().with_context("sku \"" + sku + "\"");
  } else if (reserved->outcome == ReserveOutcome::kReserved) {
    order_.mutable_lines(static_cast<int>(line))->set_price_cents(reserved->price_cents);
    order_.set_total_cents(order_.total_cents() + reserved->price_cents * request_.lines[line].quantity);
  } else if (!refusal_) {
    metrics_->count_refused(reason_of(reserved->outcome));
    refusal_ = refusal_of(reserved->outcome, sku);
  }
  kill_point("order.reserved_first");
  if (--under_way_ > 0) return;
  if (!refusal_ && !trouble_) {
    kill_point("order.reserved");
    return place(1);
  }
  release_all([self = shared_from_this()] {
    kill_point("order.released");
    self->finish(std::unexpected(self->refusal_ ? *self->refusal_ : *self->trouble_));
  });
}

void PlaceOrder::place(int attempt) {
  store_->place(order_, request_.key, write_options(), [self = shared_from_this(), attempt](Result<pb::Order> placed) {
    if (!placed) self->may_be_placed_ |= may_have_been_done(placed.error());
    if (!placed && self->may_ask_again(placed.error(), attempt)) return self->place(attempt + 1);
    self->on_placed(std::move(placed));
  });
}

void PlaceOrder::on_placed(Result<pb::Order> placed) {
  if (placed) {
    kill_point("order.placed");
    if (placed->id() == order_.id()) {
      metrics_->count("placed");
      return finish(Placed{.order = std::move(*placed)});
    }
    // Another request with this key was quicker.
    return release_all(
        [self = shared_from_this(), order = std::move(*placed)]() mutable { self->answer_replay(std::move(order)); });
  }
  // Only where no attempt can have written it is the stock given back at once. A release is final: had the order been
  // written after all, its relay could only let it fail.
  if (may_be_placed_) {
    metrics_->count("unknown");
    return finish(fail(ErrorCode::kOutcomeUnknown, placed.error().message + " (ask again with the same key)"));
  }
  release_all([self = shared_from_this(), error = placed.error()] { self->finish(std::unexpected(error)); });
}

// Every line, also those that were not had: a request that is still on its way must find that it comes too late.
void PlaceOrder::release_all(std::function<void()> then) {
  under_way_ = request_.lines.size();
  for (size_t line = 0; line < request_.lines.size(); ++line) {
    store_->release(key_of(line), {.timeout = kReleaseTimeout}, [self = shared_from_this(), then](Status) {
      // What could not be released expires.
      if (--self->under_way_ == 0) then();
    });
  }
}

void PlaceOrder::answer_replay(pb::Order order) {
  Placed placed{.order = std::move(order), .is_replay = true};
  placed.has_same_lines = has_same_lines(placed.order, request_.lines);
  if (placed.has_same_lines) {
    metrics_->count("replayed");
  } else {
    metrics_->count_refused("other_lines");
  }
  finish(std::move(placed));
}

void PlaceOrder::finish(Result<Placed> answer) {
  done_(std::move(answer));
}

WriteOptions PlaceOrder::write_options() const {
  WriteOptions options = options_;
  options.timeout = std::max(Duration::zero(), time_left());
  return options;
}

ReservationKey PlaceOrder::key_of(size_t line) const {
  const PlaceRequest::Line& wanted = request_.lines[line];
  return {.bucket = bucket_of_natural_key(wanted.sku),
          .sku = wanted.sku,
          .order_id = order_.id(),
          .quantity = wanted.quantity};
}

bool PlaceOrder::may_ask_again(const Error& error, int attempt) const {
  const bool helps = error.code == ErrorCode::kAborted || error.code == ErrorCode::kOutcomeUnknown;
  return helps && attempt < kAttemptsMax && time_left() > Duration::zero();
}

}  // namespace tidemark::order
