#include "shardrouter/io/pool_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/io/system_clock.h"

namespace tidemark::shardrouter {
namespace asio = boost::asio;

// --------------------------------------------------------------------------------------------------------- PoolRequest
void PoolRequest::start_deadline(Duration timeout, std::weak_ptr<PoolServer> server) {
  deadline_at_ = io::steady_now() + timeout;
  deadline_.expires_after(timeout);
  deadline_.async_wait(
      [self = shared_from_this(), timeout, weak = std::move(server)](const boost::system::error_code& error) {
        if (error || self->is_done()) return;
        std::string who = "the server";
        if (const auto server = weak.lock()) {
          server->count_passed_deadline();
          who = server->is_closed() ? server->name() : server->summary();
        }
        self->answer(tidemark::fail(
            ErrorCode::kDeadlineExceeded,
            fmt::format("{}: no answer within {} ms; {}", who, to_millis(timeout),
                        self->is_running_ ? "the statements were sent and may still run"
                                          : "the request was still waiting for a connection, nothing was sent")));
      });
}

void PoolRequest::fail(Error error) {
  if (is_done()) return;
  deadline_.cancel();
  asio::post(context_, [handler = std::move(handler_), error = std::move(error)]() mutable {
    handler(std::unexpected(std::move(error)));
  });
  handler_ = nullptr;
}

void PoolRequest::answer(Result<std::vector<ResultSet>> result) {
  if (is_done()) return;
  deadline_.cancel();
  auto handler = std::move(handler_);
  handler_ = nullptr;
  handler(std::move(result));
}

// ---------------------------------------------------------------------------------------------------------- PoolServer
std::shared_ptr<PoolServer> PoolServer::create(asio::io_context& context, ShardServer description,
                                               ShardPool::Options options, Listener listener) {
  auto server = std::make_shared<PoolServer>(context, std::move(description), std::move(options), std::move(listener));
  server->schedule_poll(Duration::zero());
  return server;
}

PoolServer::PoolServer(asio::io_context& context, ShardServer description, ShardPool::Options options,
                       Listener listener)
    : context_(context),
      description_(std::move(description)),
      options_(std::move(options)),
      listener_(std::move(listener)),
      role_(description_.role),
      breaker_delay_(options_.breaker_open_for),
      breaker_timer_(context),
      poll_timer_(context),
      poll_deadline_(context) {}

void PoolServer::submit(std::shared_ptr<PoolRequest> request) {
  if (is_closed_) return request->fail({ErrorCode::kUnavailable, name() + " is no longer in the topology"});
  drop_answered();
  if (queue_.size() >= options_.queue_max) {
    ++refused_queue_full_;
    return request->fail(
        {ErrorCode::kResourceExhausted, summary() + ": the queue is full, nothing was sent; ask less, or raise "
                                                    "connections_per_server_max or queue_max"});
  }
  queue_.push_back(std::move(request));
  pump();
}

// Requests whose deadline passed while they waited. They go when room is needed or a connection is free.
void PoolServer::drop_answered() {
  while (!queue_.empty() && queue_.front()->is_done()) queue_.pop_front();
  if (queue_.size() >= options_.queue_max) std::erase_if(queue_, [](const auto& one) { return one->is_done(); });
}

void PoolServer::pump() {
  for (const SlotPtr& slot : std::vector<SlotPtr>(slots_)) {
    drop_answered();
    if (queue_.empty()) return;
    if (!slot->is_ready || slot->role != role_ || slot->request || !slot->connection->is_idle()) continue;
    auto request = std::move(queue_.front());
    queue_.pop_front();
    dispatch(slot, std::move(request));
  }
  drop_answered();
  if (queue_.empty()) return;
  if (is_breaker_open()) {
    if (slots_.empty())
      refused_breaker_ += fail_queue(
          breaker_error_.with_context(fmt::format("{}: not reachable, nothing was sent; next try in {} ms", name(),
                                                  to_millis(breaker_until_ - io::steady_now()) + 1)));
    return;
  }
  while (slots_.size() < options_.connections_per_server_max && connecting_ < queue_.size()) {
    open_slot();
    if (is_breaker_open()) return;
  }
}

size_t PoolServer::fail_queue(const Error& error) {
  auto failed = std::move(queue_);
  queue_.clear();
  size_t count = 0;
  for (const auto& request : failed) {
    if (request->is_done()) continue;
    ++count;
    request->fail(error);
  }
  return count;
}

std::string PoolServer::summary() const {
  return fmt::format("{} ({} of {} connections in use, {} requests waiting of {})", name(), in_use(),
                     options_.connections_per_server_max, queue_.size(), options_.queue_max);
}

// ------------------------------------------------------------------------------------------------------------ connect
PgConnection::Options PoolServer::connection_options(std::string application_suffix) const {
  PgConnection::Options options;
  options.conninfo = description_.conninfo;
  options.connect_timeout = options_.connect_timeout;
  options.keywords = {
      {"user", options_.user},
      {"application_name", options_.application_name + application_suffix},
      // A query whose client is gone ends by itself; a transaction that its owner forgot holds no lock for ever.
      {"options", "-c client_connection_check_interval=1000 -c idle_in_transaction_session_timeout=10000"},
      {"tcp_user_timeout", "5000"},
  };
  if (!options_.passfile.empty()) options.keywords.emplace_back("passfile", options_.passfile);
  return options;
}

// A session of a promoted server is made anew: only so is its incarnation opened. One of a server that is no primary
// any more would go on writing.
void PoolServer::set_role(ShardServer::Role role) {
  if (role == role_ || is_closed_) return;
  role_ = role;
  breaker_until_ = {};
  breaker_delay_ = options_.breaker_open_for;
  if (role == ShardServer::Role::kReplica)
    fail_queue({ErrorCode::kUnavailable, name() + " is not the primary any more"});
  close_outdated();
  pump();
}

void PoolServer::close_outdated() {
  for (const SlotPtr& slot : std::vector<SlotPtr>(slots_)) {
    if (!slot->is_ready || slot->role == role_ || slot->request) continue;
    slot->connection->close();
    remove(slot);
  }
}

void PoolServer::look_now() {
  if (is_closed_ || is_polling_) return;
  const auto soon = std::chrono::steady_clock::now() + kLookDelay;
  if (poll_timer_.expiry() > soon) schedule_poll(kLookDelay);
}

void PoolServer::open_slot() {
  auto slot = std::make_shared<Slot>();
  slot->role = role_;
  slot->connection = PgConnection::create(context_, connection_options(""));
  slots_.push_back(slot);
  ++connecting_;
  slot->connection->connect([weak = weak_from_this(), slot](Status status) {
    const auto self = weak.lock();
    if (!self || self->is_closed_) return;
    if (!status) return self->on_connect_failed(slot, status.error());
    self->prepare_session(slot);
  });
}

// On a primary the first thing a session does is to make sure that its incarnation has a number of its own, and after a
// promotion that the slot exists.
void PoolServer::prepare_session(const SlotPtr& slot) {
  slot->connection->set_on_closed([weak = weak_from_this(), slot](const Error&) {
    const auto self = weak.lock();
    if (self && slot->is_ready) self->remove(slot);
  });
  Pipeline pipeline;
  const bool is_primary = slot->role == ShardServer::Role::kPrimary;
  pipeline.groups.push_back({{is_primary ? "SELECT shard.open_timeline()" : "SELECT 1", {}}});
  slot->drain_timer = std::make_unique<asio::steady_timer>(context_);
  slot->drain_timer->expires_after(options_.connect_timeout);
  slot->drain_timer->async_wait([slot](const boost::system::error_code& error) {
    if (!error && !slot->is_ready) slot->connection->close();  // the running pipeline then fails
  });
  slot->connection->run(std::move(pipeline), [weak = weak_from_this(), slot](Result<std::vector<ResultSet>> result) {
    slot->drain_timer->cancel();
    const auto self = weak.lock();
    if (!self || self->is_closed_) return slot->connection->close();
    if (result) return self->on_ready(slot);
    Error error = result.error();
    if (error.message.starts_with("3F000") || error.message.starts_with("42883"))
      error = {ErrorCode::kFailedPrecondition,
               "the shard is not initialised (" + error.message + "): run tidemark-shards init"};
    else if (error.code != ErrorCode::kFailedPrecondition)
      error.code = ErrorCode::kUnavailable;
    self->on_connect_failed(slot, std::move(error));
  });
}

void PoolServer::on_ready(const SlotPtr& slot) {
  slot->is_ready = true;
  --connecting_;
  if (slot->role != role_) return close_outdated();
  breaker_delay_ = options_.breaker_open_for;
  breaker_until_ = {};
  pump();
}

void PoolServer::on_connect_failed(const SlotPtr& slot, Error error) {
  slot->connection->close();
  --connecting_;
  std::erase(slots_, slot);
  open_breaker(std::move(error));
}

bool PoolServer::is_breaker_open() const {
  return io::steady_now() < breaker_until_;
}

void PoolServer::open_breaker(Error error) {
  breaker_error_ = std::move(error);
  if (!is_breaker_open()) {
    breaker_until_ = io::steady_now() + breaker_delay_;
    breaker_delay_ = std::min(breaker_delay_ * 2, kBreakerOpenMax);
    breaker_timer_.expires_after(breaker_until_ - io::steady_now() + std::chrono::milliseconds(1));
    breaker_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
      const auto self = weak.lock();
      if (!cancelled && self && !self->is_closed_) self->pump();
    });
  }
  pump();
}

