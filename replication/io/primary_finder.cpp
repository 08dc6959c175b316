#include "replication/io/primary_finder.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "base/topology/primary_watch.h"
#include "replication/io/pg_connection.h"

namespace tidemark::replication::io {
namespace {

namespace asio = boost::asio;

class Finder final : public PrimaryFinder, public std::enable_shared_from_this<Finder> {
 public:
  Finder(asio::io_context& context, Options options, Listener listener)
      : context_(context), options_(std::move(options)), listener_(std::move(listener)) {}

  void set_shard(const Shard& shard) override {
    std::map<std::string, std::shared_ptr<Server>> next;
    for (const ShardServer& server : shard.servers) {
      const auto known = servers_.find(server.name);
      if (known != servers_.end() && known->second->conninfo == server.conninfo) {
        next.emplace(server.name, known->second);
        continue;
      }
      auto added = std::make_shared<Server>(context_);
      added->name = server.name;
      added->conninfo = server.conninfo;
      next.emplace(server.name, added);
      schedule(added, {});
    }
    for (auto& [name, server] : servers_)
      if (!next.contains(name) || next[name] != server) end(*server);
    servers_ = std::move(next);
    watch_.set_servers(shard);
    tell();
  }

  std::string conninfo() const override {
    if (!watch_.primary()) return {};
    const auto found = servers_.find(*watch_.primary());
    return found == servers_.end() ? std::string() : found->second->conninfo;
  }
  std::string why_none() const override { return watch_.why_none(); }

  void close() override {
    is_closed_ = true;
    for (auto& [name, server] : servers_) end(*server);
    servers_.clear();
  }

 private:
  struct Server {
    explicit Server(asio::io_context& context) : timer(context) {}
    std::string name, conninfo;
    std::shared_ptr<PgConnection> connection;
    asio::steady_timer timer;
    bool is_ended = false;
  };
  using ServerPtr = std::shared_ptr<Server>;

  static void end(Server& server) {
    server.is_ended = true;
    server.timer.cancel();
    if (server.connection) server.connection->close();
    server.connection.reset();
  }

  void schedule(const ServerPtr& server, Duration delay) {
    server->timer.expires_after(delay);
    server->timer.async_wait([weak = weak_from_this(), server](boost::system::error_code error) {
      const auto self = weak.lock();
      if (!error && self && !server->is_ended) self->ask(server);
    });
  }

  void ask(const ServerPtr& server) {
    if (server->connection) return query(server);
    server->connection = PgConnection::create(context_, {.conninfo = server->conninfo,
                                                         .user = options_.user,
                                                         .passfile = options_.passfile,
                                                         .application_name = "tidemark-invalidator finder"});
    server->connection->connect([weak = weak_from_this(), server](Status status) {
      const auto self = weak.lock();
      if (!self || server->is_ended) return;
      if (!status) return self->on_silence(server);
      self->query(server);
    });
  }

  void query(const ServerPtr& server) {
    server->connection->query(std::string(kServerReportSql), kPollTimeout,
                              [weak = weak_from_this(), server](Result<PgRows> rows) {
                                const auto self = weak.lock();
                                if (self && !server->is_ended) self->on_rows(server, std::move(rows));
                              });
  }

  void on_rows(const ServerPtr& server, Result<PgRows> rows) {
    if (!rows || rows->empty()) return on_silence(server);
    auto report = read_server_report(rows->front());
    if (!report) return on_silence(server);
    watch_.on_report(server->name, std::move(*report));
    for (const std::string& name : watch_.superseded())
      if (name == server->name) retire(server);
    schedule(server, kPollInterval);
    tell();
  }

  void retire(const ServerPtr& server) {
    server->connection->query("SELECT shard.retire(" + std::to_string(watch_.timeline()) + ")", kPollTimeout,
                              [](const Result<PgRows>&) {});  // the next report shows whether it was done
  }

  void on_silence(const ServerPtr& server) {
    server->connection->close();
    server->connection.reset();
    watch_.on_silence(server->name);
    schedule(server, kRetryDelay);
    tell();
  }

  void tell() {
    std::string now = conninfo();
    if (is_closed_ || now == told_) return;
    told_ = now;
    listener_(told_, told_.empty() ? watch_.why_none() : std::string());
  }

  asio::io_context& context_;
  const Options options_;
  const Listener listener_;
  std::map<std::string, ServerPtr> servers_;
  PrimaryWatch watch_;
  std::string told_;
  bool is_closed_ = false;
};

}  // namespace

std::shared_ptr<PrimaryFinder> PrimaryFinder::create(asio::io_context& context, Options options, Listener listener) {
  return std::make_shared<Finder>(context, std::move(options), std::move(listener));
}

}  // namespace tidemark::replication::io
