#include "services/order/relay/relay.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <utility>

#include "base/io/system_clock.h"
#include "services/order/relay/saga_run.h"
#include "services/platform/kill_point.h"
#include "services/platform/log_limiter.h"

namespace tidemark::order {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr uint64_t kSweepsPerForget = 60;
constexpr Duration kLookForShards = 1s;  // how often shards of a newer topology are noticed

struct ShardWork {
  ShardWork(asio::io_context& context, ShardId its_id) : id(its_id), claim_timer(context), sweep_timer(context) {}
  ShardId id;
  services::OutboxPace pace;
  asio::steady_timer claim_timer, sweep_timer;
  int sweep_batches = 0;
  uint64_t sweeps = 0;
  bool is_gone = false;  // from the topology
};
using ShardWorkPtr = std::shared_ptr<ShardWork>;

class RelayState : public std::enable_shared_from_this<RelayState> {
 public:
  RelayState(asio::io_context& context, std::shared_ptr<SagaStore> store, std::shared_ptr<OrderMetrics> metrics,
             RelaySettings settings, io::Log log)
      : context_(context),
        store_(std::move(store)),
        metrics_(std::move(metrics)),
        settings_(std::move(settings)),
        log_(std::move(log)),
        shards_timer_(context) {}

  void look_for_shards() {
    if (is_stopped_) return;
    const std::vector<ShardId> known = store_->shards();
    for (ShardId id : known) {
      auto& shard = shards_[id];
      if (shard) continue;
      shard = std::make_shared<ShardWork>(context_, id);
      claim(shard);
      if (settings_.sweep_interval > Duration::zero()) sweep(shard);
    }
    std::erase_if(shards_, [&](const auto& entry) {
      if (std::ranges::find(known, entry.first) != known.end()) return false;
      entry.second->is_gone = true;
      entry.second->claim_timer.cancel();
      entry.second->sweep_timer.cancel();
      return true;
    });
    after(shards_timer_, kLookForShards, [](RelayState& self) { self.look_for_shards(); });
  }

  void stop(std::function<void()> drained) {
    is_stopped_ = true;
    drained_ = std::move(drained);
    shards_timer_.cancel();
    for (auto& [id, shard] : shards_) {
      shard->claim_timer.cancel();
      shard->sweep_timer.cancel();
    }
    tell_drained();
  }

 private:
  template <typename Work>
  void after(asio::steady_timer& timer, Duration delay, Work work) {
    timer.expires_after(delay);
    timer.async_wait([weak = weak_from_this(), work](const boost::system::error_code& error) {
      auto self = weak.lock();
      if (!error && self && !self->is_stopped_) work(*self);
    });
  }

  // ------------------------------------------------------------------------------------------------------- sagas
  void claim(const ShardWorkPtr& shard) {
    const size_t free = services::kOutboxInFlightMax - std::min(services::kOutboxInFlightMax, in_flight_);
    const size_t asked = std::min(free, services::kOutboxBatchMax);
    if (asked == 0) return claim_after(shard, services::kOutboxPollBusy);
    in_flight_ += asked;  // a place for each that may come, so that shards cannot take more together
    store_->claim(shard->id, settings_.new_claim(), settings_.lease, asked,
                  [self = shared_from_this(), shard, asked](Result<std::vector<Saga>> sagas) {
                    self->in_flight_ -= asked;
                    self->on_claimed(shard, asked, std::move(sagas));
                  });
  }

  void on_claimed(const ShardWorkPtr& shard, size_t asked, Result<std::vector<Saga>> sagas) {
    if (!sagas) {
      warn("claim failed", {{"shard", shard->id}, {"error", sagas.error().to_string()}});
      claim_after(shard, shard->pace.after_failure());
      return tell_drained();
    }
    if (!sagas->empty()) services::kill_point("relay.claimed");
    const size_t got = sagas->size();
    for (Saga& saga : *sagas) {
      metrics_->note_wait(saga.waited);
      ++in_flight_;
      SagaRun::start(
          store_, metrics_, std::move(saga),
          [self = shared_from_this()](const Saga& of, SagaRun::Ended ended) { self->on_ended(of, std::move(ended)); });
    }
    metrics_->set_in_flight(in_flight_);
    claim_after(shard, shard->pace.after(got, asked));
    tell_drained();
  }

