#include "tools/localcluster/cluster_plan.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/io/random_source.h"
#include "base/io/secrets.h"
#include "base/io/topology_store_file.h"
#include "base/topology/placement.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
constexpr int kPortTries = 1000;
constexpr uint32_t kNodesMax = 64;
constexpr uint32_t kShardsMax = 16;
constexpr uint32_t kReplicasMax = 8;
constexpr uint32_t kThreadsMax = 64;
constexpr uint32_t kRelaysMax = 16;
constexpr auto kHelpTimeout = std::chrono::seconds(10);
constexpr size_t kHelpBytesMax = 64 << 10;

bool is_free(uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return is_bound;
}

// `count` ports in a row that nobody listens on; two clusters started at once look in different places.
class PortFinder {
 public:
  Result<std::vector<uint16_t>> take(uint32_t count) {
    for (int i = 0; i < kPortTries; ++i) {
      const auto first = static_cast<uint16_t>(kPortMin + io::random_u64() % (kPortMax - kPortMin - count));
      std::vector<uint16_t> ports;
      for (uint32_t n = 0; n < count; ++n) {
        const auto port = static_cast<uint16_t>(first + n);
        if (taken_.contains(port) || !is_free(port)) break;
        ports.push_back(port);
      }
      if (ports.size() != count) continue;
      taken_.insert(ports.begin(), ports.end());
      return ports;
    }
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("no {} free ports in a row between {} and {}", count, kPortMin, kPortMax));
  }

 private:
  std::set<uint16_t> taken_;
};

Status check(const Options& options) {
  const auto refuse = [](const std::string& what) { return fail(ErrorCode::kInvalidArgument, what); };
  if (options.directory.empty()) return refuse("a cluster needs a directory");
  if (options.nodes > kNodesMax) return refuse(fmt::format("{} nodes: at most {}", options.nodes, kNodesMax));
  if (options.shards > kShardsMax) return refuse(fmt::format("{} shards: at most {}", options.shards, kShardsMax));
  if (options.replicas > kReplicasMax)
    return refuse(fmt::format("{} replicas: at most {}", options.replicas, kReplicasMax));
  if (options.threads < 1 || options.threads > kThreadsMax)
    return refuse(fmt::format("{} threads: 1 to {}", options.threads, kThreadsMax));
  if (options.with_invalidator && options.shards == 0) return refuse("an invalidator needs at least one shard");
  if (options.relays > kRelaysMax) return refuse(fmt::format("{} relays: at most {}", options.relays, kRelaysMax));
  if (options.shards == 0 &&
      (options.with_catalog || options.with_sessions || options.with_orders || options.relays > 0))
    return refuse("the services and relays need at least one shard");
  return {};
}

Status make_directories(const fs::path& directory) {
  std::error_code error;
  for (const char* name : {"", "logs", "ready", "secrets", "journal"}) {
    fs::create_directories(directory / name, error);
    if (error) return fail(ErrorCode::kUnavailable, (directory / name).string() + ": " + error.message());
  }
  fs::permissions(directory / "secrets", fs::perms::owner_all, error);
  return {};
}

std::string text_of(const fs::path& path) {
  return path.string();
}

class Planner {
 public:
  Planner(const Options& options, ClusterState& state) : options_(options), state_(state) {}

  Status plan() {
    for (uint32_t s = 0; s < options_.shards; ++s) add_shard(s);
    for (uint32_t n = 1; n <= options_.nodes; ++n) {
      const Status added = add_node(fmt::format("n{}", n));
      if (!added) return added;
    }
    if (options_.with_invalidator) {
      const Status added = add_invalidator();
      if (!added) return added;
    }
    Status done;
    if (options_.with_catalog)
      done = add_service("catalog", Kind::kCatalog, options_.catalog_program, options_.catalog_arguments);
    if (done && options_.with_sessions)
      done = add_service("session", Kind::kSession, options_.session_program, options_.session_arguments);
    if (done && options_.with_orders)
      done = add_service("order", Kind::kOrder, options_.order_program, options_.order_arguments);
    for (uint32_t r = 1; done && r <= options_.relays; ++r) done = add_relay(fmt::format("relay{}", r));
    return done;
  }

