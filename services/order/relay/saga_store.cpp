#include "services/order/relay/saga_store.h"

#include <algorithm>
#include <utility>

#include "client/repository.h"
#include "services/catalog/product_sql.h"

namespace tidemark::order {
namespace {

using client::Callback;
using client::Row;
using client::WriteOptions;
using client::Written;
using services::SagaDirection;
using shardrouter::ResultSet;
using shardrouter::Statement;

constexpr Duration kShardTimeout = std::chrono::seconds(2);  // of a claim, a sweep, a measurement

std::string millis(Duration duration) {
  return std::to_string(to_millis(duration));
}

Result<ConfirmOutcome> confirmed_of(const ResultSet& set) {
  const std::string_view text = set.rows.empty() ? "" : Row(set, 0).find("outcome").value_or("");
  if (text == "confirmed") return ConfirmOutcome::kConfirmed;
  if (text == "re_reserved") return ConfirmOutcome::kReReserved;
  if (text == "out_of_stock") return ConfirmOutcome::kOutOfStock;
  if (text == "no_product") return ConfirmOutcome::kNoProduct;
  if (text == "released") return ConfirmOutcome::kReleased;
  return fail(ErrorCode::kInternal, "catalog.confirm: unknown outcome \"" + std::string(text) + "\"");
}

// The first column of the first row.
Result<int64_t> number_of(const ResultSet& set, const char* column) {
  if (set.rows.size() != 1) return fail(ErrorCode::kInternal, std::string(column) + ": one row was expected");
  return Row(set, 0).integer(column);
}

// One row per line, those of a saga side by side.
Result<std::vector<Saga>> sagas_of(const ResultSet& set, int64_t claim) {
  std::vector<Saga> sagas;
  for (size_t i = 0; i < set.rows.size(); ++i) {
    const Row row(set, i);
    auto bucket = row.integer("bucket"), order = row.integer("order_id"), customer = row.integer("customer_id");
    auto attempts = row.integer("attempts"), due = row.integer("due_ms");
    auto quantity = row.integer("quantity"), price = row.integer("price_cents");
    auto kind = row.text("kind"), step = row.text("step"), sku = row.text("sku");
    for (const auto* number : {&bucket, &order, &customer, &attempts, &due, &quantity, &price}) {
      if (!*number) return std::unexpected(number->error().with_context("shop.claim_sagas"));
    }
    for (const auto* text : {&kind, &step, &sku}) {
      if (!*text) return std::unexpected(text->error().with_context("shop.claim_sagas"));
    }
    if (sagas.empty() || sagas.back().order_id != *order) {
      sagas.push_back({.bucket = static_cast<Bucket>(*bucket),
                       .order_id = *order,
                       .customer_id = *customer,
                       .is_cancel = *kind == "cancel",
                       .direction = *step == "confirm" ? SagaDirection::kForward : SagaDirection::kBackward,
                       .attempts = static_cast<int>(*attempts),
                       .claim = claim,
                       .waited = std::chrono::milliseconds(std::max<int64_t>(0, *due)),
                       .lines = {}});
    }
    sagas.back().lines.push_back({std::string(*sku), *quantity, *price});
  }
  return sagas;
}

ReservationKey key_of(const Saga& saga, size_t line) {
  const SagaLine& of = saga.lines[line];
  return {bucket_of_natural_key(of.sku), of.sku, saga.order_id, of.quantity};
}

// Every write to a saga begins so, and gives a boolean: was it ours?
Statement saga_statement(const Saga& saga, const char* sql, std::vector<std::string> further) {
  Statement statement{
      .sql = sql, .params = {std::to_string(saga.bucket), std::to_string(saga.order_id), std::to_string(saga.claim)}};
  for (std::string& param : further) statement.params.emplace_back(std::move(param));
  return statement;
}

Result<bool> was_ours(const Result<Written>& written) {
  if (!written) return std::unexpected(written.error());
  const ResultSet& set = written->results.at(0);
  if (set.rows.size() != 1) return fail(ErrorCode::kInternal, "a saga's function gave no row");
  return Row(set, 0).boolean("was_ours");
}

class RealSagaStore : public SagaStore {
 public:
  RealSagaStore(std::shared_ptr<client::CacheClient> cache, std::shared_ptr<client::Database> database,
                std::shared_ptr<OrderMetrics> metrics)
      : database_(database),
        metrics_(std::move(metrics)),
        orders_(cache, database, {.sql = kSelectOrder, .batch_sql = kSelectOrders, .from_rows = order_of_rows}),
        lists_(cache, database, {.sql = kSelectNewestIds, .from_rows = newest_of_rows}),
        products_(cache, database,
                  {.sql = catalog::kSelectProduct,
                   .from_rows = client::one_row<catalog::pb::Product>(catalog::product_of_row)}) {}

