#include "cacheserver/io/server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/io/admin_http.h"
#include "base/io/random_source.h"
#include "base/io/ready_file.h"
#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"
#include "cacheserver/io/cache_metrics.h"
#include "cacheserver/io/mailbox.h"
#include "cacheserver/io/sockets.h"
#include "cacheserver/io/topology_registration.h"
#include "cacheserver/io/worker_loop.h"

namespace tidemark::cacheserver::io {
namespace {

namespace asio = boost::asio;
using tidemark::io::AdminHttp;
using tidemark::io::Log;
using tidemark::io::steady_now;
using tidemark::io::TopologyStoreFile;

constexpr uint64_t kProcessBytes = 10 << 20;  // resident size of an idle node, and room for its buffers
constexpr uint64_t kDescriptorsBeside = 64;  // listeners, logs, topology watch, admin HTTP

// The soft limit of open files is raised to what the clients need, as far as the hard limit allows.
void raise_descriptor_limit(uint64_t clients_max, const Log& log) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const uint64_t wanted = clients_max + kDescriptorsBeside;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    log.warn("fewer open files are allowed than --maxclients needs", {{"allowed", limit.rlim_cur}, {"wanted", wanted}});
  }
}

void close_all(const std::vector<Listener>& listeners) {
  for (const Listener& listener : listeners) ::close(listener.socket);
}

class ServerOfWorkers final : public Server {
 public:
  ServerOfWorkers(asio::io_context& control, ServerOptions options, Log log)
      : control_(control), options_(std::move(options)), log_(std::move(log)) {}

  ~ServerOfWorkers() override {
    admin_.reset();  // it reads the workers
    watch_.reset();
    for (auto& worker : workers_) worker->stop();
  }

  Status run() {
    if (Status status = open_store(); !status) return status;
    raise_descriptor_limit(options_.clients_max, log_);
    auto listeners = bind_all();
    if (!listeners) return std::unexpected(listeners.error());
    for (const Listener& listener : *listeners) ports_.push_back(listener.port);
    if (Status status = open_workers(*listeners); !status) return status;
    if (Status status = start_admin(); !status) return status;
    if (Status status = enter_topology(); !status) return status;
    for (auto& worker : workers_) worker->start();
    watch_topology();
    is_serving_ = true;
    return write_ready();
  }

  std::vector<uint16_t> ports() const override { return ports_; }
  uint16_t metrics_port() const override { return admin_->port(); }

  void drain(std::function<void()> on_done) override {
    is_serving_ = false;
    watch_.reset();
    on_drained_ = std::move(on_done);
    workers_draining_ = workers_.size();
    for (auto& worker : workers_) {
      worker->drain(kDrainBound, [this] { asio::post(control_, [this] { worker_drained(); }); });
    }
  }

 private:
  Status open_store() {
    if (options_.topology.empty()) {
      if (options_.threads == 0) options_.threads = 1;
      if (!options_.port) options_.port = kDefaultPort;
      return {};
    }
    auto store = tidemark::io::open_topology_store(options_.topology);
    if (!store) return std::unexpected(store.error());
    store_ = *std::move(store);
    auto node = registered_node(*store_, options_.node_id);
    if (!node) return std::unexpected(node.error());
    registered_ports_ = node->worker_ports;
    host_ = node->host;
    if (options_.threads == 0) options_.threads = std::max(node->workers, 1u);
    return {};
  }