  void on_ended(const Saga& saga, SagaRun::Ended ended) {
    --in_flight_;
    metrics_->set_in_flight(in_flight_);
    if (ended.is_parked) {
      warn("saga parked", {{"order", saga.order_id}, {"attempts", saga.attempts}, {"error", ended.trouble}});
    } else if (!ended.has_ended) {
      log_.debug("saga not ended", {{"order", saga.order_id}, {"attempts", saga.attempts}, {"error", ended.trouble}});
    }
    tell_drained();
  }

  void claim_after(const ShardWorkPtr& shard, Duration delay) {
    if (is_stopped_ || shard->is_gone) return;
    after(shard->claim_timer, delay, [shard](RelayState& self) { self.claim(shard); });
  }

  void tell_drained() {
    if (is_stopped_ && in_flight_ == 0 && drained_) std::exchange(drained_, nullptr)();
  }

  // ------------------------------------------------------------------------------------------------------- sweep
  void sweep(const ShardWorkPtr& shard) {
    shard->sweep_batches = 0;
    expire(shard);
  }

  void expire(const ShardWorkPtr& shard) {
    if (is_stopped_) return;
    store_->expire_reservations(shard->id, kSweepBatchMax, [self = shared_from_this(), shard](Result<int64_t> count) {
      if (!count) return self->end_sweep(shard, count.error());
      if (*count > 0) {
        services::kill_point("relay.expired");
        self->metrics_->count("expired", static_cast<uint64_t>(*count));
      }
      const bool is_full = *count >= static_cast<int64_t>(kSweepBatchMax);
      if (is_full && ++shard->sweep_batches < kSweepBatchesMax) return self->expire(shard);
      if (++shard->sweeps % kSweepsPerForget == 1) return self->forget(shard);
      self->measure(shard);
    });
  }

  void forget(const ShardWorkPtr& shard) {
    store_->forget_reservations(shard->id, kForgetAfter, kSweepBatchMax,
                                [self = shared_from_this(), shard](Result<int64_t> count) {
                                  if (!count) return self->end_sweep(shard, count.error());
                                  if (*count > 0) self->metrics_->count("forgotten", static_cast<uint64_t>(*count));
                                  self->measure(shard);
                                });
  }

  void measure(const ShardWorkPtr& shard) {
    store_->measure(shard->id, [self = shared_from_this(), shard](Result<OutboxDepth> depth) {
      if (!depth) return self->end_sweep(shard, depth.error());
      self->metrics_->set_depth(shard->id, *depth);
      self->end_sweep(shard, std::nullopt);
    });
  }

  void end_sweep(const ShardWorkPtr& shard, const std::optional<Error>& error) {
    if (error) warn("sweep failed", {{"shard", shard->id}, {"error", error->to_string()}});
    if (is_stopped_ || shard->is_gone) return;
    after(shard->sweep_timer, settings_.sweep_interval, [shard](RelayState& self) { self.sweep(shard); });
  }

  void warn(std::string_view message, io::Log::Fields fields) {
    if (auto kept_back = lines_.admit(io::steady_now())) log_.warn(message, fields);
  }

  asio::io_context& context_;
  std::shared_ptr<SagaStore> store_;
  std::shared_ptr<OrderMetrics> metrics_;
  RelaySettings settings_;
  io::Log log_;
  services::LogLimiter lines_;
  asio::steady_timer shards_timer_;
  std::map<ShardId, ShardWorkPtr> shards_;
  size_t in_flight_ = 0;  // sagas, and places kept for those that a claim may bring
  bool is_stopped_ = false;
  std::function<void()> drained_;
};

class RelayImpl : public Relay {
 public:
  explicit RelayImpl(std::shared_ptr<RelayState> state) : state_(std::move(state)) {}
  ~RelayImpl() override {
    state_->stop([] {});
  }
  void start() override { state_->look_for_shards(); }
  void stop(std::function<void()> drained) override { state_->stop(std::move(drained)); }

 private:
  std::shared_ptr<RelayState> state_;
};

}  // namespace

std::unique_ptr<Relay> Relay::create(asio::io_context& context, std::shared_ptr<SagaStore> store,
                                     std::shared_ptr<OrderMetrics> metrics, RelaySettings settings, io::Log log) {
  return std::make_unique<RelayImpl>(
      std::make_shared<RelayState>(context, std::move(store), std::move(metrics), std::move(settings), std::move(log)));
}

}  // namespace tidemark::order
