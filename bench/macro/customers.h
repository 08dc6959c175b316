// The customers of the shop: who signs in, comes by, orders, looks, cancels, signs out; a machine told what was
// answered.
//
//     new ──create──▶ signed in ──revoke──▶ signed out: its old session is tried kStolenTries times, then it is new
//     again
//
// A signed-in customer who comes by shows its session first (get_session) and then does one thing: looks on, touches,
// places an order, reads one, lists its own, cancels one, signs out. After an order or a cancellation it reads at once:
// with the x-tidemark-token of what it has just done it must see it. A call that could not be answered is made again
// with the same idempotency key, after growing pauses, kAttemptsMax times in all. One customer does one thing at a
// time, so its token is simply that of its last answer. After signing out the session is tried once with the token
// (must be refused at once) and then by "thieves" without one (must be refused within the bound the answer states).
//
// Same seed and same answers: same calls. Threads: a plain value. I/O: none; it is told the outcomes and reads no
// clock. Limits: Options::count customers, kOrdersKept orders remembered of each.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/macro/goods.h"
#include "bench/macro/random.h"
#include "bench/macro/shop_event.h"

namespace tidemark::bench {

class Customers {
 public:
  static constexpr uint32_t kAttemptsMax = 8;
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);  // doubled each time
  static constexpr Duration kPauseMax = std::chrono::seconds(2);
  static constexpr uint32_t kStolenTries = 3;
  static constexpr size_t kOrdersKept = 10;
  static constexpr uint32_t kLinesMax = 3;
  static constexpr int64_t kQuantityMax = 3;
  static constexpr uint32_t kFindTries = 16;  // for a customer who is not busy

  struct Options {
    uint64_t seed = 1;
    uint32_t count = 200;
    double touch_share = 0.10, place_share = 0.40, get_share = 0.10, list_share = 0.10, cancel_share = 0.05,
           revoke_share = 0.02;        // of visits; the rest looks on
    double hot_share = 0.10;           // of order lines
    double double_click_share = 0.05;  // of orders: sent again with the same key though they were answered
  };
  // `names` outlives it; `goods` says which of them can be ordered.
  Customers(const Options& options, const std::vector<std::string>& names, Goods goods);

  struct Call {
    ShopEvent request{};  // the asking half of an event
    // x-tidemark-token to carry; empty: a session of reads and writes begins; none: the caller wants none.
    std::optional<std::string> token{};
    Duration delay{};  // to be made that much later
  };
  // Somebody comes by. Nothing: everyone in sight is busy.
  std::optional<Call> arrive();
  // The outcome of a call, and the token that came with it; what that customer does next.
  std::optional<Call> answered(const ShopEvent& event, const std::string& token);

  uint64_t retries() const { return retries_; }
  uint64_t given_up() const { return given_up_; }  // calls whose last attempt failed too

 private:
  enum class Phase : uint8_t { kNew, kSignedIn, kSignedOut };
  struct Customer {
    Phase phase = Phase::kNew;
    bool is_busy = false;
    int64_t id = 0;
    std::string session{};
    std::string token{};
    std::deque<int64_t> orders;  // the newest last
    uint32_t keys = 0;           // idempotency keys used
    uint32_t tries_left = 0;     // of a signed-out session
  };

  std::optional<Call> next_of(Customer& customer, const ShopEvent& event);
  std::optional<Call> retry_of(const ShopEvent& event);
  std::optional<Call> after_session(Customer& customer, const ShopEvent& event);
  std::optional<Call> after_order(Customer& customer, const ShopEvent& event);
  std::optional<Call> visit(Customer& customer);
  Call place(Customer& customer, ShopEvent request);
  std::vector<OrderedLine> pick_lines();
  std::optional<Call> look_back(Customer& customer, ShopEvent request, int64_t order);
  ShopEvent request(const Customer& customer, CustomerAction action) const;
  Call call(const Customer& customer, ShopEvent request) const;

  Options options_;
  const std::vector<std::string>& names_;
  Goods goods_;
  Random random_;
  std::vector<Customer> customers_{};
  uint64_t retries_ = 0;
  uint64_t given_up_ = 0;
};

}  // namespace tidemark::bench