// ---------------------------------------------------------------------------------------------------------------- run
void PoolServer::dispatch(const SlotPtr& slot, std::shared_ptr<PoolRequest> request) {
  slot->request = request;
  request->set_running();
  ++requests_;
  if (request->is_read()) ++reads_;
  watch_deadline(slot);
  slot->connection->run(request->take_pipeline(),
                        [weak = weak_from_this(), slot](Result<std::vector<ResultSet>> result) {
                          slot->drain_timer->cancel();
                          const auto finished = std::move(slot->request);
                          slot->request = nullptr;
                          const bool is_doubtful = !result && result.error().code == ErrorCode::kUnavailable;
                          // The connection is free before the handler runs: its next request may go out at once.
                          if (const auto self = weak.lock(); !self || self->is_closed_)
                            slot->connection->close();
                          else
                            self->on_free(slot, is_doubtful);
                          if (finished) finished->answer(std::move(result));
                        });
}

void PoolServer::on_free(const SlotPtr& slot, bool is_doubtful) {
  if (is_doubtful) look_now();
  if (!slot->connection->is_open()) return remove(slot);
  if (slot->role != role_) return close_outdated();
  pump();
}

// Once the request was answered by its deadline, the connection has kDrainLimit to get through its pipeline.
void PoolServer::watch_deadline(const SlotPtr& slot) {
  if (!slot->drain_timer) slot->drain_timer = std::make_unique<asio::steady_timer>(context_);
  slot->drain_timer->expires_after(slot->request->deadline() - io::steady_now() + kDrainLimit);
  slot->drain_timer->async_wait(
      [weak = weak_from_this(), slot, request = slot->request](const boost::system::error_code& cancelled) {
        if (cancelled || slot->request != request) return;
        slot->request = nullptr;
        slot->connection->close();
        const auto self = weak.lock();
        if (!self || self->is_closed_) return;
        self->remove(slot);
        self->open_breaker({ErrorCode::kUnavailable, "the server does not answer"});
      });
}

