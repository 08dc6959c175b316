#include "services/order/order_store.h"

#include <utility>

#include "base/id/row_id.h"
#include "services/catalog/product_sql.h"

namespace tidemark::order {
namespace {

using catalog::ProductBySku;
using client::Callback;
using client::ReadOptions;
using client::Row;
using client::WriteOptions;
using client::Written;
using shardrouter::ResultSet;
using shardrouter::Statement;

std::vector<Row> rows_of(const ResultSet& set) {
  std::vector<Row> rows;
  for (size_t i = 0; i < set.rows.size(); ++i) rows.emplace_back(set, i);
  return rows;
}

Result<std::optional<pb::Order>> find_order(const ResultSet& set) {
  if (set.rows.empty()) return std::nullopt;
  return order_of_rows(rows_of(set));
}

Result<Reserved> reserved_of(const ResultSet& set) {
  if (set.rows.size() != 1) return fail(ErrorCode::kInternal, "catalog.reserve gave no row");
  const Row row(set, 0);
  const std::string_view outcome = row.find("outcome").value_or("");
  if (outcome == "reserved") {
    auto price = row.integer("price");
    if (!price) return std::unexpected(price.error());
    return Reserved{ReserveOutcome::kReserved, *price};
  }
  if (outcome == "out_of_stock") return Reserved{ReserveOutcome::kOutOfStock};
  if (outcome == "no_product") return Reserved{ReserveOutcome::kNoProduct};
  if (outcome == "gone") return Reserved{ReserveOutcome::kGone};
  if (outcome == "conflict") return Reserved{ReserveOutcome::kConflict};
  return fail(ErrorCode::kInternal, "catalog.reserve: unknown outcome \"" + std::string(outcome) + "\"");
}

OrderById::Key key_of(int64_t order_id) {
  return {bucket_of_row_id(order_id), order_id};
}
OrdersOfCustomer::Key list_key_of(int64_t customer_id) {
  return {bucket_of_row_id(customer_id), customer_id};
}

class RepositoryStore : public OrderStore {
 public:
  RepositoryStore(std::shared_ptr<client::CacheClient> cache, std::shared_ptr<client::Database> database,
                  std::shared_ptr<OrderMetrics> metrics)
      : database_(database),
        metrics_(std::move(metrics)),
        orders_(cache, database, {.sql = kSelectOrder, .batch_sql = kSelectOrders, .from_rows = order_of_rows}),
        lists_(cache, database, {.sql = kSelectNewestIds, .from_rows = newest_of_rows}),
        products_(cache, database,
                  {.sql = catalog::kSelectProduct,
                   .from_rows = client::one_row<catalog::pb::Product>(catalog::product_of_row)}) {}

  void find_by_key(int64_t customer_id, std::string key, Duration timeout,
                   Callback<Result<std::optional<pb::Order>>> done) override {
    const Bucket bucket = bucket_of_row_id(customer_id);
    query(bucket, "look_up",
          {.sql = kSelectOrderByKey, .params = {std::to_string(bucket), std::to_string(customer_id), std::move(key)}},
          {.timeout = timeout, .may_use_replica = false}, [done = std::move(done)](Result<ResultSet> set) mutable {
            if (!set) return done(std::unexpected(set.error()));
            done(find_order(*set));
          });
  }

  void reserve(ReservationKey key, Duration ttl, WriteOptions options, Callback<Result<Reserved>> done) override {
    write_product(key, reserve_statement(key, ttl), "reserve", std::move(options),
                  [done = std::move(done)](Result<Written> written) mutable {
                    if (!written) return done(std::unexpected(written.error()));
                    done(reserved_of(written->results.at(0)));
                  });
  }

  void release(ReservationKey key, WriteOptions options, Callback<Status> done) override {
    write_product(key, release_statement(key), "release", std::move(options),
                  [done = std::move(done)](Result<Written> written) mutable {
                    if (!written) return done(std::unexpected(written.error()));
                    done({});
                  });
  }

  void place(pb::Order order, std::string key, WriteOptions options, Callback<Result<pb::Order>> done) override {
    const Bucket bucket = bucket_of_row_id(order.id());
    std::vector<Statement> statements;
    statements.push_back(place_statement(bucket, order, key));
    statements.push_back({.sql = kSelectOrderByKey,
                          .params = {std::to_string(bucket), std::to_string(order.customer_id()), std::move(key)}});
    const int64_t customer_id = order.customer_id();
    write_order(order.id(), std::move(statements), "place", std::move(options),
                [this, customer_id, done = std::move(done)](Result<Written> written) mutable {
                  if (!written) return done(std::unexpected(written.error()));
                  drop_list(written->token, customer_id);
                  auto placed = find_order(written->results.at(1));
                  if (!placed) return done(std::unexpected(placed.error()));
                  if (!*placed) return done(fail(ErrorCode::kInternal, "shop.place_order left no order"));
                  done(std::move(**placed));
                });
  }

