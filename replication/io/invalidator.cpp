#include "replication/io/invalidator.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <mutex>

#include "base/io/system_clock.h"

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;

class Service final : public InvalidatorService, public std::enable_shared_from_this<Service> {
 public:
  Service(asio::io_context& context, tidemark::io::TopologyStoreFile store, Options options, tidemark::io::Log log,
          std::unique_ptr<Journal> journal)
      : context_(context),
        store_(std::move(store)),
        options_(std::move(options)),
        log_(std::move(log)),
        journal_(std::move(journal)),
        pool_(1),
        publish_timer_(context) {}
  ~Service() override { pool_.join(); }

  void start() {
    watch_ = store_.watch(context_, [weak = weak_from_this()](std::shared_ptr<const Topology> topology) {
      if (auto self = weak.lock()) self->apply(std::move(topology));
    });
    run_publish();
  }

  void on_ready(std::function<void()> handler) override { ready_handler_ = std::move(handler); }

  void stop(std::function<void()> on_stopped) override {
    watch_.reset();
    publish_timer_.cancel();
    is_stopping_ = true;
    auto remaining = std::make_shared<size_t>(shards_.size() + 1);
    auto one_done = [self = shared_from_this(), remaining, on_stopped = std::move(on_stopped)] {
      if (--*remaining > 0) return;
      self->publish();
      on_stopped();
    };
    for (auto& [id, shard] : shards_) shard->stop(one_done);
    one_done();
  }

  std::vector<tidemark::io::MetricFamily> metrics() const override {
    std::lock_guard lock(published_mutex_);
    return published_metrics_;
  }

  tidemark::io::Readiness readiness() const override {
    std::lock_guard lock(published_mutex_);
    return published_readiness_;
  }

 private:
  void apply(std::shared_ptr<const Topology> topology) {
    if (is_stopping_) return;
    topology_ = topology;
    for (const Shard& shard : topology->shards) {
      auto& invalidator = shards_[shard.id];
      if (!invalidator) {
        invalidator = ShardInvalidator::create(context_, pool_, *journal_, shard.id, options_.shard, log_);
      }
    }
    for (auto it = shards_.begin(); it != shards_.end();) {
      if (topology->find_shard(it->first) != nullptr) {
        it->second->apply(topology);
        ++it;
        continue;
      }
      log_.info("shard has left the topology", {{"shard", it->first}});
      it->second->stop([keep = it->second] {});
      it = shards_.erase(it);
    }
    publish();
  }

  void run_publish() {
    publish_timer_.expires_after(kPublishInterval);
    publish_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error) return;
      self->publish();
      self->run_publish();
    });
  }

  void publish() {
    std::vector<tidemark::io::MetricFamily> metrics;
    tidemark::io::Readiness readiness;
    if (is_stopping_) readiness.reasons_against.push_back("stopping");
    if (!topology_) readiness.reasons_against.push_back("no topology yet");
    for (const auto& [id, shard] : shards_) {
      shard->append_metrics(metrics);
      if (shard->state() == ShardInvalidator::State::kDown) {
        readiness.reasons_against.push_back(fmt::format("shard {}: {}", id, shard->why_not_streaming()));
      }
    }
    bool is_ready = readiness.reasons_against.empty();
    {
      std::lock_guard lock(published_mutex_);
      published_metrics_ = std::move(metrics);
      published_readiness_ = std::move(readiness);
    }
    if (is_ready && ready_handler_) std::exchange(ready_handler_, nullptr)();
  }

  asio::io_context& context_;
  tidemark::io::TopologyStoreFile store_;
  Options options_;
  tidemark::io::Log log_;
  std::unique_ptr<Journal> journal_;
  asio::thread_pool pool_;
  asio::steady_timer publish_timer_;
  std::unique_ptr<tidemark::io::TopologyStoreFile::Watch> watch_;
  std::shared_ptr<const Topology> topology_;
  std::map<ShardId, std::shared_ptr<ShardInvalidator>> shards_;
  std::function<void()> ready_handler_;
  bool is_stopping_ = false;

  mutable std::mutex published_mutex_;
  std::vector<tidemark::io::MetricFamily> published_metrics_;
  tidemark::io::Readiness published_readiness_;
};

}  // namespace

Result<std::shared_ptr<InvalidatorService>> InvalidatorService::open(asio::io_context& context,
                                                                     tidemark::io::TopologyStoreFile store,
                                                                     Options options, tidemark::io::Log log) {
  auto journal = Journal::open(options.journal);
  if (!journal) return std::unexpected(journal.error());
  auto service =
      std::make_shared<Service>(context, std::move(store), std::move(options), std::move(log), std::move(*journal));
  service->start();
  return service;
}

}  // namespace tidemark::replication::io
