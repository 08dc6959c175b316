// The order service's families and statements, and the way between rows and messages.
//
//   order:{<bucket>}:<id>               an order with its lines, decided by its row in shop.orders: the lines are
//   written
//                                       with it and never change, so no change of theirs can be missed
//   orders_of:{<bucket>}:<customer_id>  ids of the customer's kNewestOrdersMax newest orders
//
// Both carry the customer's bucket. Threads: pure functions.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/slot.h"
#include "client/key_family.h"
#include "client/row.h"
#include "services/order/proto/order.pb.h"
#include "services/order/proto/order_store.pb.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::order {

namespace pb = tidemark::order::v1;

struct OrderById : client::KeyFamily<"order:{<bucket>}:<id>", pb::Order, uint32_t, int64_t> {
  static constexpr std::string_view kName = "order";
  static constexpr std::string_view kTable = "shop.orders";
  static constexpr std::array<std::string_view, 2> kKeyColumns = {"bucket", "id"};
};

struct OrdersOfCustomer : client::KeyFamily<"orders_of:{<bucket>}:<customer_id>", pb::NewestOrders, uint32_t, int64_t> {
  static constexpr std::string_view kName = "orders_of";
  static constexpr std::string_view kTable = "shop.orders";
  static constexpr std::array<std::string_view, 2> kKeyColumns = {"bucket", "customer_id"};
};

inline constexpr int kNewestOrdersMax = 101;  // a page of the largest size, and whether there is another

// For repositories: $1 is the bucket that routes, $2… are the key's parts (in batches arrays).
extern const char* const kSelectOrder;  // one row for each line; $2 bucket, $3 id
extern const char* const kSelectOrders;
extern const char* const kSelectNewestIds;  // one row for each order: bucket, customer_id, id

// For statements of their own.
extern const char* const kSelectOrderById;   // $1 bucket, $2 id
extern const char* const kSelectOrderByKey;  // $1 bucket, $2 customer_id, $3 idempotency_key
extern const char* const kSelectOlderIds;    // $1 bucket, $2 customer_id, $3 below which id, $4 how many

// The lines in their order, the ids newest first, in whatever order the rows come.
Result<pb::Order> order_of_rows(std::span<const client::Row> rows);
Result<pb::NewestOrders> newest_of_rows(std::span<const client::Row> rows);
Result<pb::OrderState> parse_state(std::string_view text);  // "pending"

struct ReservationKey {
  Bucket bucket = 0;  // of the sku
  std::string sku;
  int64_t order_id = 0;
  int64_t quantity = 0;
};
shardrouter::Statement reserve_statement(const ReservationKey& key, Duration ttl);
shardrouter::Statement confirm_statement(const ReservationKey& key, int64_t price_cents);
shardrouter::Statement release_statement(const ReservationKey& key);

// An order with its lines and prices, its id and its bucket's customer; state and version do not matter.
shardrouter::Statement place_statement(Bucket bucket, const pb::Order& order, const std::string& idempotency_key);
shardrouter::Statement cancel_statement(Bucket bucket, int64_t order_id);

}  // namespace tidemark::order
