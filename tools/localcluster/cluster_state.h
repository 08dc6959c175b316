// What DIR/cluster.json holds: every process of the cluster, running or not, and how to start it again.
// Written whole (rename) after every change. Threads: one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "tools/localcluster/local_cluster.h"
#include "tools/localcluster/postgres.h"
#include "tools/localcluster/process.h"

namespace tidemark::localcluster {

struct Member {
  std::string name;
  Kind kind = Kind::kNode;
  std::vector<std::string> argv;  // our programs; empty for Postgres
  std::filesystem::path log;
  std::filesystem::path ready_file;  // our programs
  std::string primary;               // of a replica
  uint32_t shard = 0;                // of a Postgres server
  ProcessId process;                 // pid 0: not running
  std::vector<ProcessId> paused;     // what SIGSTOP went to
  std::vector<uint16_t> ports;
  uint16_t metrics_port = 0;
  Environment environment;  // our programs: on top of the cluster's

  bool is_postgres() const { return kind == Kind::kPostgresPrimary || kind == Kind::kPostgresReplica; }
};

struct ClusterState {
  std::filesystem::path directory;
  std::filesystem::path binaries;
  PostgresPlace place;
  std::vector<Member> members;  // in the order of their start
  Environment environment;
  int64_t start_timeout_ms = 0;
  int64_t terminate_timeout_ms = 0;

  std::chrono::milliseconds start_timeout() const { return std::chrono::milliseconds(start_timeout_ms); }
  std::chrono::milliseconds terminate_timeout() const { return std::chrono::milliseconds(terminate_timeout_ms); }
  std::filesystem::path file() const { return directory / "cluster.json"; }
  PostgresServer server(const Member& member) const { return {member.name, place, member.log}; }
};

Status save_state(const ClusterState& state);
Result<ClusterState> load_state(const std::filesystem::path& directory);  // kNotFound: no cluster.json

std::string_view to_string(Kind kind);

}  // namespace tidemark::localcluster
