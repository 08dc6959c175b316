#include "bench/macro/ryw_oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace tidemark::bench {
namespace {

constexpr uint8_t kOk = 0, kNotFound = 5;

const OrderSeen* find_order(const ShopEvent& event, int64_t id) {
  const auto found = std::ranges::find(event.orders, id, &OrderSeen::id);
  return found == event.orders.end() ? nullptr : &*found;
}

}  // namespace

void RywOracle::add(const ShopEvent& event) {
  if (!is_order_action(event.action)) return;
  Known& known = customers_[event.customer];
  if (event.has_carried_token && !known.versions.empty()) {
    if (event.action == CustomerAction::kGetOrder) judge_get(known, event);
    if (event.action == CustomerAction::kListOrders) judge_list(known, event);
  }
  if (event.status == kOk) learn(known, event);
}

void RywOracle::judge_get(const Known& known, const ShopEvent& event) {
  const auto expected = known.versions.find(event.order_id);
  if (expected == known.versions.end()) return;
  if (event.status == kNotFound) {
    count_read(event);
    return blame(event, event.order_id, "not found");
  }
  if (event.status != kOk) return;
  count_read(event);
  const OrderSeen* seen = find_order(event, event.order_id);
  if (seen == nullptr) return blame(event, event.order_id, "another order came");
  if (seen->version < expected->second)
    blame(event, event.order_id, fmt::format("version {} after {}", seen->version, expected->second));
}

void RywOracle::judge_list(const Known& known, const ShopEvent& event) {
  if (event.status != kOk) return;
  count_read(event);
  const auto oldest = std::ranges::min_element(event.orders, {}, &OrderSeen::id);
  const int64_t from =
      event.has_more && oldest != event.orders.end() ? oldest->id : std::numeric_limits<int64_t>::min();
  for (const auto& [order, version] : known.versions) {
    const OrderSeen* seen = find_order(event, order);
    // One list is one read: it is blamed once.
    if (seen == nullptr && order >= from) return blame(event, order, "not in the list");
    if (seen != nullptr && seen->version < version)
      return blame(event, order, fmt::format("in the list with version {} after {}", seen->version, version));
  }
}

void RywOracle::count_read(const ShopEvent& event) {
  ++figures_.reads;
  ++figures_.reads_by_origin[std::string(to_string(event.origin))];
}

void RywOracle::blame(const ShopEvent& event, int64_t order, std::string_view what) {
  ++figures_.violations;
  if (figures_.examples.size() >= kExamplesMax) return;
  figures_.examples.push_back(fmt::format("{} of customer {}: order {} {}, from {}, asked at {} us",
                                          to_string(event.action), event.customer_id, order, what,
                                          to_string(event.origin), event.start_us));
}

void RywOracle::learn(Known& known, const ShopEvent& event) {
  for (const OrderSeen& order : event.orders) {
    int64_t& version = known.versions[order.id];
    version = std::max(version, order.version);
  }
}

}  // namespace tidemark::bench
