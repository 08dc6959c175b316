// One Postgres server as its pool sees it: connections, queue, breaker, and what it says about itself, by polls.
//
//   submit -> free connection? run it : fewer than the limit and breaker closed? connect : wait in the queue
//
// The breaker opens when a connect fails or a connection answers nothing for kDrainLimit after its request's deadline;
// while it is open and no connection is left, requests fail at once with the cause. It doubles up to kBreakerOpenMax.
// A request that passes its deadline is answered at once; its connection reads on until its pipeline is through, or is
// closed after kDrainLimit: never reused dirty.
// Its role is the pool's decision (PrimaryWatch): when it changes, sessions that were made for the other role are
// closed. Threads: the io_context's. Internal to the pool.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/topology/primary_watch.h"
#include "shardrouter/io/pg_connection.h"
#include "shardrouter/io/shard_pool.h"

namespace tidemark::shardrouter {

class PoolServer;

// A request from run() to its one answer.
class PoolRequest : public std::enable_shared_from_this<PoolRequest> {
 public:
  PoolRequest(boost::asio::io_context& context, Pipeline pipeline, ShardPool::Handler handler)
      : context_(context), deadline_(context), pipeline_(std::move(pipeline)), handler_(std::move(handler)) {}

  void start_deadline(Duration timeout, std::weak_ptr<PoolServer> server);
  void fail(Error error);                              // posts the answer; nothing if there was one
  void answer(Result<std::vector<ResultSet>> result);  // called from a posted handler: answers directly
  bool is_done() const { return !handler_; }
  Pipeline take_pipeline() { return std::move(pipeline_); }
  bool is_read() const { return pipeline_.kind == Pipeline::Kind::kRead; }
  void set_running() { is_running_ = true; }
  Instant deadline() const { return deadline_at_; }

 private:
  boost::asio::io_context& context_;
  boost::asio::steady_timer deadline_;
  Pipeline pipeline_;
  ShardPool::Handler handler_;
  Instant deadline_at_{};
  bool is_running_ = false;
};

class PoolServer : public std::enable_shared_from_this<PoolServer> {
 public:
  static constexpr Duration kBreakerOpenMax = std::chrono::seconds(2);
  static constexpr Duration kDrainLimit = std::chrono::seconds(1);
  static constexpr Duration kLookDelay = std::chrono::milliseconds(10);
  static constexpr int kReplayAgeIntervalsMax = 10;  // a replica not heard of for so many poll intervals is not chosen

  // Called with every answer to a poll, and with nothing when there was none.
  using Listener = std::function<void(const std::string& server, std::optional<ServerReport> report)>;

  static std::shared_ptr<PoolServer> create(boost::asio::io_context& context, ShardServer description,
                                            ShardPool::Options options, Listener listener);
  PoolServer(boost::asio::io_context& context, ShardServer description, ShardPool::Options options, Listener listener);

  void submit(std::shared_ptr<PoolRequest> request);
  void set_role(ShardServer::Role role);
  ShardServer::Role role() const { return role_; }
  void look_now();  // polls at once: a statement's error made its state doubtful
  void retire_after_poll(uint32_t timeline) { retire_timeline_ = timeline; }  // tell it that it has a successor
  void drain();  // no longer in the topology: what waits fails, what runs ends
  void close();

  const ShardServer& description() const { return description_; }
  const std::string& name() const { return description_.name; }
  ShardPool::ServerState state() const;
  size_t outstanding() const { return in_use() + queue_.size(); }
  bool is_usable_replica() const;
  Lsn replay_lsn() const { return replay_lsn_; }
  bool is_closed() const { return is_closed_; }
  std::string summary() const;  // its name and how busy it is, for errors
  void count_passed_deadline() { ++deadlines_passed_; }

 private:
  struct Slot {
    std::shared_ptr<PgConnection> connection;
    std::shared_ptr<PoolRequest> request;  // what it runs; kept while it drains
    std::unique_ptr<boost::asio::steady_timer> drain_timer;
    bool is_ready = false;                                 // connected, and its session is set up
    ShardServer::Role role = ShardServer::Role::kPrimary;  // what its session was set up for
  };
  using SlotPtr = std::shared_ptr<Slot>;

  void pump();
  void close_outdated();
  void open_slot();
  void prepare_session(const SlotPtr& slot);
  void on_ready(const SlotPtr& slot);
  void on_connect_failed(const SlotPtr& slot, Error error);
  void dispatch(const SlotPtr& slot, std::shared_ptr<PoolRequest> request);
  void on_free(const SlotPtr& slot, bool is_doubtful);
  void watch_deadline(const SlotPtr& slot);
  void remove(const SlotPtr& slot);
  void open_breaker(Error error);
  void drop_answered();
  size_t fail_queue(const Error& error);  // how many had not been answered yet
  size_t in_use() const;
  bool is_breaker_open() const;
  PgConnection::Options connection_options(std::string application_suffix) const;

  void schedule_poll(Duration delay);
  void poll();
  void run_poll();
  void on_polled(Result<std::vector<ResultSet>> result);
  void drop_monitor();

  boost::asio::io_context& context_;
  const ShardServer description_;
  const ShardPool::Options options_;
  const Listener listener_;
  ShardServer::Role role_;

  std::vector<SlotPtr> slots_;
  size_t connecting_ = 0;
  std::deque<std::shared_ptr<PoolRequest>> queue_;
  bool is_closed_ = false;
  uint64_t requests_ = 0, reads_ = 0;
  uint64_t refused_queue_full_ = 0, refused_breaker_ = 0, deadlines_passed_ = 0;

  Duration breaker_delay_;
  Instant breaker_until_{};
  Error breaker_error_;
  boost::asio::steady_timer breaker_timer_;

  // A connection of its own, so that polling does not wait behind requests.
  std::shared_ptr<PgConnection> monitor_;
  boost::asio::steady_timer poll_timer_;
  boost::asio::steady_timer poll_deadline_;
  bool is_polling_ = false;
  std::optional<uint32_t> retire_timeline_;
  Lsn replay_lsn_;
  std::optional<Instant> polled_at_;  // as a replica
};

}  // namespace tidemark::shardrouter