  std::vector<ShardId> shards() override { return database_->shards(); }

  void claim(ShardId shard, int64_t claim, Duration lease, size_t count_max,
             Callback<Result<std::vector<Saga>>> done) override {
    ask(shard, "claim",
        {.sql = "SELECT * FROM shop.claim_sagas($1::bigint, $2::bigint, $3::int)",
         .params = {std::to_string(claim), millis(lease), std::to_string(count_max)}},
        [claim, done = std::move(done)](Result<ResultSet> set) mutable {
          if (!set) return done(std::unexpected(set.error()));
          done(sagas_of(*set, claim));
        });
  }

  // Confirming changes the reservation, not the product: there is no key to drop. Where stock is taken again the stream
  // drops it.
  void confirm(const Saga& saga, size_t line, Callback<Result<ConfirmOutcome>> done) override {
    const ReservationKey key = key_of(saga, line);
    metrics_->count_statements("confirm", statements_of_write(1, 1));
    std::vector<Statement> statements{confirm_statement(key, saga.lines[line].price_cents)};
    database_->async_write({key.bucket}, std::move(statements), {.timeout = kStepTimeout},
                           [done = std::move(done)](Result<Written> written) mutable {
                             if (!written) return done(std::unexpected(written.error()));
                             done(confirmed_of(written->results.at(0)));
                           });
  }

  void release(const Saga& saga, size_t line, Callback<Status> done) override {
    const ReservationKey key = key_of(saga, line);
    metrics_->count_statements("release", statements_of_write(1, 1));
    std::vector<Statement> statements{release_statement(key)};
    products_.async_update({key.sku}, std::move(statements), {.timeout = kStepTimeout},
                           [done = std::move(done)](Result<Written> written) mutable {
                             if (!written) return done(std::unexpected(written.error()));
                             done({});
                           });
  }

  void turn_back(const Saga& saga, std::string reason, Callback<Result<bool>> done) override {
    write(saga, "turn_back",
          saga_statement(saga, "SELECT shop.saga_turn_back($1::int, $2::bigint, $3::bigint, $4) AS was_ours",
                         {std::move(reason)}),
          std::move(done));
  }

  void end(const Saga& saga, pb::OrderState state, Callback<Result<bool>> done) override {
    const char* text = state == pb::CONFIRMED ? "confirmed" : state == pb::CANCELLED ? "cancelled" : "failed";
    metrics_->count_statements("end", statements_of_write(1, 1));
    std::vector<Statement> statements{
        saga_statement(saga, "SELECT shop.saga_end($1::int, $2::bigint, $3::bigint, $4) AS was_ours", {text})};
    const OrdersOfCustomer::Key list{saga.bucket, saga.customer_id};
    orders_.async_update({saga.bucket, saga.order_id}, std::move(statements), {.timeout = kStepTimeout},
                         [this, list, done = std::move(done)](Result<Written> written) mutable {
                           if (written) lists_.async_invalidate(written->token, {list}, [](Result<int64_t>) {});
                           done(was_ours(written));
                         });
  }

