#include "bench/macro/demo/shop_database.h"

#include <fmt/format.h>

#include <set>
#include <thread>
#include <unordered_map>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

constexpr const char* kUnderWay =
    "SELECT (SELECT count(*) FROM shop.outbox) + "
    "(SELECT count(*) FROM shop.orders WHERE state IN ('pending', 'cancelling'))";

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(at, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

int64_t number(const std::string& text) {
  return parse_i64(text).value_or(0);
}

ShopState::Hold hold_of(const std::string& state) {
  if (state == "held") return ShopState::Hold::kHeld;
  return state == "confirmed" ? ShopState::Hold::kConfirmed : ShopState::Hold::kGone;
}

}  // namespace

Result<ShopDatabase::Rows> ShopDatabase::query(const std::string& sql) const {
  Rows rows;
  for (const std::string& primary : primaries_) {
    const auto text = cluster_.psql(primary, sql);
    if (!text) return std::unexpected(text.error().with_context(primary));
    if (text->empty()) continue;
    for (const std::string& line : split(*text, '\n')) rows.push_back(split(line, '|'));
  }
  return rows;
}

Result<uint64_t> ShopDatabase::count(const std::string& sql) const {
  const auto rows = query(sql);
  if (!rows) return std::unexpected(rows.error());
  uint64_t sum = 0;
  for (const auto& row : *rows) sum += static_cast<uint64_t>(number(row.front()));
  return sum;
}

Status ShopDatabase::remember_stock(const std::vector<std::string>& skus) {
  const std::set<std::string> wanted(skus.begin(), skus.end());
  const auto rows = query("SELECT sku, stock FROM catalog.product");
  if (!rows) return std::unexpected(rows.error());
  for (const auto& row : *rows)
    if (wanted.contains(row[0])) stock_at_first_[row[0]] = number(row[1]);
  if (stock_at_first_.size() != wanted.size())
    return fail(ErrorCode::kInternal, fmt::format("{} of {} products that orders sell are in the database",
                                                  stock_at_first_.size(), wanted.size()));
  return {};
}

Status ShopDatabase::await_sagas() const {
  const auto give_up = std::chrono::steady_clock::now() + kSagaTimeout;
  while (std::chrono::steady_clock::now() < give_up) {
    const auto under_way = count(kUnderWay);
    if (!under_way) return std::unexpected(under_way.error());
    if (*under_way == 0) return {};
    std::this_thread::sleep_for(kSagaInterval);
  }
  return {};
}

bool ShopDatabase::is_saga_under_way() const {
  return count("SELECT count(*) FROM shop.outbox").value_or(0) > 0;
}

Result<ShopState> ShopDatabase::read() const {
  ShopState state;
  const auto products = query("SELECT sku, stock FROM catalog.product");
  if (!products) return std::unexpected(products.error());
  for (const auto& row : *products)
    if (const auto first = stock_at_first_.find(row[0]); first != stock_at_first_.end())
      state.products[row[0]] = {.stock_at_first = first->second, .stock_left = number(row[1])};
  const auto orders = query("SELECT id, customer_id, idempotency_key, state FROM shop.orders");
  if (!orders) return std::unexpected(orders.error());
  std::unordered_map<int64_t, size_t> place_of;
  for (const auto& row : *orders) {
    place_of[number(row[0])] = state.orders.size();
    state.orders.push_back(
        {.id = number(row[0]), .customer_id = number(row[1]), .key = row[2], .stage = parse_order_stage(row[3])});
  }
  const auto lines = query("SELECT order_id, sku, quantity FROM shop.order_line");
  if (!lines) return std::unexpected(lines.error());
  for (const auto& row : *lines)
    if (const auto order = place_of.find(number(row[0])); order != place_of.end())
      state.orders[order->second].lines.push_back({row[1], number(row[2])});
  const auto reservations = query("SELECT order_id, sku, quantity, state FROM catalog.reservation");
  if (!reservations) return std::unexpected(reservations.error());
  for (const auto& row : *reservations)
    state.reservations.push_back(
        {.order_id = number(row[0]), .sku = row[1], .quantity = number(row[2]), .hold = hold_of(row[3])});
  const auto left = count("SELECT count(*) FROM shop.outbox");
  if (!left) return std::unexpected(left.error());
  state.outbox_left = *left;
  return state;
}

}  // namespace tidemark::bench
