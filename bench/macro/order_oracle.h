// Judges the orders of a run: what the shop was told (its events) against what the database holds in the end.
//
//   lost        an acknowledged order that is not there exactly once, or with other lines, or of another customer
//   oversold    units of a product in orders that hold or have got them, beyond what there was; or stock below zero
//   unbalanced  a product where  stock at first != stock left + units in active reservations
//   unreserved  a confirmed order whose lines its confirmed reservations do not cover exactly, or an order that ended
//               (cancelled, failed) and still has active reservations
//   unfinished  an order still pending or cancelling after the time given to the relays
//   replays     the same idempotency key answered with another order, or two orders of one key in the database
//
// "Active" is a reservation that still takes stock: held or confirmed. Example: 5 at first, orders of 3 and 2
// confirmed, stock left 0: right. A third order of 1 confirmed as well: oversold by 1, and by a stock of -1 or an
// unbalanced product wherever the service hid it. Threads: a value. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/macro/shop_event.h"

namespace tidemark::bench {

// The end of a run as SQL gives it, all shards together.
struct ShopState {
  struct Product {
    int64_t stock_at_first = 0;
    int64_t stock_left = 0;
  };
  struct Order {
    int64_t id = 0;
    int64_t customer_id = 0;
    std::string key{};
    OrderStage stage = OrderStage::kUnknown;
    std::vector<OrderedLine> lines{};
  };
  enum class Hold : uint8_t { kHeld, kConfirmed, kGone };
  struct Reservation {
    int64_t order_id = 0;
    std::string sku{};
    int64_t quantity = 0;
    Hold hold = Hold::kHeld;
  };

  std::map<std::string, Product> products;  // those that can be ordered
  std::vector<Order> orders{};
  std::vector<Reservation> reservations{};
  uint64_t outbox_left = 0;
};

struct OrderFigures {
  uint64_t placed = 0;      // orders acknowledged
  uint64_t sold_out = 0;    // refused for want of stock
  uint64_t cancels = 0;     // acknowledged
  uint64_t replays = 0;     // acknowledged again with the same key
  uint64_t unanswered = 0;  // idempotency keys that never had an answer; their orders may or may not be there
  uint64_t lost = 0, oversold = 0, unbalanced = 0, unreserved = 0, unfinished = 0, replays_differ = 0;
  uint64_t held_without_order = 0;          // units reserved for orders that never came to be (they expire): not wrong
  std::map<std::string, uint64_t> sagas{};  // orders in the database, by stage
  std::vector<std::string> examples{};
};

class OrderOracle {
 public:
  static constexpr size_t kExamplesMax = 10;

  void add(const ShopEvent& event);
  OrderFigures judge(const ShopState& state) const;

 private:
  struct Placed {
    int64_t customer_id = 0;
    std::vector<OrderedLine> lines{};  // sorted
    int64_t order_id = 0;              // 0: no answer yet
    bool is_refused = false;
  };

  void add_place(const ShopEvent& event);

  std::map<std::pair<uint32_t, std::string>, Placed> placed_;  // by customer and key
  OrderFigures figures_;                                       // what the events alone tell
};

}  // namespace tidemark::bench
