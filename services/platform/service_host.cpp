#include "services/platform/service_host.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "base/io/admin_http.h"
#include "base/io/ready_file.h"
#include "base/io/secrets.h"
#include "base/io/signals.h"
#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"
#include "client/io/client_metrics.h"

namespace tidemark::services {
namespace {

namespace asio = boost::asio;

constexpr int kMessageBytesMax = 8 << 20;
constexpr Duration kReloadPause =
    std::chrono::milliseconds(100);  // between two reads of the store that clients asked for

class Host {
 public:
  Host(std::string program, const Settings& settings, io::Log log)
      : program_(std::move(program)), settings_(settings), log_(std::move(log)), metrics_(settings.requests_max) {}

  ~Host() { stop_loop(); }

  Status start(const ServiceFactory& make_service) {
    if (Status opened = open_clients(); !opened) return opened;
    work_.emplace(context_.get_executor());
    loop_ = std::thread([this] { context_.run(); });
    service_ =
        make_service({context_, cache_, database_,
                      CallSettings{.deadline_default = settings_.deadline_default, .metrics = &metrics_, .log = log_}});
    if (Status started = start_admin(); !started) return started;
    if (Status started = start_grpc(); !started) return started;
    is_serving_ = true;
    return io::write_ready_file(
        settings_.ready_file,
        {{"host", settings_.host}, {"port", int64_t{port_}}, {"metrics_port", int64_t{admin_->port()}}});
  }

  void wait_for_stop() {
    log_.info("serving", {{"host", settings_.host}, {"port", port_}, {"metrics_port", admin_->port()}});
    asio::io_context signals_context;
    std::unique_ptr<io::StopSignals> signals = io::StopSignals::watch(signals_context, [&](int signal) {
      log_.info("draining", {{"signal", signal}, {"in_flight", metrics_.in_flight()}});
      // The drain runs beside this loop, so that a second signal is still seen.
      drain_ = std::thread([&] {
        drain();
        asio::post(signals_context, [&] { signals.reset(); });
      });
    });
    signals_context.run();
    drain_.join();
    log_.info("stopped");
  }

 private:
  Status open_clients() {
    client::CacheOptions cache_options;
    if (!settings_.cache_password_file.empty()) {
      Result<std::string> password = io::read_secret_file(settings_.cache_password_file);
      if (!password) return std::unexpected(password.error());
      cache_options.password = *password;
    }
    cache_options.client_name = program_;
    Result<io::TopologyStoreFile> store = io::open_topology_store(settings_.topology);
    if (!store) return std::unexpected(store.error());
    Result<Topology> loaded = store->load();
    if (!loaded) return std::unexpected(loaded.error());
    if (loaded->buckets.empty()) {
      return fail(ErrorCode::kFailedPrecondition, "the topology has no shards; run tidemark-shards init first");
    }
    auto topology = std::make_shared<const Topology>(std::move(*loaded));
    topology_version_ = topology->version;
    client::DatabaseOptions database_options;
    database_options.pool.passfile = settings_.passfile;
    database_options.pool.application_name = program_;
    database_options.pool.connections_per_server_max = settings_.connections_per_server;
    cache_ = client::CacheClient::create(context_, topology, cache_options);
    database_ = client::Database::create(context_, topology, database_options);
    store_.emplace(*store);
    cache_->on_stale_topology([this] { reload_topology(); });
    database_->on_stale_topology([this] { reload_topology(); });
    watch_ =
        store_->watch(context_, [this](std::shared_ptr<const Topology> newer) { take_topology(std::move(newer)); });
    return {};
  }

  void take_topology(std::shared_ptr<const Topology> newer) {
    if (newer->version <= topology_version_) return;
    topology_version_ = newer->version;
    log_.info("topology",
              {{"version", newer->version}, {"slots_version", newer->slots_version}, {"nodes", newer->nodes.size()}});
    cache_->set_topology(newer);
    database_->set_topology(std::move(newer));
  }

  // A peer said that ours is old. The watch would bring the newer one too, only later if inotify fails.
  void reload_topology() {
    Instant now = io::steady_now();
    if (now - last_reload_ < kReloadPause) return;
    last_reload_ = now;
    Result<Topology> loaded = store_->load();
    if (loaded) take_topology(std::make_shared<const Topology>(std::move(*loaded)));
  }

  Status start_admin() {
    io::AdminHttp::Options options;
    options.host = settings_.host;
    options.port = settings_.metrics_port;
    options.readiness = [this] {
      io::Readiness readiness;
      if (is_draining_)
        readiness.reasons_against.emplace_back("draining");
      else if (!is_serving_)
        readiness.reasons_against.emplace_back("starting");
      return readiness;
    };
    options.sources = service_->metric_sources();
    options.sources.emplace_back([this] { return metrics_.snapshot(); });
    options.sources.emplace_back([this] { return cache_->metrics().snapshot(); });
    auto admin = io::AdminHttp::start(std::move(options));
    if (!admin) return std::unexpected(admin.error());
    admin_ = std::move(*admin);
    return {};
  }

  Status start_grpc() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    std::string address = settings_.host + ":" + std::to_string(settings_.port);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two services on one port is a mistake
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    builder.RegisterService(&service_->grpc_service());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) return fail(ErrorCode::kUnavailable, "gRPC: cannot listen on " + address);
    server_->GetHealthCheckService()->SetServingStatus(service_->service_name(), true);
    return {};
  }

  void drain() {
    is_draining_ = true;
    if (auto* health = server_->GetHealthCheckService()) health->SetServingStatus(false);
    server_->Shutdown(std::chrono::system_clock::now() + settings_.drain_timeout);
    server_->Wait();
  }

  // After the last call has ended. What belongs to the loop is closed and dropped on its thread.
  void stop_loop() {
    if (server_ != nullptr && !is_draining_) drain();
    server_.reset();
    admin_.reset();
    if (loop_.joinable()) {
      std::promise<void> closed;
      asio::post(context_, [&] {
        watch_.reset();
        if (cache_ != nullptr) cache_->close();
        if (database_ != nullptr) database_->close();
        closed.set_value();
      });
      closed.get_future().wait();
      work_.reset();
      context_.stop();
      loop_.join();
    }
    service_.reset();
    watch_.reset();
    cache_.reset();
    database_.reset();
  }

  const std::string program_;
  const Settings& settings_;
  io::Log log_;
  RpcMetrics metrics_;
  asio::io_context context_{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::thread loop_, drain_;
  std::optional<io::TopologyStoreFile> store_;
  std::shared_ptr<client::CacheClient> cache_;
  std::shared_ptr<client::Database> database_;
  std::unique_ptr<io::TopologyStoreFile::Watch> watch_;
  uint64_t topology_version_ = 0;
  Instant last_reload_{};
  std::unique_ptr<HostedService> service_;
  std::unique_ptr<io::AdminHttp> admin_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::atomic<bool> is_serving_ = false, is_draining_ = false;
};

}  // namespace

int serve(const std::string& program, const Settings& settings, const ServiceFactory& make_service) {
  Result<io::LogLevel> level = io::parse_log_level(settings.log_level);
  io::Log log = io::Log::to_stderr(program, level.value_or(io::LogLevel::kInfo));
  Host host(program, settings, log);
  if (Status started = host.start(make_service); !started) {
    log.error("cannot start", {{"error", started.error().to_string()}});
    return started.error().code == ErrorCode::kInvalidArgument ? io::kExitUsage : io::kExitFailure;
  }
  host.wait_for_stop();
  return io::kExitOk;
}

}  // namespace tidemark::services
