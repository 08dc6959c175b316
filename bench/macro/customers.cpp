#include "bench/macro/customers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/invariant.h"

namespace tidemark::bench {
namespace {

constexpr uint8_t kOk = 0;

}  // namespace

Customers::Customers(const Options& options, const std::vector<std::string>& names, Goods goods)
    : options_(options), names_(names), goods_(goods), random_(options.seed), customers_(options.count) {
  INVARIANT(options.count > 0, options.count);
  INVARIANT(goods.count() > 0, goods.count());
}

ShopEvent Customers::request(const Customer& customer, CustomerAction action) const {
  ShopEvent request;
  request.action = action;
  request.customer = static_cast<uint32_t>(&customer - customers_.data());
  request.customer_id = customer.id;
  request.session = customer.session;
  return request;
}

Customers::Call Customers::call(const Customer& customer, ShopEvent request) const {
  request.has_carried_token = !customer.token.empty();
  return {.request = std::move(request), .token = customer.token};
}

std::optional<Customers::Call> Customers::arrive() {
  for (uint32_t i = 0; i < kFindTries; ++i) {
    Customer& customer = customers_[random_.below(customers_.size())];
    if (customer.is_busy) continue;
    customer.is_busy = true;
    if (customer.phase == Phase::kNew) {
      customer.session.clear();
      return call(customer, request(customer, CustomerAction::kCreateSession));
    }
    const ShopEvent show = request(customer, CustomerAction::kGetSession);
    if (customer.phase == Phase::kSignedIn) return call(customer, show);
    return Call{.request = show};  // a thief has the session, but not what its owner has done since
  }
  return std::nullopt;
}

std::optional<Customers::Call> Customers::answered(const ShopEvent& event, const std::string& token) {
  Customer& customer = customers_.at(event.customer);
  INVARIANT(customer.is_busy, event.customer);
  if (!token.empty() && event.has_carried_token == !customer.token.empty()) customer.token = token;
  auto next = next_of(customer, event);
  customer.is_busy = next.has_value();
  return next;
}

std::optional<Customers::Call> Customers::next_of(Customer& customer, const ShopEvent& event) {
  const bool is_write = event.action == CustomerAction::kPlaceOrder || event.action == CustomerAction::kCancelOrder ||
                        event.action == CustomerAction::kRevokeSession;
  if (is_write && is_retryable(event.status)) {
    if (event.attempt + 1 < kAttemptsMax) return retry_of(event);
    ++given_up_;
    // Whether the session still lives is not known: it is left alone.
    if (event.action == CustomerAction::kRevokeSession) customer.phase = Phase::kNew;
    return std::nullopt;
  }
  return is_order_action(event.action) ? after_order(customer, event) : after_session(customer, event);
}

std::optional<Customers::Call> Customers::retry_of(const ShopEvent& event) {
  ++retries_;
  const Customer& customer = customers_[event.customer];
  ShopEvent again = request(customer, event.action);
  again.key = event.key;
  again.lines = event.lines;
  again.order_id = event.order_id;
  again.attempt = event.attempt + 1;
  Call next = call(customer, std::move(again));
  next.delay = std::min<Duration>(kFirstPause * (1 << event.attempt), kPauseMax);
  return next;
}

std::optional<Customers::Call> Customers::after_session(Customer& customer, const ShopEvent& event) {
  switch (event.action) {
    case CustomerAction::kCreateSession:
      if (event.status != kOk) return std::nullopt;
      customer.phase = Phase::kSignedIn;
      customer.id = event.customer_id;
      customer.session = event.session;
      return call(customer, request(customer, CustomerAction::kGetSession));
    case CustomerAction::kGetSession:
      if (customer.phase == Phase::kSignedOut) {
        if (!event.has_carried_token && --customer.tries_left == 0) customer.phase = Phase::kNew;
        return std::nullopt;
      }
      if (event.status == kOk) return visit(customer);
      if (is_expected(event.action, event.status)) customer.phase = Phase::kNew;  // the oracle judges that
      return std::nullopt;
    case CustomerAction::kRevokeSession:
      if (event.status != kOk) return std::nullopt;
      customer.phase = Phase::kSignedOut;
      customer.tries_left = kStolenTries;
      return call(customer, request(customer, CustomerAction::kGetSession));
    default:
      return std::nullopt;
  }
}

// What a customer does once the shop knows who it is.
std::optional<Customers::Call> Customers::visit(Customer& customer) {
  double dice = random_.uniform();
  if ((dice -= options_.place_share) < 0) return place(customer, request(customer, CustomerAction::kPlaceOrder));
  if ((dice -= options_.touch_share) < 0) return call(customer, request(customer, CustomerAction::kTouchSession));
  if ((dice -= options_.list_share) < 0) return call(customer, request(customer, CustomerAction::kListOrders));
  if ((dice -= options_.revoke_share) < 0) return call(customer, request(customer, CustomerAction::kRevokeSession));
  const bool wants_get = (dice -= options_.get_share) < 0;
  const bool wants_cancel = !wants_get && (dice -= options_.cancel_share) < 0;
  if ((!wants_get && !wants_cancel) || customer.orders.empty()) return std::nullopt;
  ShopEvent next = request(customer, wants_get ? CustomerAction::kGetOrder : CustomerAction::kCancelOrder);
  next.order_id = customer.orders[random_.below(customer.orders.size())];
  if (wants_cancel) std::erase(customer.orders, next.order_id);
  return call(customer, std::move(next));
}

Customers::Call Customers::place(Customer& customer, ShopEvent request) {
  request.key = fmt::format("{}-{}-{}", options_.seed, request.customer, ++customer.keys);
  request.lines = pick_lines();
  return call(customer, std::move(request));
}

// Different products; the hot ones more often.
std::vector<OrderedLine> Customers::pick_lines() {
  const uint64_t wanted = std::min<uint64_t>(1 + random_.below(kLinesMax), goods_.count());
  std::vector<OrderedLine> lines;
  for (uint32_t tries = 0; lines.size() < wanted && tries < kLinesMax * 8; ++tries) {
    const bool is_hot = random_.uniform() < options_.hot_share;
    const auto place = static_cast<uint32_t>(random_.below(is_hot ? goods_.hot_count() : goods_.count()));
    const std::string& sku = names_[goods_.product_at(place)];
    const bool is_taken = std::ranges::any_of(lines, [&](const OrderedLine& line) { return line.sku == sku; });
    if (!is_taken) lines.push_back({sku, 1 + static_cast<int64_t>(random_.below(kQuantityMax))});
  }
  return lines;
}

std::optional<Customers::Call> Customers::after_order(Customer& customer, const ShopEvent& event) {
  if (event.status != kOk) return std::nullopt;
  if (event.action == CustomerAction::kCancelOrder)
    return look_back(customer, request(customer, CustomerAction::kGetOrder), event.order_id);
  if (event.action != CustomerAction::kPlaceOrder || event.orders.empty()) return std::nullopt;
  const int64_t order = event.orders.front().id;
  const bool is_known = std::ranges::find(customer.orders, order) != customer.orders.end();
  if (!is_known) customer.orders.push_back(order);
  if (customer.orders.size() > kOrdersKept) customer.orders.pop_front();
  if (!is_known && random_.uniform() < options_.double_click_share) {
    ShopEvent again = request(customer, CustomerAction::kPlaceOrder);
    again.key = event.key;
    again.lines = event.lines;
    return call(customer, std::move(again));
  }
  const bool wants_list = random_.uniform() < 0.5;
  return look_back(customer, request(customer, wants_list ? CustomerAction::kListOrders : CustomerAction::kGetOrder),
                   order);
}

// Reads what it has just done.
std::optional<Customers::Call> Customers::look_back(Customer& customer, ShopEvent request, int64_t order) {
  if (request.action == CustomerAction::kGetOrder) request.order_id = order;
  return call(customer, std::move(request));
}

}  // namespace tidemark::bench