 private:
  Member& add(std::string name, Kind kind) {
    Member& member = state_.members.emplace_back();
    member.name = std::move(name);
    member.kind = kind;
    member.log = state_.directory / "logs" / (member.name + ".log");
    if (!member.is_postgres()) member.ready_file = state_.directory / "ready" / (member.name + ".json");
    return member;
  }

  void add_shard(uint32_t shard) {
    const std::string primary = fmt::format("s{}-primary", shard);
    add(primary, Kind::kPostgresPrimary).shard = shard;
    for (uint32_t r = 1; r <= options_.replicas; ++r) {
      Member& replica = add(fmt::format("s{}-replica{}", shard, r), Kind::kPostgresReplica);
      replica.shard = shard;
      replica.primary = primary;
    }
  }

  std::vector<std::string> common(const Member& member, const std::string& program) const {
    return {text_of(state_.binaries / program),
            "--topology",
            "file:" + text_of(state_.directory / "topology"),
            "--ready-file",
            text_of(member.ready_file),
            "--metrics-port",
            std::to_string(member.metrics_port)};
  }

  Status add_node(const std::string& name) {
    auto ports = ports_.take(options_.threads);
    auto metrics = ports_.take(1);
    if (!ports) return std::unexpected(ports.error());
    if (!metrics) return std::unexpected(metrics.error());
    Member& node = add(name, Kind::kNode);
    node.ports = std::move(*ports);
    node.metrics_port = metrics->front();
    node.argv = common(node, options_.node_program);
    append(node, {"--node", name, "--port", std::to_string(node.ports.front()), "--threads",
                  std::to_string(options_.threads), "--memory", options_.memory, "--invalidator-password-file",
                  text_of(state_.directory / "secrets/node-invalidator")});
    append(node, options_.node_arguments);
    return {};
  }

  Status add_invalidator() {
    auto metrics = ports_.take(1);
    if (!metrics) return std::unexpected(metrics.error());
    Member& member = add("invalidator", Kind::kInvalidator);
    member.metrics_port = metrics->front();
    member.argv = common(member, "tidemark-invalidator");
    append(member, {"--passfile", text_of(state_.directory / "secrets/tidemark_invalidator.pgpass"),
                    "--node-password-file", text_of(state_.directory / "secrets/node-invalidator"), "--journal",
                    text_of(state_.directory / "journal")});
    append(member, options_.invalidator_arguments);
    return {};
  }

  Status add_service(const std::string& name, Kind kind, const std::string& program,
                     const std::vector<std::string>& arguments) {
    auto ports = ports_.take(2);
    if (!ports) return std::unexpected(ports.error());
    Member& member = add(name, kind);
    member.ports = {ports->front()};
    member.metrics_port = ports->back();
    member.argv = common(member, program);
    append(member, {"--port", std::to_string(member.ports.front())});
    append_client_arguments(member);
    append(member, arguments);
    return {};
  }

  // A relay is asked nothing: it has no port but that of its metrics.
  Status add_relay(const std::string& name) {
    auto metrics = ports_.take(1);
    if (!metrics) return std::unexpected(metrics.error());
    Member& member = add(name, Kind::kRelay);
    member.metrics_port = metrics->front();
    member.argv = common(member, options_.relay_program);
    append_client_arguments(member);
    append(member, options_.relay_arguments);
    return {};
  }

  void append_client_arguments(Member& member) const {
    append(member, {"--passfile", text_of(state_.directory / "secrets/tidemark_app.pgpass")});
    const std::string help = help_of(member.argv.front());
    if (help.contains("--token-key-file"))
      append(member, {"--token-key-file", text_of(state_.directory / "secrets/token-key")});
    // So that a killed one takes its own lane of row ids again.
    if (help.contains("--instance")) append(member, {"--instance", member.name});
  }

