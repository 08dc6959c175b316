// One finished call of a customer to the session or order service: what was asked, what came, and when.
//
// Sessions and orders have no list of names known beforehand, as products have, so their calls are written down one
// JSON line each, for oracles and people alike:
//
//     {"action":"place_order","customer":7,"customer_id":1234,"key":"1-7-3","lines":[{"sku":"0ad","quantity":2}],
//      "status":0,"orders":[{"id":99,"stage":"pending","version":1}],"start_us":…,"end_us":…}
//
// Fields at their default are left out. Threads: values. I/O: none here; encode and decode only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/macro/answer_log.h"

namespace tidemark::bench {

enum class CustomerAction : uint8_t {
  kCreateSession,
  kGetSession,
  kTouchSession,
  kRevokeSession,
  kPlaceOrder,
  kGetOrder,
  kListOrders,
  kCancelOrder,
};
inline constexpr size_t kCustomerActionCount = 8;
std::string_view to_string(CustomerAction action);  // "place_order"
bool is_order_action(CustomerAction action);

enum class OrderStage : uint8_t { kUnknown, kPending, kConfirmed, kCancelling, kCancelled, kFailed };
std::string_view to_string(OrderStage stage);         // "pending"
OrderStage parse_order_stage(std::string_view text);  // in any case; anything else: kUnknown

struct OrderedLine {
  std::string sku{};
  int64_t quantity = 0;

  bool operator==(const OrderedLine&) const = default;
  auto operator<=>(const OrderedLine&) const = default;
};

struct OrderSeen {
  int64_t id = 0;
  OrderStage stage = OrderStage::kUnknown;
  int64_t version = 0;  // row_version

  bool operator==(const OrderSeen&) const = default;
};

struct ShopEvent {
  CustomerAction action = CustomerAction::kGetSession;
  uint32_t customer = 0;             // the shop's own number of it
  int64_t customer_id = 0;           // the service's; 0: not known yet
  std::string session{};             // the session's token: asked for, or created
  bool has_carried_token = false;    // the call carried the customer's x-tidemark-token
  std::string key{};                 // of place_order: the idempotency key
  uint32_t attempt = 0;              // 0: the first; later ones repeat a call that failed, with the same key
  std::vector<OrderedLine> lines{};  // of place_order, as asked for
  int64_t order_id = 0;              // of get_order and cancel_order, as asked for

  uint8_t status = 0;     // gRPC's code
  std::string message{};  // of a failed call
  Origin origin = Origin::kUnknown;
  int32_t bound_ms = kBoundMissing;
  int64_t version = 0;              // of get_session, touch_session, create_session: the row's
  bool is_replayed = false;         // of place_order, as the service says
  bool was_revoked = false;         // of revoke_session, as the service says
  std::vector<OrderSeen> orders{};  // of the answer
  bool has_more = false;            // of list_orders: there is another page
  bool is_warmup = false;
  int64_t start_us = 0, end_us = 0;  // Unix microseconds

  bool operator==(const ShopEvent&) const = default;
};

// What a call may answer without anything having failed: that there is no such session, that the stock is sold out…
bool is_expected(CustomerAction action, uint8_t status);
// A call that may simply be made again: the service could not be reached, or did not answer in time.
bool is_retryable(uint8_t status);

std::string encode_event(const ShopEvent& event);  // one line without its end
Result<ShopEvent> decode_event(std::string_view line);

}  // namespace tidemark::bench