  void retry_later(const Saga& saga, services::OutboxRetry retry, std::string reason,
                   Callback<Result<bool>> done) override {
    write(saga, "retry_later",
          saga_statement(
              saga,
              "SELECT shop.saga_retry_later($1::int, $2::bigint, $3::bigint, $4::bigint, $5::boolean, $6) AS was_ours",
              {millis(retry.delay), retry.is_parked ? "t" : "f", std::move(reason)}),
          std::move(done));
  }

  void expire_reservations(ShardId shard, size_t count_max, Callback<Result<int64_t>> done) override {
    ask_number(shard, "expire",
               {.sql = "SELECT catalog.expire_reservations($1::int) AS count", .params = {std::to_string(count_max)}},
               std::move(done));
  }

  void forget_reservations(ShardId shard, Duration older_than, size_t count_max,
                           Callback<Result<int64_t>> done) override {
    ask_number(shard, "forget",
               {.sql = "SELECT catalog.forget_reservations($1::bigint, $2::int) AS count",
                .params = {millis(older_than), std::to_string(count_max)}},
               std::move(done));
  }

  void measure(ShardId shard, Callback<Result<OutboxDepth>> done) override {
    ask(shard, "measure", {.sql = "SELECT waiting, parked, oldest_ms FROM shop.outbox_depth()"},
        [done = std::move(done)](Result<ResultSet> set) mutable {
          if (!set) return done(std::unexpected(set.error()));
          auto waiting = number_of(*set, "waiting"), parked = number_of(*set, "parked");
          auto oldest = number_of(*set, "oldest_ms");
          for (const auto* number : {&waiting, &parked, &oldest}) {
            if (!*number) return done(std::unexpected(number->error()));
          }
          done(OutboxDepth{*waiting, *parked, std::chrono::milliseconds(*oldest)});
        });
  }

 private:
  void write(const Saga& saga, const char* kind, Statement statement, Callback<Result<bool>> done) {
    metrics_->count_statements(kind, statements_of_write(1, 1));
    std::vector<Statement> statements{std::move(statement)};
    database_->async_write({saga.bucket}, std::move(statements), {.timeout = kStepTimeout},
                           [done = std::move(done)](Result<Written> written) mutable { done(was_ours(written)); });
  }

  // One statement on a shard's primary, a transaction of its own. The functions guard the buckets they find.
  void ask(ShardId shard, const char* kind, Statement statement, Callback<Result<ResultSet>> done) {
    metrics_->count_statements(kind, 1);
    std::vector<Statement> statements{std::move(statement)};
    database_->async_on_shard(shard, std::move(statements), kShardTimeout,
                              [done = std::move(done)](Result<std::vector<ResultSet>> results) mutable {
                                if (!results) return done(std::unexpected(results.error()));
                                done(std::move(results->at(0)));
                              });
  }

  void ask_number(ShardId shard, const char* kind, Statement statement, Callback<Result<int64_t>> done) {
    ask(shard, kind, std::move(statement), [done = std::move(done)](Result<ResultSet> set) mutable {
      if (!set) return done(std::unexpected(set.error()));
      done(number_of(*set, "count"));
    });
  }

  std::shared_ptr<client::Database> database_;
  std::shared_ptr<OrderMetrics> metrics_;
  client::Repository<OrderById> orders_;
  client::Repository<OrdersOfCustomer> lists_;
  client::Repository<catalog::ProductBySku> products_;
};

}  // namespace

std::shared_ptr<SagaStore> make_saga_store(std::shared_ptr<client::CacheClient> cache,
                                           std::shared_ptr<client::Database> database,
                                           std::shared_ptr<OrderMetrics> metrics) {
  return std::make_shared<RealSagaStore>(std::move(cache), std::move(database), std::move(metrics));
}

}  // namespace tidemark::order
