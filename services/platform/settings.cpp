#include "services/platform/settings.h"

namespace tidemark::services {

void declare_settings(io::Options& options, Settings& settings) {
  options.text("topology", settings.topology, "the topology store: file:DIR");
  options.text("host", settings.host, "address to listen on, for gRPC and admin HTTP");
  options.number("port", settings.port, {}, "gRPC port; 0 = any");
  options.number("metrics-port", settings.metrics_port, {}, "port of /metrics, /healthz and /readyz; 0 = any");
  options.text("ready-file", settings.ready_file, "written when the service is up, with its ports");
  options.text("instance", settings.instance,
               "name of this instance, stable over restarts, one process at a time; empty = a random one");
  options.text("passfile", settings.passfile, "libpq passfile for the shards; empty = libpq's own default");
  options.text("understands", settings.understands,
               "the newest migration that this program knows (0003_discount): no contract takes away what it reads; "
               "empty = it says nothing");
  options.text("cache-password-file", settings.cache_password_file,
               "file with the cache nodes' password, if they want one");
  options.text("token-key-file", settings.token_key_file,
               "file with the key (32 bytes or more) that all services sign session tokens with; empty = a random one");
  options.choice("log-level", settings.log_level, {"debug", "info", "warn", "error"}, "least level that is logged");
  options.number("requests-max", settings.requests_max, {.min = 1, .max = 1'000'000},
                 "calls at once; more are refused");
  options.duration("deadline-default", settings.deadline_default, "deadline of calls that bring none");
  options.duration("drain-timeout", settings.drain_timeout, "how long calls may go on after SIGTERM");
  options.number("connections-per-server", settings.connections_per_server, {.min = 1, .max = 1000},
                 "connections to each Postgres server");
}

}  // namespace tidemark::services