  // A program may be older than a flag, or a test's stand-in: its --help says what it takes.
  std::string help_of(const std::string& program) const {
    const fs::path log = state_.directory / "logs" / (fs::path(program).filename().string() + ".help");
    std::error_code ignored;
    fs::remove(log, ignored);
    if (!run_to_end({{program, "--help"}, log, {}}, kHelpTimeout)) return {};  // the start will say what is wrong
    return tail_of(log, kHelpBytesMax);
  }

  static void append(Member& member, const std::vector<std::string>& arguments) {
    member.argv.insert(member.argv.end(), arguments.begin(), arguments.end());
  }

  const Options& options_;
  ClusterState& state_;
  PortFinder ports_;
};

}  // namespace

Result<ClusterState> plan_cluster(const Options& options) {
  Status done = check(options);
  if (!done) return std::unexpected(done.error());
  ClusterState state;
  std::error_code error;
  state.directory = fs::absolute(options.directory, error);
  state.binaries = options.binaries.empty() ? directory_of_this_program() : fs::absolute(options.binaries, error);
  state.environment = options.environment;
  state.start_timeout_ms = options.start_timeout.count();
  state.terminate_timeout_ms = options.terminate_timeout.count();
  done = make_directories(state.directory);
  if (!done) return std::unexpected(done.error());
  done = Planner(options, state).plan();
  if (!done) return std::unexpected(done.error());
  if (options.shards > 0) {
    const auto postgres = find_postgres();
    if (!postgres) return std::unexpected(postgres.error());
    const auto root = make_postgres_root();
    if (!root) return std::unexpected(root.error());
    state.place = {*root, *postgres};
  }
  // Last: a plan that failed leaves no secret behind, which the next attempt would refuse to overwrite.
  done = io::write_secret_file(state.directory / "secrets/node-invalidator", io::random_hex(32));
  if (done) done = io::write_secret_file(state.directory / "secrets/token-key", io::random_hex(32));
  if (!done) return std::unexpected(done.error());
  return state;
}

Status write_shards_file(const ClusterState& state, const fs::path& path) {
  nlohmann::ordered_json json{{"shards", nlohmann::ordered_json::array()}};
  for (const Member& member : state.members) {
    if (!member.is_postgres()) continue;
    const PostgresServer server = state.server(member);
    if (member.kind == Kind::kPostgresPrimary)
      json["shards"].push_back(
          {{"id", member.shard}, {"admin", server.admin_conninfo()}, {"servers", nlohmann::ordered_json::array()}});
    json["shards"].back()["servers"].push_back({{"name", member.name},
                                                {"role", member.kind == Kind::kPostgresPrimary ? "primary" : "replica"},
                                                {"conninfo", server.conninfo()}});
  }
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  file.close();
  if (!file) return fail(ErrorCode::kUnavailable, path.string() + ": cannot be written");
  return {};
}

Status write_topology(const ClusterState& state, const std::vector<Family>& families) {
  const auto store = io::TopologyStoreFile::open(state.directory / "topology");
  if (!store) return std::unexpected(store.error());
  const auto written = store->update([&](Topology& topology) -> Status {
    for (const Member& member : state.members) {
      if (member.kind != Kind::kNode || topology.find_node(member.name)) continue;
      Node node;
      node.id = member.name;
      node.worker_ports = member.ports;
      node.metrics_port = member.metrics_port;
      node.workers = static_cast<uint32_t>(member.ports.size());
      topology.nodes.push_back(node);
      Group group;
      group.id = "g" + member.name.substr(1);
      group.nodes = {member.name};
      topology.groups.push_back(group);
    }
    if (!topology.groups.empty()) {
      topology.slot_groups = plan_slots(topology.slot_groups, topology.groups).slot_groups;
      ++topology.slots_version;
    }
    if (!families.empty()) {
      topology.families = families;
      ++topology.families_version;
      ++topology.slots_version;
    }
    return {};
  });
  if (!written) return std::unexpected(written.error());
  return {};
}

}  // namespace tidemark::localcluster
