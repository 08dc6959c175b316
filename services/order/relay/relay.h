// The relay: looks for sagas that are due on every shard, drives them, and gives back what was reserved in vain.
//
//   every shard by itself:   claim (at most kOutboxBatchMax, for kOutboxLease) -> a SagaRun each -> claim again
//                            every sweep_interval: expire held reservations, forget old ones, measure the outbox
//
// Several relays may run at once: claims skip what others hold (SKIP LOCKED), and a claim that has ended writes nothing
// more. A shard that does not answer holds up no other.
// Threads: every member on the loop. I/O: the store's, timers, the log. Limits: kOutboxInFlightMax sagas at once,
// kSweepBatchMax reservations in one transaction, kSweepBatchesMax of them in one sweep.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/io/log.h"
#include "services/order/order_metrics.h"
#include "services/order/relay/saga_store.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::order {

inline constexpr size_t kSweepBatchMax = 200;
inline constexpr int kSweepBatchesMax = 20;
inline constexpr Duration kForgetAfter = std::chrono::hours(24);

struct RelaySettings {
  Duration lease = services::kOutboxLease;
  Duration sweep_interval = std::chrono::seconds(1);  // zero: never
  std::function<int64_t()> new_claim;                 // a positive number that nobody else has
};

class Relay {
 public:
  static std::unique_ptr<Relay> create(boost::asio::io_context& context, std::shared_ptr<SagaStore> store,
                                       std::shared_ptr<OrderMetrics> metrics, RelaySettings settings, io::Log log);
  virtual ~Relay() = default;

  virtual void start() = 0;
  // No further claims; `drained` is called when the sagas under way have come to their end.
  virtual void stop(std::function<void()> drained) = 0;
};

}  // namespace tidemark::order
