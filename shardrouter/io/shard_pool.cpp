#include "shardrouter/io/shard_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/topology/primary_watch.h"
#include "shardrouter/io/pool_server.h"

namespace tidemark::shardrouter {
namespace {

namespace asio = boost::asio;

class ShardPoolImpl final : public ShardPool, public std::enable_shared_from_this<ShardPoolImpl> {
 public:
  ShardPoolImpl(asio::io_context& context, Options options) : context_(context), options_(std::move(options)) {}
  ~ShardPoolImpl() override { close(); }

  void run(Target target, Lsn at_least, Pipeline pipeline, Duration timeout, Handler handler) override {
    auto request = std::make_shared<PoolRequest>(context_, std::move(pipeline), std::move(handler));
    if (is_closed_) return request->fail({ErrorCode::kUnavailable, "the pool is closed"});
    if (timeout <= Duration::zero())
      return request->fail({ErrorCode::kDeadlineExceeded, "the deadline had passed before the request was made"});
    const auto server = choose(target, at_least);
    if (!server) return request->fail(server.error());
    request->start_deadline(timeout, *server);
    (*server)->submit(std::move(request));
  }

  DbEpoch db_epoch_floor() const override { return watch_.db_epoch_floor(); }
  void note_db_epoch(DbEpoch db_epoch) override {
    if (db_epoch <= watch_.db_epoch_floor()) return;
    watch_.note_db_epoch(db_epoch);
    follow();
  }
  uint64_t fail_overs() const override { return watch_.changes() > 0 ? watch_.changes() - 1 : 0; }

  bool has_replica(Lsn at_least) const override {
    return std::ranges::any_of(
        servers_, [&](const auto& server) { return is_usable_replica(*server) && server->replay_lsn() >= at_least; });
  }

  void set_shard(Shard shard) override {
    std::vector<std::shared_ptr<PoolServer>> next;
    for (const ShardServer& server : shard.servers) {
      const auto known =
          std::find_if(servers_.begin(), servers_.end(), [&](const auto& one) { return is_same(*one, server); });
      if (known != servers_.end()) {
        next.push_back(*known);
        servers_.erase(known);
      } else {
        next.push_back(
            PoolServer::create(context_, server, options_,
                               [weak = weak_from_this()](const std::string& name, std::optional<ServerReport> report) {
                                 if (const auto self = weak.lock()) self->on_report(name, std::move(report));
                               }));
      }
    }
    for (const auto& gone : servers_) gone->drain();
    servers_ = std::move(next);
    shard_ = std::move(shard);
    watch_.set_servers(shard_);
    follow();
  }

  std::vector<ServerState> servers() const override {
    std::vector<ServerState> states;
    for (const auto& server : servers_) states.push_back(server->state());
    return states;
  }

  void close() override {
    is_closed_ = true;
    for (const auto& server : servers_) server->close();
    servers_.clear();
  }

 private:
  Result<std::shared_ptr<PoolServer>> choose(Target target, Lsn at_least) const {
    return target == Target::kPrimary ? choose_primary() : choose_replica(at_least);
  }

  // The role in the topology is a hint: a promotion does not change what it is to a connection.
  static bool is_same(const PoolServer& known, const ShardServer& server) {
    return known.name() == server.name && known.description().conninfo == server.conninfo;
  }

  void on_report(const std::string& name, std::optional<ServerReport> report) {
    if (is_closed_) return;
    if (report)
      watch_.on_report(name, std::move(*report));
    else
      watch_.on_silence(name);
    follow();
  }

  void follow() {
    const auto superseded = watch_.superseded();
    // First the old one: at no moment are there two.
    for (const auto& server : servers_)
      if (server->name() != watch_.primary()) server->set_role(ShardServer::Role::kReplica);
    for (const auto& server : servers_) {
      if (server->name() == watch_.primary()) server->set_role(ShardServer::Role::kPrimary);
      if (std::ranges::find(superseded, server->name()) != superseded.end())
        server->retire_after_poll(watch_.timeline());
    }
  }

  bool is_usable_replica(const PoolServer& server) const {
    return server.role() == ShardServer::Role::kReplica && server.is_usable_replica() &&
           watch_.is_current_replica(server.name());
  }

  Result<std::shared_ptr<PoolServer>> choose_primary() const {
    for (const auto& server : servers_)
      if (server->role() == ShardServer::Role::kPrimary) return server;
    return fail(ErrorCode::kUnavailable, watch_.why_none() + "; nothing was sent, try again");
  }

  // Least outstanding of those that have replayed enough; the earlier one wins a tie.
  Result<std::shared_ptr<PoolServer>> choose_replica(Lsn at_least) const {
    std::shared_ptr<PoolServer> best;
    size_t best_outstanding = 0;
    bool any_usable = false;
    for (const auto& server : servers_) {
      if (!is_usable_replica(*server)) continue;
      any_usable = true;
      if (server->replay_lsn() < at_least) continue;
      if (best && server->outstanding() >= best_outstanding) continue;
      best = server;
      best_outstanding = server->outstanding();
    }
    if (best) return best;
    if (any_usable)
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("no replica of shard {} has replayed {} yet", shard_.id, at_least.to_string()));
    return fail(at_least.is_zero() ? ErrorCode::kUnavailable : ErrorCode::kFailedPrecondition,
                fmt::format("no replica of shard {} is usable", shard_.id));
  }

  asio::io_context& context_;
  const Options options_;
  Shard shard_;
  PrimaryWatch watch_;
  std::vector<std::shared_ptr<PoolServer>> servers_;
  bool is_closed_ = false;
};

}  // namespace

std::shared_ptr<ShardPool> ShardPool::create(asio::io_context& context, Shard shard, Options options) {
  auto pool = std::make_shared<ShardPoolImpl>(context, std::move(options));
  pool->set_shard(std::move(shard));
  return pool;
}

}  // namespace tidemark::shardrouter
