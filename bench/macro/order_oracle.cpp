#include "bench/macro/order_oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace tidemark::bench {
namespace {

constexpr uint8_t kOk = 0, kFailedPrecondition = 9;

std::vector<OrderedLine> sorted(std::vector<OrderedLine> lines) {
  std::ranges::sort(lines);
  return lines;
}

bool takes_stock(OrderStage stage) {
  return stage == OrderStage::kPending || stage == OrderStage::kConfirmed;
}

bool has_ended(OrderStage stage) {
  return stage == OrderStage::kConfirmed || stage == OrderStage::kCancelled || stage == OrderStage::kFailed;
}

// One judgement: the state, indexed, and the figures it adds to.
class Judge {
 public:
  Judge(const ShopState& state, OrderFigures& figures) : state_(state), figures_(figures) {
    for (const auto& order : state.orders) orders_.emplace(order.id, &order);
    for (const auto& reservation : state.reservations) reservations_[reservation.order_id].push_back(&reservation);
  }

  void find_lost(int64_t id, int64_t customer_id, const std::vector<OrderedLine>& lines) {
    const auto [begin, end] = orders_.equal_range(id);
    const auto count = std::distance(begin, end);
    if (count != 1) return blame(figures_.lost, 1, fmt::format("order {} is in the database {} times", id, count));
    if (begin->second->customer_id != customer_id || sorted(begin->second->lines) != lines)
      blame(figures_.lost, 1, fmt::format("order {} has another customer or other lines than were acknowledged", id));
  }

  void judge_stock() {
    std::map<std::string, int64_t> ordered, reserved;
    for (const auto& order : state_.orders) {
      if (!takes_stock(order.stage)) continue;
      for (const OrderedLine& line : order.lines) ordered[line.sku] += line.quantity;
    }
    for (const auto& one : state_.reservations)
      if (one.hold != ShopState::Hold::kGone) reserved[one.sku] += one.quantity;
    for (const auto& [sku, product] : state_.products) {
      const int64_t beyond = std::max({int64_t{0}, ordered[sku] - product.stock_at_first, -product.stock_left});
      if (beyond > 0)
        blame(figures_.oversold, static_cast<uint64_t>(beyond),
              fmt::format("{}: {} at first, {} ordered, {} left", sku, product.stock_at_first, ordered[sku],
                          product.stock_left));
      if (product.stock_at_first != product.stock_left + reserved[sku])
        blame(figures_.unbalanced, 1,
              fmt::format("{}: {} at first, but {} left and {} reserved", sku, product.stock_at_first,
                          product.stock_left, reserved[sku]));
    }
  }

  void judge_order(const ShopState::Order& order) {
    ++figures_.sagas[std::string(to_string(order.stage))];
    if (!has_ended(order.stage)) {
      return blame(figures_.unfinished, 1, fmt::format("order {} is still {}", order.id, to_string(order.stage)));
    }
    std::vector<OrderedLine> confirmed;
    bool is_held = false;
    for (const auto* one : reservations_[order.id]) {
      if (one->hold == ShopState::Hold::kConfirmed) confirmed.push_back({one->sku, one->quantity});
      is_held = is_held || one->hold == ShopState::Hold::kHeld;
    }
    const bool is_right = order.stage == OrderStage::kConfirmed ? !is_held && sorted(confirmed) == sorted(order.lines)
                                                                : !is_held && confirmed.empty();
    if (!is_right)
      blame(figures_.unreserved, 1,
            fmt::format("order {} is {}, its active reservations do not agree", order.id, to_string(order.stage)));
  }

  void judge_orders() {
    std::set<std::pair<int64_t, std::string>> keys;
    for (const auto& order : state_.orders) {
      judge_order(order);
      if (!keys.emplace(order.customer_id, order.key).second)
        blame(figures_.replays_differ, 1,
              fmt::format("customer {} has two orders of the key {}", order.customer_id, order.key));
    }
    for (const auto& [id, reservations] : reservations_) {
      if (orders_.contains(id)) continue;
      for (const auto* one : reservations)
        if (one->hold != ShopState::Hold::kGone) figures_.held_without_order += static_cast<uint64_t>(one->quantity);
    }
  }

 private:
  void blame(uint64_t& count, uint64_t by, std::string what) {
    count += by;
    if (figures_.examples.size() < OrderOracle::kExamplesMax) figures_.examples.push_back(std::move(what));
  }

  const ShopState& state_;
  OrderFigures& figures_;
  std::multimap<int64_t, const ShopState::Order*> orders_;
  std::unordered_map<int64_t, std::vector<const ShopState::Reservation*>> reservations_;
};

}  // namespace

void OrderOracle::add(const ShopEvent& event) {
  if (event.action == CustomerAction::kPlaceOrder) add_place(event);
  if (event.action == CustomerAction::kCancelOrder && event.status == kOk) ++figures_.cancels;
}

void OrderOracle::add_place(const ShopEvent& event) {
  Placed& placed = placed_[{event.customer, event.key}];
  placed.customer_id = event.customer_id;
  placed.lines = sorted(event.lines);
  if (event.status == kFailedPrecondition) {
    placed.is_refused = true;
    ++figures_.sold_out;
    return;
  }
  if (event.status != kOk || event.orders.empty()) return;
  const int64_t id = event.orders.front().id;
  if (placed.order_id == 0) {
    placed.order_id = id;
    ++figures_.placed;
    return;
  }
  ++figures_.replays;
  if (placed.order_id == id) return;
  ++figures_.replays_differ;
  if (figures_.examples.size() < kExamplesMax)
    figures_.examples.push_back(fmt::format("key {}: order {}, then order {}", event.key, placed.order_id, id));
}

OrderFigures OrderOracle::judge(const ShopState& state) const {
  OrderFigures figures = figures_;
  Judge judge(state, figures);
  for (const auto& [key, placed] : placed_) {
    if (placed.order_id != 0)
      judge.find_lost(placed.order_id, placed.customer_id, placed.lines);
    else if (!placed.is_refused)
      ++figures.unanswered;
  }
  judge.judge_stock();
  judge.judge_orders();
  return figures;
}

}  // namespace tidemark::bench
