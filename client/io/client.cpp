#include "client/client.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>
#include <thread>
#include <utility>

#include "base/io/secrets.h"
#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"

namespace tidemark::client {
namespace {

namespace asio = boost::asio;

constexpr Duration kReloadPause = std::chrono::milliseconds(100);  // between two reads of the store that peers caused

class ClientImpl final : public Client {
 public:
  ClientImpl(std::unique_ptr<asio::io_context> own, asio::io_context& context, io::TopologyStoreFile store,
             std::function<void(const Topology&)> on_topology)
      : own_(std::move(own)), context_(context), store_(std::move(store)), on_topology_(std::move(on_topology)) {}
  ~ClientImpl() override { close(); }

  void start(std::shared_ptr<const Topology> topology, CacheOptions cache, DatabaseOptions database) {
    topology_version_ = topology->version;
    cache_ = CacheClient::create(context_, topology, std::move(cache));
    database_ = Database::create(context_, topology, std::move(database));
    cache_->on_stale_topology([this] { reload(); });
    database_->on_stale_topology([this] { reload(); });
    watch_ = store_.watch(context_, [this](std::shared_ptr<const Topology> newer) { take(std::move(newer)); });
    if (own_ == nullptr) return;
    work_.emplace(context_.get_executor());
    loop_ = std::thread([this] { context_.run(); });
  }

  const std::shared_ptr<CacheClient>& cache() const override { return cache_; }
  const std::shared_ptr<Database>& database() const override { return database_; }
  asio::io_context& context() override { return context_; }

  // What belongs to the loop is closed and dropped on its thread.
  void close() override {
    if (std::exchange(is_closed_, true)) return;
    if (!loop_.joinable()) return drop();
    std::promise<void> dropped;
    asio::post(context_, [&] {
      drop();
      dropped.set_value();
    });
    dropped.get_future().wait();
    work_.reset();
    context_.stop();
    loop_.join();
  }

 private:
  void drop() {
    watch_.reset();
    if (cache_ != nullptr) cache_->close();
    if (database_ != nullptr) database_->close();
  }

  void take(std::shared_ptr<const Topology> newer) {
    if (newer->version <= topology_version_) return;
    topology_version_ = newer->version;
    cache_->set_topology(newer);
    database_->set_topology(newer);
    if (on_topology_) on_topology_(*newer);
  }

  // A peer said that ours is old. The watch would bring the newer one too, only later if inotify fails.
  void reload() {
    const Instant now = io::steady_now();
    if (now - last_reload_ < kReloadPause) return;
    last_reload_ = now;
    Result<Topology> loaded = store_.load();
    if (loaded) take(std::make_shared<const Topology>(std::move(*loaded)));
  }

  std::unique_ptr<asio::io_context> own_;
  asio::io_context& context_;
  io::TopologyStoreFile store_;
  std::function<void(const Topology&)> on_topology_;
  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  std::unique_ptr<io::TopologyStoreFile::Watch> watch_;
  uint64_t topology_version_ = 0;
  Instant last_reload_{};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::thread loop_;
  bool is_closed_ = false;
};

Result<std::unique_ptr<Client>> open_on(std::unique_ptr<asio::io_context> own, asio::io_context& context,
                                        ClientOptions options) {
  if (!options.cache_password_file.empty()) {
    Result<std::string> password = io::read_secret_file(options.cache_password_file);
    if (!password) return std::unexpected(password.error());
    options.cache.password = *password;
  }
  options.cache.client_name = options.name;
  options.database.pool.application_name = options.name;
  if (!options.passfile.empty()) options.database.pool.passfile = options.passfile;
  Result<io::TopologyStoreFile> store = io::open_topology_store(options.topology);
  if (!store) return std::unexpected(store.error());
  Result<Topology> loaded = store->load();
  if (!loaded) return std::unexpected(loaded.error());
  if (loaded->buckets.empty()) {
    return fail(ErrorCode::kFailedPrecondition, "the topology has no shards; run tidemark-shards init first");
  }
  auto client =
      std::make_unique<ClientImpl>(std::move(own), context, std::move(*store), std::move(options.on_topology));
  client->start(std::make_shared<const Topology>(std::move(*loaded)), std::move(options.cache),
                std::move(options.database));
  return client;
}

}  // namespace

Result<std::unique_ptr<Client>> Client::open(ClientOptions options) {
  auto own = std::make_unique<asio::io_context>(1);
  asio::io_context& context = *own;
  return open_on(std::move(own), context, std::move(options));
}

Result<std::unique_ptr<Client>> Client::open(asio::io_context& context, ClientOptions options) {
  return open_on(nullptr, context, std::move(options));
}

}  // namespace tidemark::client