  void cancel(int64_t order_id, WriteOptions options, Callback<Result<std::optional<CancelOutcome>>> done) override {
    const Bucket bucket = bucket_of_row_id(order_id);
    std::vector<Statement> statements;
    statements.push_back(cancel_statement(bucket, order_id));
    statements.push_back({.sql = kSelectOrderById, .params = {std::to_string(bucket), std::to_string(order_id)}});
    write_order(order_id, std::move(statements), "cancel", std::move(options),
                [this, done = std::move(done)](Result<Written> written) mutable {
                  if (!written) return done(std::unexpected(written.error()));
                  auto outcome = cancelled_of(written->results);
                  if (outcome && *outcome) drop_list(written->token, (*outcome)->order.customer_id());
                  done(std::move(outcome));
                });
  }

  void get(int64_t order_id, ReadOptions options, Callback<OrderAnswer> done) override {
    orders_.async_get(key_of(order_id), options, std::move(done));
  }

  void get_many(std::vector<int64_t> order_ids, ReadOptions options, Callback<std::vector<OrderAnswer>> done) override {
    std::vector<OrderById::Key> keys;
    for (int64_t id : order_ids) keys.push_back(key_of(id));
    orders_.async_get_many(std::move(keys), options, std::move(done));
  }

  void newest(int64_t customer_id, ReadOptions options, Callback<NewestAnswer> done) override {
    lists_.async_get(list_key_of(customer_id), options, std::move(done));
  }

  void older(int64_t customer_id, int64_t below, int limit, ReadOptions options,
             Callback<Result<std::vector<int64_t>>> done) override {
    const Bucket bucket = bucket_of_row_id(customer_id);
    query(
        bucket, "list",
        {.sql = kSelectOlderIds,
         .params = {std::to_string(bucket), std::to_string(customer_id), std::to_string(below), std::to_string(limit)}},
        {.timeout = options.timeout, .may_use_replica = false, .session = options.session},
        [done = std::move(done)](Result<ResultSet> set) mutable {
          if (!set) return done(std::unexpected(set.error()));
          auto ids = newest_of_rows(rows_of(*set));
          if (!ids) return done(std::unexpected(ids.error()));
          done(std::vector<int64_t>(ids->ids().begin(), ids->ids().end()));
        });
  }

 private:
  static Result<std::optional<CancelOutcome>> cancelled_of(const std::vector<ResultSet>& results) {
    const Row row(results.at(0), 0);
    auto before = row.find("state_before");
    if (!before) return std::nullopt;
    auto state = parse_state(*before);
    if (!state) return std::unexpected(state.error());
    auto order = find_order(results.at(1));
    if (!order) return std::unexpected(order.error());
    if (!*order) return fail(ErrorCode::kInternal, "shop.orders: the order has no lines");
    return CancelOutcome{.before = *state, .order = std::move(**order)};
  }

  // Past the cache, from whoever owns the bucket.
  void query(Bucket bucket, const char* kind, Statement statement, client::QueryOptions options,
             Callback<Result<ResultSet>> done) {
    metrics_->count_statements(kind, kStatementsOfQuery);
    std::vector<Statement> statements{std::move(statement)};
    database_->async_query({bucket}, std::move(statements), options,
                           [done = std::move(done)](Result<client::Queried> queried) mutable {
                             if (!queried) return done(std::unexpected(queried.error()));
                             done(std::move(queried->results.at(0)));
                           });
  }

  // The product's row changes with its stock, so its key is dropped at once; the stream does the same a little later.
  template <typename Handler>
  void write_product(const ReservationKey& key, Statement statement, const char* kind, WriteOptions options,
                     Handler on_written) {
    metrics_->count_statements(kind, statements_of_write(1, 1));
    std::vector<Statement> statements{std::move(statement)};
    products_.async_update({key.sku}, std::move(statements), std::move(options), std::move(on_written));
  }
  template <typename Handler>
  void write_order(int64_t order_id, std::vector<Statement> statements, const char* kind, WriteOptions options,
                   Handler on_written) {
    metrics_->count_statements(kind, statements_of_write(1, statements.size()));
    orders_.async_update(key_of(order_id), std::move(statements), std::move(options), std::move(on_written));
  }
  void drop_list(client::CommitToken commit, int64_t customer_id) {
    lists_.async_invalidate(commit, {list_key_of(customer_id)}, [](Result<int64_t>) {});
  }

  std::shared_ptr<client::Database> database_;
  std::shared_ptr<OrderMetrics> metrics_;
  client::Repository<OrderById> orders_;
  client::Repository<OrdersOfCustomer> lists_;
  client::Repository<ProductBySku> products_;
};

}  // namespace

std::shared_ptr<OrderStore> make_order_store(std::shared_ptr<client::CacheClient> cache,
                                             std::shared_ptr<client::Database> database,
                                             std::shared_ptr<OrderMetrics> metrics) {
  return std::make_shared<RepositoryStore>(std::move(cache), std::move(database), std::move(metrics));
}

}  // namespace tidemark::order
