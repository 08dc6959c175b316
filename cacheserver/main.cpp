// tidemark-cache: a cache node. `tidemark-cache --port 6379 --memory 1gb` alone is a Redis-like server at once.
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/io/log.h"
#include "base/io/options.h"
#include "base/io/secrets.h"
#include "base/io/signals.h"
#include "base/parse.h"
#include "cacheserver/io/server.h"

namespace {

using namespace tidemark;
using cacheserver::io::Server;
using cacheserver::io::ServerOptions;

struct Flags {
  ServerOptions server;
  std::string port = "auto";
  std::string password, password_file, invalidator_password_file, ready_file;
  std::string log_level = "info";
};

void declare(io::Options& options, Flags& flags) {
  options.text("bind", flags.server.bind, "address to listen on");
  options.text("port", flags.port,
               "RESP port of worker 0, worker i listens on port + i; 0 = any; auto = the port in the topology, 6379 "
               "without one");
  options.number(
      "threads", flags.server.threads, {.max = cacheserver::io::kWorkersMax},
      "workers, each with its own port; 0 = as the topology says, 1 without one. Without a topology a client gets "
      "every key at each of them");
  options.memory("memory", flags.server.memory_bytes_max,
                 "memory of the entries of this node, as in 1gb; 0 = no limit");
  options.choice("policy", flags.server.policy,
                 {"adaptive", "adaptive-byte", "lru", "allkeys-lru", "s3fifo", "gdsf", "noeviction"},
                 "what gives way when memory is full");
  options.text("topology", flags.server.topology, "topology store, file:DIR; without it the node is alone");
  options.text("node", flags.server.node_id, "id of this node in the topology");
  options.number("metrics-port", flags.server.metrics_port, {.max = 65535},
                 "port of /metrics, /healthz and /readyz; 0 = any");
  options.number("maxclients", flags.server.clients_max, {.min = 1, .max = 1'000'000}, "connections at the same time");
  options.text("requirepass", flags.password,
               "password of the user default; discouraged, for other users of the machine can read it");
  options.text("requirepass-file", flags.password_file, "file that holds the password of the user default");
  options.text("invalidator-password-file", flags.invalidator_password_file,
               "file that holds the password of the user invalidator");
  options.text("ready-file", flags.ready_file, "file to write (pid, ports) when the node serves");
  options.choice("log-level", flags.log_level, {"debug", "info", "warn", "error"}, "least level to log");
}

Status read_password(const std::string& file, std::string& target) {
  if (file.empty()) return {};
  auto secret = io::read_secret_file(file);
  if (!secret) return std::unexpected(secret.error());
  target = *std::move(secret);
  return {};
}

Status complete(Flags& flags) {
  if (flags.port != "auto") {
    auto port = parse_u64(flags.port);
    if (!port || *port > 65535) {
      return fail(ErrorCode::kInvalidArgument, "--port " + flags.port + ": give a number from 0 to 65535, or auto");
    }
    flags.server.port = static_cast<uint16_t>(*port);
  }
  flags.server.ready_file = flags.ready_file;
  flags.server.credentials.default_password = flags.password;
  if (Status status = read_password(flags.password_file, flags.server.credentials.default_password); !status) {
    return status;
  }
  return read_password(flags.invalidator_password_file, flags.server.credentials.invalidator_password);
}

int serve(ServerOptions options, const io::Log& log) {
  const std::filesystem::path ready_file = options.ready_file;
  boost::asio::io_context control(1);
  std::unique_ptr<Server> server;
  // Before the ready file appears: whoever reads it may end us at once, and gets a drain. Runs in control.run() only.
  auto signals = io::StopSignals::watch(control, [&](int signal) {
    log.info("draining", {{"signal", signal}});
    server->drain([&] { control.stop(); });
  });
  auto started = Server::start(control, std::move(options), log);
  if (!started) {
    log.error("cannot start", {{"error", started.error().to_string()}});
    return io::kExitFailure;
  }
  server = *std::move(started);
  std::string ports;
  for (uint16_t port : server->ports()) ports += (ports.empty() ? "" : ",") + std::to_string(port);
  log.info("serving", {{"ports", ports}, {"metrics_port", server->metrics_port()}});
  control.run();
  server.reset();
  if (!ready_file.empty()) {
    std::error_code ignored;
    std::filesystem::remove(ready_file, ignored);
  }
  log.info("stopped");
  return io::kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  io::Options options("tidemark-cache", "A cache node: Redis's protocol, and the freshness of what it serves.");
  declare(options, flags);
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  if (Status status = complete(flags); !status) {
    std::fprintf(stderr, "tidemark-cache: %s\n", status.error().message.c_str());
    return io::kExitUsage;
  }
  auto level = io::parse_log_level(flags.log_level);
  return serve(std::move(flags.server), io::Log::to_stderr("tidemark-cache", *level));
}
