// What the order service and its relays count beside their calls.
//
//   tidemark_order_placed_total                      orders written, replays not among them
//   tidemark_order_replayed_total                    answers that an idempotency key had already
//   tidemark_order_refused_total{reason}             out_of_stock, no_product, other_lines (of a used key)
//   tidemark_order_cancelled_total                   orders that began to be cancelled
//   tidemark_order_unknown_total                     placings whose outcome the caller was not told
//   tidemark_order_statements_total{program,kind}    SQL statements sent, BEGIN, guards and COMMIT among them; reads
//                                                    through the cache are counted by the client library
//   tidemark_order_sagas_total{outcome}              confirmed, failed, cancelled; fenced: another relay had taken it
//   tidemark_order_saga_retries_total                attempts that ended without an end
//   tidemark_order_confirm_total{outcome}            lines confirmed, by what the product's shard answered
//   tidemark_order_outbox_depth{shard}               sagas under way, parked ones among them
//   tidemark_order_outbox_parked{shard}              those that have failed many times
//   tidemark_order_outbox_oldest_seconds{shard}      age of the oldest
//   tidemark_order_saga_wait_seconds_total, …_count  time from a saga's being due to its claim
//   tidemark_order_reservations_expired_total        held too long, stock given back
//   tidemark_order_reservations_forgotten_total      rows deleted long after their end
//   tidemark_order_sagas_in_flight, …_in_flight_max  of this relay
//
// Threads: any; one mutex, held for a few instructions. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/io/metrics.h"
#include "base/topology/topology.h"

namespace tidemark::order {

struct OutboxDepth {
  int64_t waiting = 0;
  int64_t parked = 0;
  Duration oldest{};
};

class OrderMetrics {
 public:
  enum class Side : uint8_t { kService, kRelay };
  explicit OrderMetrics(Side side) : side_(side) {}

  // "placed", "replayed", "cancelled", "unknown", "saga_retries", "expired", "forgotten"
  void count(const char* what, uint64_t by = 1);
  void count_refused(const std::string& reason);
  void count_saga(const std::string& outcome);
  void count_confirm(const std::string& outcome);
  void count_statements(const std::string& kind, uint64_t statements);
  void note_wait(Duration wait);
  void set_depth(ShardId shard, const OutboxDepth& depth);
  void set_in_flight(size_t in_flight);

  uint64_t value(const std::string& what) const;
  uint64_t statements(const std::string& kind) const;
  uint64_t sagas(const std::string& outcome) const;
  uint64_t refused(const std::string& reason) const;
  std::vector<io::MetricFamily> snapshot() const;

 private:
  using Counts = std::map<std::string, uint64_t>;
  std::vector<io::MetricFamily> service_families() const;
  std::vector<io::MetricFamily> relay_families() const;
  io::MetricFamily statements_family() const;
  uint64_t value_locked(const std::string& what) const;

  const Side side_;
  mutable std::mutex mutex_;
  Counts counts_, refused_, sagas_, confirms_, statements_;
  Duration wait_{};
  uint64_t waits_ = 0;
  size_t in_flight_ = 0;
  std::map<ShardId, OutboxDepth> depths_;
};

// Statements of a routed write: BEGIN, a guard for each bucket, the caller's, the xid, COMMIT, the position.
inline uint64_t statements_of_write(size_t buckets, size_t statements) {
  return buckets + statements + 4;
}
// Of a read past the cache: ownership, the rows, ownership again.
inline constexpr uint64_t kStatementsOfQuery = 3;

}  // namespace tidemark::order
