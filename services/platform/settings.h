// What every service is told at its start; the same flags in all of them.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/io/options.h"

namespace tidemark::services {

struct Settings {
  std::string topology = "file:/var/lib/tidemark/topology";
  std::string host = "127.0.0.1";
  uint16_t port = 0;          // gRPC; 0: the system chooses
  uint16_t metrics_port = 0;  // admin HTTP
  std::string ready_file;
  std::string instance;             // stable name of this process among all; empty: the program and random digits
  std::string passfile;             // libpq's, for the shards
  std::string cache_password_file;  // of the nodes' user `default`, if they want one
  std::string understands;          // newest migration that this program knows; empty: it registers as no reader
  std::string token_key_file;       // what session tokens are signed with, at least 32 bytes; the same for all services
  std::string log_level = "info";
  uint32_t requests_max = 2048;                         // calls at once; more are answered RESOURCE_EXHAUSTED
  Duration deadline_default = std::chrono::seconds(5);  // of calls that bring none
  Duration drain_timeout = std::chrono::seconds(10);    // after SIGTERM; then calls are cancelled
  uint32_t connections_per_server = 8;                  // to each Postgres server
};

void declare_settings(io::Options& options, Settings& settings);

}  // namespace tidemark::services
