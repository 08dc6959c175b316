#include "bench/macro/shop_event.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace tidemark::bench {
namespace {

using Json = nlohmann::json;

// gRPC's codes.
constexpr uint8_t kOk = 0, kDeadlineExceeded = 4, kNotFound = 5, kResourceExhausted = 8, kFailedPrecondition = 9,
                  kAborted = 10, kUnavailable = 14;

constexpr std::array<std::string_view, kCustomerActionCount> kActionNames = {
    "create_session", "get_session", "touch_session", "revoke_session",
    "place_order",    "get_order",   "list_orders",   "cancel_order"};
constexpr std::array<std::string_view, 6> kStageNames = {"unknown",    "pending",   "confirmed",
                                                         "cancelling", "cancelled", "failed"};

template <typename Value>
void put(Json& json, const char* name, const Value& value, const Value& usual) {
  if (value != usual) json[name] = value;
}

Json encode_orders(const std::vector<OrderSeen>& orders) {
  Json json = Json::array();
  for (const OrderSeen& order : orders)
    json.push_back({{"id", order.id}, {"stage", to_string(order.stage)}, {"version", order.version}});
  return json;
}

Json encode_lines(const std::vector<OrderedLine>& lines) {
  Json json = Json::array();
  for (const OrderedLine& line : lines) json.push_back({{"sku", line.sku}, {"quantity", line.quantity}});
  return json;
}

// Throws nlohmann's exceptions; decode_event turns them into errors.
ShopEvent decode(const Json& json) {
  ShopEvent event;
  const auto action = std::ranges::find(kActionNames, json.at("action").get<std::string>());
  if (action == kActionNames.end()) throw std::invalid_argument("unknown action");
  event.action = static_cast<CustomerAction>(action - kActionNames.begin());
  event.customer = json.value("customer", event.customer);
  event.customer_id = json.value("customer_id", event.customer_id);
  event.session = json.value("session", event.session);
  event.has_carried_token = json.value("has_carried_token", false);
  event.key = json.value("key", event.key);
  event.attempt = json.value("attempt", event.attempt);
  event.order_id = json.value("order_id", event.order_id);
  event.status = json.value("status", event.status);
  event.message = json.value("message", event.message);
  event.origin = parse_origin(json.value("origin", std::string()));
  event.bound_ms = json.value("bound_ms", event.bound_ms);
  event.version = json.value("version", event.version);
  event.is_replayed = json.value("is_replayed", false);
  event.was_revoked = json.value("was_revoked", false);
  event.has_more = json.value("has_more", false);
  event.is_warmup = json.value("is_warmup", false);
  event.start_us = json.value("start_us", event.start_us);
  event.end_us = json.value("end_us", event.end_us);
  for (const Json& line : json.value("lines", Json::array()))
    event.lines.push_back({line.at("sku").get<std::string>(), line.at("quantity").get<int64_t>()});
  for (const Json& order : json.value("orders", Json::array())) {
    event.orders.push_back({order.at("id").get<int64_t>(), parse_order_stage(order.at("stage").get<std::string>()),
                            order.at("version").get<int64_t>()});
  }
  return event;
}

}  // namespace

std::string_view to_string(CustomerAction action) {
  return kActionNames[static_cast<size_t>(action)];
}

bool is_order_action(CustomerAction action) {
  return action >= CustomerAction::kPlaceOrder;
}

std::string_view to_string(OrderStage stage) {
  return kStageNames[static_cast<size_t>(stage)];
}

OrderStage parse_order_stage(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  const auto found = std::ranges::find(kStageNames, lower);
  return found == kStageNames.end() ? OrderStage::kUnknown : static_cast<OrderStage>(found - kStageNames.begin());
}

bool is_expected(CustomerAction action, uint8_t status) {
  if (status == kOk) return true;
  switch (action) {
    case CustomerAction::kGetSession:
    case CustomerAction::kTouchSession:
    case CustomerAction::kGetOrder:
      return status == kNotFound;  // the oracles know whether it is true
    case CustomerAction::kPlaceOrder:
    case CustomerAction::kCancelOrder:
      return status == kFailedPrecondition;  // sold out; too late to be cancelled
    case CustomerAction::kCreateSession:
    case CustomerAction::kRevokeSession:
    case CustomerAction::kListOrders:
      return false;
  }
  return false;
}

bool is_retryable(uint8_t status) {
  return status == kDeadlineExceeded || status == kResourceExhausted || status == kAborted || status == kUnavailable;
}

std::string encode_event(const ShopEvent& event) {
  static const ShopEvent kUsual;
  Json json{{"action", to_string(event.action)},
            {"customer", event.customer},
            {"status", event.status},
            {"start_us", event.start_us},
            {"end_us", event.end_us}};
  put(json, "customer_id", event.customer_id, kUsual.customer_id);
  put(json, "session", event.session, kUsual.session);
  put(json, "has_carried_token", event.has_carried_token, false);
  put(json, "key", event.key, kUsual.key);
  put(json, "attempt", event.attempt, kUsual.attempt);
  put(json, "order_id", event.order_id, kUsual.order_id);
  put(json, "message", event.message, kUsual.message);
  put(json, "bound_ms", event.bound_ms, kUsual.bound_ms);
  put(json, "version", event.version, kUsual.version);
  put(json, "is_replayed", event.is_replayed, false);
  put(json, "was_revoked", event.was_revoked, false);
  put(json, "has_more", event.has_more, false);
  put(json, "is_warmup", event.is_warmup, false);
  if (event.origin != Origin::kUnknown) json["origin"] = to_string(event.origin);
  if (!event.lines.empty()) json["lines"] = encode_lines(event.lines);
  if (!event.orders.empty()) json["orders"] = encode_orders(event.orders);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<ShopEvent> decode_event(std::string_view line) {
  try {
    return decode(Json::parse(line));
  } catch (const std::exception& error) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("not an event of the shop: {}: '{}'", error.what(), line.substr(0, 200)));
  }
}

}  // namespace tidemark::bench
