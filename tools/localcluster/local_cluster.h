// A whole cluster on this machine: Postgres shards with their replicas, cache nodes, invalidator, services, relays.
//
// It starts every process, waits until it is ready, and ends it by its own pid, never by name. The state stands in
// DIR/cluster.json (names, pids, start times, ports), so that another process may attach() and go on; a pid whose start
// time in /proc differs is somebody else's and is not touched.
//
//   DIR/cluster.json   DIR/topology/   DIR/secrets/   DIR/logs/NAME.log   DIR/ready/NAME.json   DIR/journal/
//   /var/tmp/tidemark-XXXXXX/NAME/{data,socket}     Postgres, owned by `postgres` when we are root (a socket's path is
//   short)
//
// Names: Postgres "s0-primary", "s0-replica1"…, nodes "n1"…, "invalidator", "catalog", "session", "order", "relay1"….
// Order of start: Postgres, shards init, topology, nodes, invalidator, catalog, session, order, relays; stop_all() is
// the reverse.
// Command lines (each program is found beside our own executable; PORT is free and stays the same over restarts):
//   tidemark-cache       --topology file:DIR/topology --ready-file F --metrics-port M --node nI --port PORT --threads T
//                        --memory 256mb --invalidator-password-file DIR/secrets/node-invalidator
//   tidemark-invalidator --topology … --ready-file F --metrics-port M --passfile
//   DIR/secrets/tidemark_invalidator.pgpass
//                        --node-password-file DIR/secrets/node-invalidator --journal DIR/journal
//   tidemark-catalog, tidemark-session, tidemark-order
//                        --topology … --ready-file F --metrics-port M --port PORT
//                        --passfile DIR/secrets/tidemark_app.pgpass --token-key-file DIR/secrets/token-key
//                        --instance NAME, where --help knows these two
//   tidemark-order-relay the same without --port
// Of a ready file are read: "port" or "ports" (list), "metrics_port".
//
// Threads: one. Every wait has a limit (Options). The destructor leaves processes alone unless stop_on_destroy is set.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tidemark::localcluster {

using Environment = std::vector<std::pair<std::string, std::string>>;

struct Options {
  std::filesystem::path directory;  // made if missing; refused if it holds a running cluster
  std::filesystem::path binaries;   // where our programs are; empty: beside the running executable
  uint32_t shards = 1;
  uint32_t replicas = 1;         // streaming replicas of each shard
  uint32_t nodes = 3;            // cache nodes, one group each; 0: a database without cache
  uint32_t threads = 1;          // workers per node
  std::string memory = "256mb";  // per node
  bool fsync = false;            // demo: true; tests: false
  bool with_invalidator = true;
  bool with_catalog = false;
  bool with_sessions = false;
  bool with_orders = false;
  uint32_t relays = 0;                              // of the order service
  bool run_shards_init = true;                      // false: bare Postgres (the schema is then the caller's business)
  std::vector<std::filesystem::path> schema_files;  // the application's own tables, for `tidemark-shards init --schema`
  std::vector<std::string> tables;                  // "catalog.product": protected, published
  std::filesystem::path families_file;              // `tidemarkctl families apply`'s file; written into the topology
  std::vector<std::filesystem::path> families_files;  // further ones; all go in as one
  bool families_of_services = false;                  // and what each service of this cluster --write-families
  // Programs, in `binaries` or by their whole path. Tests put others in their place: a node without the proof rule, a
  // service with kill points.
  std::string node_program = "tidemark-cache";
  std::string catalog_program = "tidemark-catalog";
  std::string session_program = "tidemark-session";
  std::string order_program = "tidemark-order";
  std::string relay_program = "tidemark-order-relay";
  std::vector<std::string> node_arguments;  // appended to the command line of every node (…invalidator, …catalog)
  std::vector<std::string> invalidator_arguments;
  std::vector<std::string> catalog_arguments;
  std::vector<std::string> session_arguments;
  std::vector<std::string> order_arguments;
  std::vector<std::string> relay_arguments;
  Environment environment;                              // for our programs, on top of ours
  std::chrono::milliseconds start_timeout{30'000};      // each process
  std::chrono::milliseconds terminate_timeout{10'000};  // SIGTERM, then an error; stop_all() goes on to SIGKILL
  bool stop_on_destroy = false;                         // tests: true
};

enum class Kind : uint8_t {
  kPostgresPrimary,
  kPostgresReplica,
  kNode,
  kInvalidator,
  kCatalog,
  kSession,
  kOrder,
  kRelay
};
enum class StopMode : uint8_t { kSmart, kFast, kImmediate };  // pg_ctl's; kImmediate is a crash

struct ProcessInfo {
  std::string name;
  Kind kind = Kind::kNode;
  int pid = 0;  // 0: not running
  bool is_running = false;
  bool is_paused = false;       // SIGSTOP by us
  std::vector<uint16_t> ports;  // nodes: one per worker; services: gRPC; others: none
  uint16_t metrics_port = 0;    // admin HTTP
  std::filesystem::path log;
  std::string conninfo;  // Postgres: "host=… port=5432 dbname=tidemark", without user
};

class LocalCluster {
 public:
  static Result<LocalCluster> create(Options options);
  static Result<LocalCluster> attach(const std::filesystem::path& directory);  // kNotFound: no cluster.json there
  LocalCluster(LocalCluster&&) noexcept;
  LocalCluster& operator=(LocalCluster&&) noexcept;
  ~LocalCluster();

  Status start();     // everything; on an error what was started stays, for its logs: call stop_all()
  Status stop_all();  // everything that runs, replicas before primaries; deletes the Postgres directories
  void set_stop_on_destroy(bool stop);

  std::vector<ProcessInfo> processes() const;
  Result<ProcessInfo> process(std::string_view name) const;

  // Any process by its name. kNotFound names the processes there are; kFailedPrecondition: it is not running (or is).
  Status kill(std::string_view name);       // SIGKILL (Postgres: the postmaster; its children leave by themselves)
  Status terminate(std::string_view name);  // SIGTERM and wait
  Status pause(std::string_view name);      // SIGSTOP (Postgres: every process of the server)
  Status resume(std::string_view name);     // SIGCONT
  Status start(std::string_view name);  // again, with its old command line (a node keeps its ports); waits for ready
  // Of one of our programs, on top of Options::environment, from its next start on; replaces what was set before.
  Status set_environment(std::string_view name, Environment environment);
  Status restart(std::string_view name);  // terminate if it runs, start

  // Postgres.
  Status pg_stop(std::string_view name, StopMode mode);
  Status pg_start(std::string_view name) { return start(name); }
  Status pause_replay(std::string_view name);  // replicas: pg_wal_replay_pause(), waited for
  Status resume_replay(std::string_view name);
  // Runs SQL as the superuser; rows are lines, columns separated by '|'. dbname: tidemark.
  Result<std::string> psql(std::string_view name, std::string_view sql) const;
  std::string admin_conninfo(std::string_view name) const;  // libpq, superuser by peer authentication

  // What programs are given.
  std::string topology_address() const;  // "file:DIR/topology"
  std::filesystem::path directory() const;
  std::filesystem::path passfile(std::string_view role) const;  // DIR/secrets/<role>.pgpass: tidemark_app, …
  std::filesystem::path node_password_file() const;             // of the nodes' user `invalidator`
  std::filesystem::path token_key_file() const;                 // what the services sign their session tokens with
  std::filesystem::path binary(std::string_view program) const;

 private:
  struct State;
  explicit LocalCluster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tidemark::localcluster