void PoolServer::remove(const SlotPtr& slot) {
  slot->is_ready = false;
  if (std::erase(slots_, slot) > 0 && !is_closed_) pump();
}

void PoolServer::drain() {
  close();
}

void PoolServer::close() {
  if (is_closed_) return;
  is_closed_ = true;
  fail_queue({ErrorCode::kUnavailable, name() + " is no longer used"});
  breaker_timer_.cancel();
  poll_timer_.cancel();
  drop_monitor();
  // Connections in use close when their pipeline is through (dispatch's handler), or by the drain limit.
  for (const SlotPtr& slot : slots_)
    if (!slot->request) slot->connection->close();
  slots_.clear();
}

size_t PoolServer::in_use() const {
  return static_cast<size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const SlotPtr& slot) { return slot->request != nullptr; }));
}

ShardPool::ServerState PoolServer::state() const {
  ShardPool::ServerState state;
  state.name = name();
  state.role = role_;
  const bool has_ready = std::any_of(slots_.begin(), slots_.end(), [](const SlotPtr& slot) { return slot->is_ready; });
  state.is_usable = role_ == ShardServer::Role::kReplica ? is_usable_replica() : has_ready && !is_breaker_open();
  state.replay_lsn = replay_lsn_;
  if (polled_at_) state.replay_age = io::steady_now() - *polled_at_;
  state.connections = slots_.size() - connecting_;
  state.in_use = in_use();
  state.queued = queue_.size();
  state.is_breaker_open = is_breaker_open();
  state.requests = requests_;
  state.reads = reads_;
  state.refused_queue_full = refused_queue_full_;
  state.refused_breaker = refused_breaker_;
  state.deadlines_passed = deadlines_passed_;
  return state;
}

