// Stocks, reservations and orders in memory, with the outcomes that a test wants. Answers at once, on the caller's
// thread.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <utility>

#include "services/order/order_store.h"

namespace tidemark::order {

class FakeOrderStore : public OrderStore {
 public:
  using OrderKey = std::pair<int64_t, std::string>;  // customer, key

  std::map<std::string, int64_t> stocks, prices;
  std::map<std::pair<int64_t, std::string>, int64_t> held;  // (order, sku) -> quantity
  std::set<std::pair<int64_t, std::string>> released;
  std::map<OrderKey, pb::Order> orders;
  std::deque<Error> reserve_errors, place_errors;  // given instead of, or (kOutcomeUnknown) after doing it
  bool is_unknown_done = true;                     // was the write with an unknown outcome done?
  std::optional<pb::Order> overtaken_by;           // appears between look-up and place
  bool does_replica_lag = false;                   // and every read that may is answered by one
  int reserves = 0, places = 0, releases = 0, olders = 0;

  int64_t taken() const {
    int64_t sum = 0;
    for (const auto& [key, quantity] : held) sum += quantity;
    return sum;
  }

  void find_by_key(int64_t customer_id, std::string key, Duration,
                   client::Callback<Result<std::optional<pb::Order>>> done) override {
    auto found = orders.find({customer_id, key});
    done(found == orders.end() ? std::nullopt : std::optional(found->second));
  }
  void reserve(ReservationKey key, Duration, client::WriteOptions, client::Callback<Result<Reserved>> done) override {
    ++reserves;
    auto error = take(reserve_errors);
    const Reserved reserved = error && !is_done(*error) ? Reserved{} : do_reserve(key);
    if (error) return done(std::unexpected(*error));
    done(reserved);
  }
  void release(ReservationKey key, client::WriteOptions, client::Callback<Status> done) override {
    ++releases;
    released.insert({key.order_id, key.sku});
    auto found = held.find({key.order_id, key.sku});
    if (found != held.end()) {
      stocks[key.sku] += found->second;
      held.erase(found);
    }
    done({});
  }
  void place(pb::Order order, std::string key, client::WriteOptions,
             client::Callback<Result<pb::Order>> done) override {
    ++places;
    auto error = take(place_errors);
    if (error && !is_done(*error)) return done(std::unexpected(*error));
    if (overtaken_by) orders.try_emplace({order.customer_id(), key}, *overtaken_by);
    order.set_state(pb::PENDING);
    auto placed = orders.try_emplace({order.customer_id(), key}, order).first->second;
    if (error) return done(std::unexpected(*error));
    done(std::move(placed));
  }
  void cancel(int64_t order_id, client::WriteOptions,
              client::Callback<Result<std::optional<CancelOutcome>>> done) override {
    for (auto& [key, order] : orders) {
      if (order.id() != order_id) continue;
      const pb::OrderState before = order.state();
      if (before == pb::PENDING || before == pb::CONFIRMED) order.set_state(pb::CANCELLING);
      return done(CancelOutcome{before, order});
    }
    done(std::nullopt);
  }
  void get(int64_t order_id, client::ReadOptions options, client::Callback<OrderAnswer> done) override {
    if (does_replica_lag && options.may_use_replica) return done(absent(client::Origin::kReplica));
    done(options.is_cache_bypassed ? find(order_id, client::Origin::kPrimary) : find(order_id));
  }
  void get_many(std::vector<int64_t> order_ids, client::ReadOptions,
                client::Callback<std::vector<OrderAnswer>> done) override {
    std::vector<OrderAnswer> answers;
    for (int64_t id : order_ids) answers.push_back(find(id));
    done(std::move(answers));
  }
  void newest(int64_t customer_id, client::ReadOptions, client::Callback<NewestAnswer> done) override {
    pb::NewestOrders newest;
    for (int64_t id : ids_of(customer_id, INT64_MAX, kNewestOrdersMax)) newest.add_ids(id);
    done(client::Cached<pb::NewestOrders>(
        newest.ids().empty() ? nullptr : std::make_shared<const pb::NewestOrders>(newest), client::Origin::kNode, 7,
        Instant{}));
  }
  void older(int64_t customer_id, int64_t below, int limit, client::ReadOptions,
             client::Callback<Result<std::vector<int64_t>>> done) override {
    ++olders;
    done(ids_of(customer_id, below, limit));
  }

 private:
  static std::optional<Error> take(std::deque<Error>& errors) {
    if (errors.empty()) return std::nullopt;
    Error error = errors.front();
    errors.pop_front();
    return error;
  }
  bool is_done(const Error& error) const { return error.code == ErrorCode::kOutcomeUnknown && is_unknown_done; }

  Reserved do_reserve(const ReservationKey& key) {
    if (released.contains({key.order_id, key.sku})) return {ReserveOutcome::kGone};
    if (held.contains({key.order_id, key.sku})) return {ReserveOutcome::kReserved, prices[key.sku]};
    if (!stocks.contains(key.sku)) return {ReserveOutcome::kNoProduct};
    if (stocks[key.sku] < key.quantity) return {ReserveOutcome::kOutOfStock};
    stocks[key.sku] -= key.quantity;
    held[{key.order_id, key.sku}] = key.quantity;
    return {ReserveOutcome::kReserved, prices[key.sku]};
  }
  OrderAnswer find(int64_t id, client::Origin origin = client::Origin::kNode) const {
    for (const auto& [key, order] : orders) {
      if (order.id() == id) {
        return client::Cached<pb::Order>(std::make_shared<const pb::Order>(order), origin, 3, Instant{});
      }
    }
    return absent(origin);
  }
  static OrderAnswer absent(client::Origin origin) { return client::Cached<pb::Order>(nullptr, origin, 3, Instant{}); }
  std::vector<int64_t> ids_of(int64_t customer_id, int64_t below, int limit) const {
    std::set<int64_t, std::greater<>> ids;
    for (const auto& [key, order] : orders) {
      if (key.first == customer_id && order.id() < below) ids.insert(order.id());
    }
    std::vector<int64_t> out(ids.begin(), ids.end());
    if (out.size() > static_cast<size_t>(limit)) out.resize(static_cast<size_t>(limit));
    return out;
  }
};

}  // namespace tidemark::order
