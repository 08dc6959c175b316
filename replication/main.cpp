// tidemark-invalidator: carries the commits of every Postgres shard to every cache worker (docs/PROTOCOL.md).
#include <boost/asio/io_context.hpp>
#include <cstdio>

#include "base/io/admin_http.h"
#include "base/io/log.h"
#include "base/io/options.h"
#include "base/io/ready_file.h"
#include "base/io/secrets.h"
#include "base/io/signals.h"
#include "replication/io/invalidator.h"

namespace {

using namespace tidemark;  // NOLINT: a main file

struct Settings {
  std::string topology;
  std::string journal;
  std::string passfile;
  std::string user = "tidemark_invalidator";
  std::string node_password_file;
  std::string publication = "tidemark";
  std::string slot = "tidemark";
  uint16_t metrics_port = 0;
  std::string ready_file;
  std::string log_level = "info";
  uint64_t journal_bytes = 1ull << 30;
  Duration journal_age = std::chrono::hours(1);
  bool plant_mute = false;
};

std::optional<int> read_settings(int argc, char** argv, Settings& settings) {
  io::Options options("tidemark-invalidator", "Carries the commits of every Postgres shard to every cache worker.");
  options.text("topology", settings.topology, "the topology store: file:DIR");
  options.text("journal", settings.journal, "directory of the journal; one process per directory");
  options.text("passfile", settings.passfile, "libpq password file for the shards (mode 0600)");
  options.text("user", settings.user, "role on the shards");
  options.text("node-password-file", settings.node_password_file, "password of the user `invalidator` on the nodes");
  options.text("publication", settings.publication, "publication of the cached tables");
  options.text("slot", settings.slot, "logical replication slot");
  options.number("metrics-port", settings.metrics_port, {.max = 65535}, "port of /metrics, /healthz, /readyz; 0 = any");
  options.text("ready-file", settings.ready_file, "written when every shard is streamed");
  options.memory("journal-bytes", settings.journal_bytes, "the journal is trimmed beyond this size");
  options.duration("journal-age", settings.journal_age, "the journal is trimmed beyond this age");
  options.choice("log-level", settings.log_level, {"debug", "info", "warn", "error"}, "least level that is logged");
  options.flag("plant-mute-invalidations", settings.plant_mute,
               "FOR TESTS OF THE TESTS: positions advance, but no key is ever invalidated: the cache goes stale");
  options.require("topology");
  options.require("journal");
  return options.parse(argc, argv);
}

int complain(const io::Log& log, const Error& error) {
  log.error("cannot start", {{"error", error.to_string()}});
  return io::kExitFailure;
}

int run(const Settings& settings, const io::Log& log) {
  auto store = io::open_topology_store(settings.topology);
  if (!store) return complain(log, store.error());
  replication::io::InvalidatorService::Options options;
  options.journal = settings.journal;
  options.shard.user = settings.user;
  options.shard.passfile = settings.passfile;
  options.shard.slot = settings.slot;
  options.shard.publication = settings.publication;
  options.shard.retention = {.bytes_max = settings.journal_bytes, .age_us_max = settings.journal_age.count()};
  options.shard.feed.without_keys = settings.plant_mute;
  if (!settings.node_password_file.empty()) {
    auto password = io::read_secret_file(settings.node_password_file);
    if (!password) return complain(log, password.error());
    options.shard.node_password = *password;
  }
  if (settings.plant_mute) {
    log.warn("PLANTED FAULT: invalidations are muted, caches WILL serve stale values; this is no way to run");
  }

  boost::asio::io_context context(1);
  auto opened = replication::io::InvalidatorService::open(context, *store, std::move(options), log);
  if (!opened) return complain(log, opened.error());
  auto service = *opened;
  auto admin = io::AdminHttp::start({.port = settings.metrics_port,
                                     .readiness = [service] { return service->readiness(); },
                                     .sources = {[service] { return service->metrics(); }},
                                     .collectables = {}});
  if (!admin) return complain(log, admin.error());
  log.info("started",
           {{"topology", settings.topology}, {"journal", settings.journal}, {"metrics_port", (*admin)->port()}});
  int exit_code = io::kExitOk;
  service->on_ready([&] {
    log.info("ready");
    Status written = io::write_ready_file(settings.ready_file, {{"metrics_port", int64_t{(*admin)->port()}}});
    if (written) return;
    exit_code = complain(log, written.error());
    context.stop();
  });
  auto signals = io::StopSignals::watch(context, [&](int signal) {
    log.info("stopping", {{"signal", signal}});
    service->stop([&] { context.stop(); });
  });
  context.run();
  signals.reset();
  admin->reset();
  log.info("stopped");
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  if (auto exit_code = read_settings(argc, argv, settings)) return *exit_code;
  auto level = io::parse_log_level(settings.log_level);
  return run(settings, io::Log::to_stderr("tidemark-invalidator", level.value_or(io::LogLevel::kInfo)));
}