  Result<Listener> bind_one(uint32_t index) const {
    if (options_.port) {
      const uint32_t port = *options_.port == 0 ? 0 : *options_.port + index;
      if (port > 65535) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("--port {} with --threads {}: ports end at 65535", *options_.port, options_.threads));
      }
      return listen_on(options_.bind, static_cast<uint16_t>(port));
    }
    const uint16_t registered = index < registered_ports_.size() ? registered_ports_[index] : 0;
    auto listener = listen_on(options_.bind, registered);
    if (listener || registered == 0) return listener;
    log_.warn("the registered port is taken; using another one", {{"port", registered}});
    return listen_on(options_.bind, 0);
  }

  Result<std::vector<Listener>> bind_all() const {
    std::vector<Listener> listeners;
    for (uint32_t i = 0; i < options_.threads; ++i) {
      auto listener = bind_one(i);
      if (!listener) {
        close_all(listeners);
        return std::unexpected(listener.error());
      }
      listeners.push_back(*listener);
    }
    return listeners;
  }

  // A node of a topology answers MOVED instead: its clients know their way, and learn from it.
  bool forwards() const { return !store_ && options_.threads > 1; }

  Worker::Options worker_options(uint32_t index, uint64_t incarnation) const {
    WorkerConfig config;
    config.memory_bytes_max = options_.memory_bytes_max / options_.threads;
    config.process_bytes = kProcessBytes / options_.threads;
    config.memory_policy = policy_of_redis_name(options_.policy);
    config.clients_max = (options_.clients_max + options_.threads - 1) / options_.threads;
    config.bind = options_.bind;
    return {.identity = {.node_id = options_.node_id,
                         .worker_index = index,
                         .workers = options_.threads,
                         .incarnation = incarnation,
                         .host = host_.empty() ? options_.bind : host_,
                         .port = ports_[index],
                         .process_id = static_cast<uint64_t>(::getpid()),
                         .started_at = steady_now(),
                         .forwards = forwards()},
            .config = std::move(config),
            .credentials = options_.credentials,
            .hash_seed = tidemark::io::random_u64(),
            .clock = steady_now};
  }

  Status open_workers(const std::vector<Listener>& listeners) {
    const uint64_t incarnation = tidemark::io::random_u64();
    std::shared_ptr<Mailboxes> mailboxes;
    if (forwards()) {
      auto opened = open_mailboxes(options_.threads);
      if (!opened) {
        close_all(listeners);
        return std::unexpected(opened.error());
      }
      mailboxes = std::make_shared<Mailboxes>(*std::move(opened));
    }
    for (uint32_t i = 0; i < options_.threads; ++i) {
      auto worker = WorkerLoop::open(listeners[i], worker_options(i, incarnation), mailboxes, log_);
      if (!worker) {
        close_all({listeners.begin() + i + 1, listeners.end()});
        return std::unexpected(worker.error());
      }
      workers_.push_back(*std::move(worker));
    }
    return {};
  }

  Status start_admin() {
    std::vector<const WorkerLoop*> workers;
    for (const auto& worker : workers_) workers.push_back(worker.get());
    AdminHttp::Options admin;
    admin.host = options_.bind;
    admin.port = options_.metrics_port;
    admin.readiness = [this] {
      return is_serving_ ? tidemark::io::Readiness{} : tidemark::io::Readiness{.reasons_against = {"not serving"}};
    };
    admin.sources = {[workers] { return cache_metrics(workers, steady_now()); }};
    auto started = AdminHttp::start(std::move(admin));
    if (!started) return std::unexpected(started.error().with_context("--metrics-port"));
    admin_ = *std::move(started);
    return {};
  }

  Status enter_topology() {
    if (!store_) {
      if (options_.threads > 1) adopt(topology_of_its_own());
      return {};
    }
    auto topology =
        register_node(*store_, {.node_id = options_.node_id, .worker_ports = ports_, .metrics_port = admin_->port()});
    if (!topology) return std::unexpected(topology.error().with_context("registering in the topology"));
    adopt(std::make_shared<const Topology>(*std::move(topology)));
    return {};
  }

  std::shared_ptr<const Topology> topology_of_its_own() const {
    auto topology = std::make_shared<Topology>();
    topology->version = topology->slots_version = 1;
    topology->nodes = {{.id = options_.node_id,
                        .host = options_.bind,
                        .worker_ports = ports_,
                        .metrics_port = admin_->port(),
                        .workers = options_.threads}};
    topology->groups = {{.id = "g1", .nodes = {options_.node_id}}};
    topology->slot_groups.assign(kSlotCount, 0);
    return topology;
  }

  void adopt(std::shared_ptr<const Topology> topology) {
    if (topology->version <= version_) return;
    version_ = topology->version;
    for (auto& worker : workers_) worker->adopt_topology(topology);
    log_.info("topology adopted", {{"version", version_}, {"slots_version", topology->slots_version}});
  }

  void watch_topology() {
    if (!store_) return;
    watch_ = store_->watch(control_, [this](std::shared_ptr<const Topology> topology) {
      if (topology->find_node(options_.node_id) == nullptr) {
        log_.warn("this node is no longer in the topology", {{"version", topology->version}});
      }
      adopt(std::move(topology));
    });
  }

  Status write_ready() const {
    std::vector<int64_t> ports(ports_.begin(), ports_.end());
    return tidemark::io::write_ready_file(
        options_.ready_file, {{"node", options_.node_id}, {"ports", ports}, {"metrics_port", int64_t{admin_->port()}}});
  }

  void worker_drained() {
    if (--workers_draining_ == 0 && on_drained_) std::exchange(on_drained_, nullptr)();
  }

  asio::io_context& control_;
  ServerOptions options_;
  Log log_;
  std::optional<TopologyStoreFile> store_;
  std::string host_;  // as the topology names this node
  std::vector<uint16_t> registered_ports_;
  std::vector<uint16_t> ports_;
  uint64_t version_ = 0;
  std::atomic<bool> is_serving_ = false;
  std::vector<std::unique_ptr<WorkerLoop>> workers_;
  std::unique_ptr<AdminHttp> admin_;
  std::unique_ptr<TopologyStoreFile::Watch> watch_;
  size_t workers_draining_ = 0;
  std::function<void()> on_drained_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(asio::io_context& control, ServerOptions options, Log log) {
  auto server = std::make_unique<ServerOfWorkers>(control, std::move(options), std::move(log));
  if (Status status = server->run(); !status) return std::unexpected(status.error());
  return server;
}

}  // namespace tidemark::cacheserver::io
