#include "services/platform/worker_host.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <thread>

#include "base/io/admin_http.h"
#include "base/io/ready_file.h"
#include "base/io/signals.h"
#include "client/client.h"
#include "client/io/client_metrics.h"
#include "services/platform/schema_lease.h"

namespace tidemark::services {
namespace {

namespace asio = boost::asio;

class WorkerHost {
 public:
  WorkerHost(std::string program, const Settings& settings, io::Log log)
      : program_(std::move(program)), settings_(settings), log_(std::move(log)) {}

  ~WorkerHost() {
    admin_.reset();
    schema_.close();
    if (client_ != nullptr) client_->close();
    worker_.reset();
    client_.reset();
  }

  Status start(const WorkerFactory& make_worker) {
    if (Status opened = open_client(); !opened) return opened;
    if (Status taken = schema_.open(*client_, settings_, program_, log_); !taken) return taken;
    worker_ = make_worker({client_->context(), client_->cache(), client_->database(), log_});
    if (Status started = start_admin(); !started) return started;
    asio::post(client_->context(), [this] { worker_->start(); });
    is_working_ = true;
    return io::write_ready_file(settings_.ready_file,
                                {{"host", settings_.host}, {"metrics_port", int64_t{admin_->port()}}});
  }

  void wait_for_stop() {
    log_.info("working", {{"metrics_port", admin_->port()}});
    asio::io_context signals_context;
    std::unique_ptr<io::StopSignals> signals = io::StopSignals::watch(signals_context, [&](int signal) {
      log_.info("draining", {{"signal", signal}});
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
  Status open_client() {
    client::ClientOptions options;
    options.topology = settings_.topology;
    options.passfile = settings_.passfile;
    options.cache_password_file = settings_.cache_password_file;
    options.name = program_;
    options.database.pool.connections_per_server_max = settings_.connections_per_server;
    options.on_topology = [this](const Topology& newer) {
      log_.info("topology", {{"version", newer.version}, {"shards", newer.shards.size()}});
    };
    auto opened = client::Client::open(std::move(options));
    if (!opened) return std::unexpected(opened.error());
    client_ = std::move(*opened);
    return {};
  }

  Status start_admin() {
    io::AdminHttp::Options options;
    options.host = settings_.host;
    options.port = settings_.metrics_port;
    options.readiness = [this] {
      io::Readiness readiness;
      if (is_draining_)
        readiness.reasons_against.emplace_back("draining");
      else if (!is_working_)
        readiness.reasons_against.emplace_back("starting");
      if (schema_.is_outdated()) readiness.reasons_against.emplace_back("the schema has moved on");
      return readiness;
    };
    options.sources = worker_->metric_sources();
    options.sources.emplace_back([this] { return client_->cache()->metrics().snapshot(); });
    auto admin = io::AdminHttp::start(std::move(options));
    if (!admin) return std::unexpected(admin.error());
    admin_ = std::move(*admin);
    return {};
  }

  void drain() {
    is_draining_ = true;
    auto drained = std::make_shared<std::promise<void>>();
    std::future<void> done = drained->get_future();
    asio::post(client_->context(), [this, drained] { worker_->stop([drained] { drained->set_value(); }); });
    if (done.wait_for(settings_.drain_timeout) != std::future_status::ready) {
      log_.warn("not everything has ended in time; others go on with it");
    }
  }

  const std::string program_;
  const Settings& settings_;
  io::Log log_;
  std::thread drain_;
  std::unique_ptr<client::Client> client_;
  SchemaLease schema_;
  std::unique_ptr<HostedWorker> worker_;
  std::unique_ptr<io::AdminHttp> admin_;
  std::atomic<bool> is_working_ = false, is_draining_ = false;
};

}  // namespace

void declare_worker_settings(io::Options& options, Settings& settings) {
  options.text("topology", settings.topology, "the topology store: file:DIR");
  options.text("host", settings.host, "address to listen on, for admin HTTP");
  options.number("metrics-port", settings.metrics_port, {}, "port of /metrics, /healthz and /readyz; 0 = any");
  options.text("ready-file", settings.ready_file, "written when the program works, with its port");
  options.text("passfile", settings.passfile, "libpq passfile for the shards; empty = libpq's own default");
  options.text("instance", settings.instance, "name of this instance, stable over restarts; empty = a random one");
  options.text("understands", settings.understands,
               "the newest migration that this program knows (0003_discount); empty = it says nothing");
  options.text("cache-password-file", settings.cache_password_file,
               "file with the cache nodes' password, if they want one");
  options.choice("log-level", settings.log_level, {"debug", "info", "warn", "error"}, "least level that is logged");
  options.duration("drain-timeout", settings.drain_timeout, "how long what has begun may go on after SIGTERM");
  options.number("connections-per-server", settings.connections_per_server, {.min = 1, .max = 1000},
                 "connections to each Postgres server");
}

int work(const std::string& program, const Settings& settings, const WorkerFactory& make_worker) {
  Result<io::LogLevel> level = io::parse_log_level(settings.log_level);
  io::Log log = io::Log::to_stderr(program, level.value_or(io::LogLevel::kInfo));
  WorkerHost host(program, settings, log);
  if (Status started = host.start(make_worker); !started) {
    log.error("cannot start", {{"error", started.error().to_string()}});
    return started.error().code == ErrorCode::kInvalidArgument ? io::kExitUsage : io::kExitFailure;
  }
  host.wait_for_stop();
  return io::kExitOk;
}

}  // namespace tidemark::services
