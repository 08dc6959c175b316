#include "shardrouter/io/shard_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

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

  bool has_replica(Lsn at_least) const override {
    return std::ranges::any_of(servers_, [&](const auto& server) {
      return server->description().role == ShardServer::Role::kReplica && server->is_usable_replica() &&
             server->replay_lsn() >= at_least;
    });
  }

  void set_shard(Shard shard) override {
    std::vector<std::shared_ptr<PoolServer>> next;
    for (const ShardServer& server : shard.servers) {
      const auto known =
          std::find_if(servers_.begin(), servers_.end(), [&](const auto& one) { return one->description() == server; });
      if (known != servers_.end()) {
        next.push_back(*known);
        servers_.erase(known);
      } else {
        next.push_back(PoolServer::create(context_, server, options_));
      }
    }
    for (const auto& gone : servers_) gone->drain();
    servers_ = std::move(next);
    shard_ = std::move(shard);
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

  Result<std::shared_ptr<PoolServer>> choose_primary() const {
    for (const auto& server : servers_)
      if (server->description().role == ShardServer::Role::kPrimary) return server;
    return fail(ErrorCode::kUnavailable, fmt::format("shard {} has no primary in the topology", shard_.id));
  }

  // Least outstanding of those that have replayed enough; the earlier one wins a tie.
  Result<std::shared_ptr<PoolServer>> choose_replica(Lsn at_least) const {
    std::shared_ptr<PoolServer> best;
    size_t best_outstanding = 0;
    bool any_usable = false;
    for (const auto& server : servers_) {
      if (server->description().role != ShardServer::Role::kReplica || !server->is_usable_replica()) continue;
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
