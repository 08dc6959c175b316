// The sagas as a relay sees them; the real store calls the functions of services/order/schema.sql and of
// services/catalog/schema.sql.
//
// Threads: every member on the client library's loop; handlers run there too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/cache_client.h"
#include "client/completion.h"
#include "client/database.h"
#include "services/order/order_metrics.h"
#include "services/order/order_sql.h"
#include "services/platform/outbox.h"
#include "services/platform/saga_machine.h"

namespace tidemark::order {

struct SagaLine {
  std::string sku;
  int64_t quantity = 0;
  int64_t price_cents = 0;
  bool operator==(const SagaLine&) const = default;
};

struct Saga {
  Bucket bucket = 0;
  int64_t order_id = 0;
  int64_t customer_id = 0;
  bool is_cancel = false;  // else the order was placed
  services::SagaDirection direction = services::SagaDirection::kForward;
  int attempts = 0;   // this one among them
  int64_t claim = 0;  // by which every write proves that the saga is still ours
  Duration waited{};  // from its being due to the claim
  std::vector<SagaLine> lines{};
};

enum class ConfirmOutcome : uint8_t { kConfirmed, kReReserved, kOutOfStock, kNoProduct, kReleased };

class SagaStore {
 public:
  static constexpr Duration kStepTimeout = std::chrono::seconds(1);  // four of them end before kOutboxLease does

  virtual ~SagaStore() = default;

  virtual std::vector<ShardId> shards() = 0;
  virtual void claim(ShardId shard, int64_t claim, Duration lease, size_t count_max,
                     client::Callback<Result<std::vector<Saga>>> done) = 0;

  virtual void confirm(const Saga& saga, size_t line, client::Callback<Result<ConfirmOutcome>> done) = 0;
  virtual void release(const Saga& saga, size_t line, client::Callback<Status> done) = 0;
  // False: the saga is not ours any more; nothing was written.
  virtual void turn_back(const Saga& saga, std::string reason, client::Callback<Result<bool>> done) = 0;
  virtual void end(const Saga& saga, pb::OrderState state, client::Callback<Result<bool>> done) = 0;
  virtual void retry_later(const Saga& saga, services::OutboxRetry retry, std::string reason,
                           client::Callback<Result<bool>> done) = 0;

  // How many there were.
  virtual void expire_reservations(ShardId shard, size_t count_max, client::Callback<Result<int64_t>> done) = 0;
  virtual void forget_reservations(ShardId shard, Duration older_than, size_t count_max,
                                   client::Callback<Result<int64_t>> done) = 0;
  virtual void measure(ShardId shard, client::Callback<Result<OutboxDepth>> done) = 0;
};

std::shared_ptr<SagaStore> make_saga_store(std::shared_ptr<client::CacheClient> cache,
                                           std::shared_ptr<client::Database> database,
                                           std::shared_ptr<OrderMetrics> metrics);

}  // namespace tidemark::order
