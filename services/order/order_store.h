// The orders' data as their service sees it; the real one stands on Repository, Database and the functions of
// services/order/schema.sql and services/catalog/schema.sql.
//
// Threads: every member from any thread; handlers run on the client library's loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cached.h"
#include "client/completion.h"
#include "client/repository.h"
#include "services/order/order_metrics.h"
#include "services/order/order_sql.h"

namespace tidemark::order {

using OrderAnswer = Result<client::Cached<pb::Order>>;
using NewestAnswer = Result<client::Cached<pb::NewestOrders>>;

enum class ReserveOutcome : uint8_t { kReserved, kOutOfStock, kNoProduct, kGone, kConflict };
struct Reserved {
  ReserveOutcome outcome = ReserveOutcome::kReserved;
  int64_t price_cents = 0;  // of kReserved
};

struct CancelOutcome {
  pb::OrderState before = pb::ORDER_STATE_UNSPECIFIED;
  pb::Order order;  // after it
};

class OrderStore {
 public:
  virtual ~OrderStore() = default;

  // The order that this customer's key has, from the primary.
  virtual void find_by_key(int64_t customer_id, std::string key, Duration timeout,
                           client::Callback<Result<std::optional<pb::Order>>> done) = 0;
  // Idempotent for one order id and sku.
  virtual void reserve(ReservationKey key, Duration ttl, client::WriteOptions options,
                       client::Callback<Result<Reserved>> done) = 0;
  virtual void release(ReservationKey key, client::WriteOptions options, client::Callback<Status> done) = 0;
  // The order that the key has after the commit: `order` itself, or another one that was there first.
  virtual void place(pb::Order order, std::string key, client::WriteOptions options,
                     client::Callback<Result<pb::Order>> done) = 0;
  // Nothing: there is no such order.
  virtual void cancel(int64_t order_id, client::WriteOptions options,
                      client::Callback<Result<std::optional<CancelOutcome>>> done) = 0;

  virtual void get(int64_t order_id, client::ReadOptions options, client::Callback<OrderAnswer> done) = 0;
  virtual void get_many(std::vector<int64_t> order_ids, client::ReadOptions options,
                        client::Callback<std::vector<OrderAnswer>> done) = 0;
  virtual void newest(int64_t customer_id, client::ReadOptions options, client::Callback<NewestAnswer> done) = 0;
  // Ids below `below`, newest first, at most `limit`; not through the cache.
  virtual void older(int64_t customer_id, int64_t below, int limit, client::ReadOptions options,
                     client::Callback<Result<std::vector<int64_t>>> done) = 0;
};

std::shared_ptr<OrderStore> make_order_store(std::shared_ptr<client::CacheClient> cache,
                                             std::shared_ptr<client::Database> database,
                                             std::shared_ptr<OrderMetrics> metrics);

}  // namespace tidemark::order
