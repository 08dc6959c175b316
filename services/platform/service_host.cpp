#include "services/platform/service_host.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_interceptor.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "base/io/admin_http.h"
#include "base/io/ready_file.h"
#include "base/io/secrets.h"
#include "base/io/signals.h"
#include "base/io/system_clock.h"
#include "client/client.h"
#include "client/grpc/session_interceptors.h"
#include "client/io/client_metrics.h"
#include "services/platform/schema_lease.h"

namespace tidemark::services {
namespace {

namespace asio = boost::asio;

constexpr int kMessageBytesMax = 8 << 20;

class Host {
 public:
  Host(std::string program, const Settings& settings, const ServeOptions& serve_options, io::Log log)
      : program_(std::move(program)),
        settings_(settings),
        serve_options_(serve_options),
        log_(std::move(log)),
        metrics_(settings.requests_max) {
    watch_signals();
  }

  ~Host() { stop_loop(); }

  Status start(const ServiceFactory& make_service) {
    if (Status read = read_token_key(); !read) return read;
    if (Status leased = lease_ids(); !leased) return leased;
    if (Status opened = open_client(); !opened) return opened;
    // Before anything is read: a schema that has moved on without this program must not be misread.
    if (Status taken = schema_.open(*client_, settings_, program_, log_); !taken) return taken;
    service_ = make_service(
        {client_->context(), client_->cache(), client_->database(),
         CallSettings{.deadline_default = settings_.deadline_default, .metrics = &metrics_, .log = log_}, ids_});
    if (Status started = start_admin(); !started) return started;
    if (Status started = start_grpc(); !started) return started;
    is_serving_ = true;
    return io::write_ready_file(
        settings_.ready_file,
        {{"host", settings_.host}, {"port", int64_t{port_}}, {"metrics_port", int64_t{admin_->port()}}});
  }

  void wait_for_stop() {
    log_.info("serving", {{"host", settings_.host}, {"port", port_}, {"metrics_port", admin_->port()}});
    signals_context_.run();
    drain_.join();
    log_.info("stopped");
  }

 private:
  // From the beginning, so that whoever sees the ready file may end us at once and gets a drain. It is answered in
  // wait_for_stop(), after the start.
  void watch_signals() {
    signals_ = io::StopSignals::watch(signals_context_, [this](int signal) {
      log_.info("draining", {{"signal", signal}, {"in_flight", metrics_.in_flight()}});
      // The drain runs beside this loop, so that a second signal is still seen.
      drain_ = std::thread([this] {
        drain();
        asio::post(signals_context_, [this] { signals_.reset(); });
      });
    });
  }

  Status lease_ids() {
    if (!serve_options_.needs_row_ids) return {};
    auto store = io::open_topology_store(settings_.topology);
    if (!store) return std::unexpected(store.error());
    auto leased = io::RowIdSource::lease(*store, io::instance_name(settings_.instance, program_));
    if (!leased) return std::unexpected(leased.error());
    ids_ = std::move(*leased);
    log_.info("lane of row ids leased", {{"lane", ids_->lane()}});
    return {};
  }

  Status open_client() {
    client::ClientOptions options;
    options.topology = settings_.topology;
    options.passfile = settings_.passfile;
    options.cache_password_file = settings_.cache_password_file;
    options.name = program_;
    options.database.pool.connections_per_server_max = settings_.connections_per_server;
    options.on_topology = [this](const Topology& newer) {
      if (ids_ != nullptr) ids_->observe(newer);
      log_.info("topology",
                {{"version", newer.version}, {"slots_version", newer.slots_version}, {"nodes", newer.nodes.size()}});
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
      else if (!is_serving_)
        readiness.reasons_against.emplace_back("starting");
      if (schema_.is_outdated()) readiness.reasons_against.emplace_back("the schema has moved on");
      return readiness;
    };
    options.sources = service_->metric_sources();
    options.sources.emplace_back([this] { return metrics_.snapshot(); });
    options.sources.emplace_back([this] { return client_->cache()->metrics().snapshot(); });
    options.sources.emplace_back([this] { return client_->database()->metrics(); });
    if (ids_ != nullptr) options.sources.emplace_back([this] { return ids_->metrics(); });
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
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(client::session_server_interceptor(
        {.key = *token_key_, .on_bad_token = [this](const Error& error) { on_bad_token(error); }}));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) return fail(ErrorCode::kUnavailable, "gRPC: cannot listen on " + address);
    server_->GetHealthCheckService()->SetServingStatus(service_->service_name(), true);
    return {};
  }

  // Whoever sends one goes on without what it says; only the first of many is worth a line.
  void on_bad_token(const Error& error) {
    metrics_.count_bad_token();
    if (auto kept_back = bad_token_lines_.admit(io::steady_now()))
      log_.warn("session token ignored", {{"error", error.to_string()}, {"kept_back", *kept_back}});
  }

  Status read_token_key() {
    if (settings_.token_key_file.empty()) {
      token_key_ = client::TokenKey::random();
      log_.warn("no --token-key-file: session tokens are signed with a key of this process and good for nobody else");
      return {};
    }
    auto secret = io::read_secret_file(settings_.token_key_file);
    if (!secret) return std::unexpected(secret.error().with_context("--token-key-file"));
    auto key = client::TokenKey::of_bytes(std::move(*secret));
    if (!key) return std::unexpected(key.error().with_context("--token-key-file " + settings_.token_key_file));
    token_key_ = std::move(*key);
    return {};
  }

  void drain() {
    is_draining_ = true;
    if (auto* health = server_->GetHealthCheckService()) health->SetServingStatus(false);
    server_->Shutdown(std::chrono::system_clock::now() + settings_.drain_timeout);
    server_->Wait();
  }

  // After the last call has ended.
  void stop_loop() {
    if (server_ != nullptr && !is_draining_) drain();
    server_.reset();
    admin_.reset();
    schema_.close();
    if (client_ != nullptr) client_->close();
    service_.reset();
    client_.reset();
    ids_.reset();
  }

  const std::string program_;
  const Settings& settings_;
  const ServeOptions serve_options_;
  io::Log log_;
  RpcMetrics metrics_;
  LogLimiter bad_token_lines_;
  std::optional<client::TokenKey> token_key_;
  asio::io_context signals_context_;
  std::unique_ptr<io::StopSignals> signals_;
  std::thread drain_;
  std::shared_ptr<io::RowIdSource> ids_;
  std::unique_ptr<client::Client> client_;
  SchemaLease schema_;
  std::unique_ptr<HostedService> service_;
  std::unique_ptr<io::AdminHttp> admin_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::atomic<bool> is_serving_ = false, is_draining_ = false;
};

}  // namespace

int serve(const std::string& program, const Settings& settings, const ServiceFactory& make_service,
          const ServeOptions& options) {
  Result<io::LogLevel> level = io::parse_log_level(settings.log_level);
  io::Log log = io::Log::to_stderr(program, level.value_or(io::LogLevel::kInfo));
  Host host(program, settings, options, log);
  if (Status started = host.start(make_service); !started) {
    log.error("cannot start", {{"error", started.error().to_string()}});
    return started.error().code == ErrorCode::kInvalidArgument ? io::kExitUsage : io::kExitFailure;
  }
  host.wait_for_stop();
  return io::kExitOk;
}

}  // namespace tidemark::services