// --------------------------------------------------------------------------------------------------------------- polls
bool PoolServer::is_usable_replica() const {
  if (!polled_at_ || is_closed_) return false;
  if (is_breaker_open() && slots_.empty()) return false;
  return io::steady_now() - *polled_at_ <= options_.replica_poll_interval * kReplayAgeIntervalsMax;
}

void PoolServer::schedule_poll(Duration delay) {
  poll_timer_.expires_after(delay);
  poll_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (!cancelled && self && !self->is_closed_) self->poll();
  });
}

void PoolServer::poll() {
  is_polling_ = true;
  poll_deadline_.expires_after(options_.connect_timeout);
  poll_deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (!cancelled && self && !self->is_closed_ && self->monitor_)
      self->on_polled(tidemark::fail(ErrorCode::kUnavailable, "no answer"));
  });
  if (monitor_) return run_poll();
  monitor_ = PgConnection::create(context_, connection_options(" monitor"));
  monitor_->connect([weak = weak_from_this(), monitor = monitor_](Status status) {
    const auto self = weak.lock();
    if (!self || self->is_closed_ || self->monitor_ != monitor) return monitor->close();
    if (!status) return self->on_polled(std::unexpected(status.error()));
    self->run_poll();
  });
}

void PoolServer::run_poll() {
  if (!monitor_->is_idle()) return on_polled(tidemark::fail(ErrorCode::kUnavailable, "the connection broke"));
  Pipeline pipeline;
  // In a group of its own, so that the report that follows shows what it did.
  if (const auto timeline = std::exchange(retire_timeline_, std::nullopt))
    pipeline.groups.push_back({{"SELECT shard.retire($1::int)", {std::to_string(*timeline)}}});
  pipeline.groups.push_back({{std::string(kServerReportSql), {}}});
  monitor_->run(std::move(pipeline),
                [weak = weak_from_this(), monitor = monitor_](Result<std::vector<ResultSet>> result) {
                  const auto self = weak.lock();
                  if (self && !self->is_closed_ && self->monitor_ == monitor) self->on_polled(std::move(result));
                });
}

void PoolServer::on_polled(Result<std::vector<ResultSet>> result) {
  poll_deadline_.cancel();
  is_polling_ = false;
  const auto keep = shared_from_this();  // the listener may take this server out of the pool
  if (result && !result->empty() && !result->back().rows.empty()) {
    // A replica that was rebuilt or rewound goes back: what it says now is what counts.
    if (auto report = read_server_report(result->back().rows[0])) {
      replay_lsn_ = report->position;
      polled_at_ = report->is_in_recovery ? std::optional(io::steady_now()) : std::nullopt;
      schedule_poll(options_.replica_poll_interval);
      return listener_(name(), std::move(*report));
    }
  }
  drop_monitor();
  polled_at_.reset();  // not chosen until it is heard again
  schedule_poll(options_.breaker_open_for);
  listener_(name(), std::nullopt);
}

void PoolServer::drop_monitor() {
  poll_deadline_.cancel();
  if (const auto monitor = std::move(monitor_)) monitor->close();
  monitor_ = nullptr;
}

}  // namespace tidemark::shardrouter
