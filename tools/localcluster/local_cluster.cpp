#include "tools/localcluster/local_cluster.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "base/io/ready_file.h"
#include "tools/localcluster/cluster_plan.h"
#include "tools/localcluster/cluster_state.h"
#include "tools/shards/pg_session.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Millis = std::chrono::milliseconds;
constexpr auto kPollInterval = 10ms;
constexpr auto kKilledTimeout = 10'000ms;  // until a process is gone after SIGKILL
constexpr auto kInitTimeout = 60'000ms;    // tidemark-shards init
constexpr auto kReplayPauseTimeout = 10'000ms;

std::string program_of(Kind kind) {
  switch (kind) {
    case Kind::kNode:
      return "tidemark-cache";
    case Kind::kInvalidator:
      return "tidemark-invalidator";
    case Kind::kCatalog:
      return "tidemark-catalog";
    case Kind::kPostgresPrimary:
    case Kind::kPostgresReplica:
      return "postgres";
  }
  return "";
}

bool any_alive(const ClusterState& state) {
  return std::any_of(state.members.begin(), state.members.end(),
                     [](const Member& one) { return is_alive(one.process); });
}

// What an earlier cluster in this directory left behind, all of whose processes have ended.
void remove_remains(const ClusterState& state) {
  std::error_code ignored;
  if (!state.place.root.empty()) (void)remove_postgres_root(state.place.root);
  for (const char* name : {"topology", "secrets", "ready", "journal", "logs"})
    fs::remove_all(state.directory / name, ignored);
  fs::remove(state.file(), ignored);
}

// Children first asleep would be woken by their parent; so the parent sleeps first and wakes last.
std::vector<ProcessId> family_of(const ProcessId& process) {
  std::vector<ProcessId> all{process};
  const auto children = children_of(process.pid);
  all.insert(all.end(), children.begin(), children.end());
  return all;
}

uint16_t port_of(const io::ReadyFields& fields, const char* name) {
  const auto it = fields.find(name);
  const auto* number = it == fields.end() ? nullptr : std::get_if<int64_t>(&it->second);
  return number && *number > 0 && *number <= 65535 ? static_cast<uint16_t>(*number) : 0;
}

// What a program bound is what counts: it may have been given port 0 by extra arguments.
void take_ports(const io::ReadyFields& fields, Member& member) {
  if (const uint16_t port = port_of(fields, "metrics_port")) member.metrics_port = port;
  const auto it = fields.find("ports");
  if (const auto* list = it == fields.end() ? nullptr : std::get_if<std::vector<int64_t>>(&it->second)) {
    member.ports.clear();
    for (const int64_t port : *list) member.ports.push_back(static_cast<uint16_t>(port));
  } else if (const uint16_t port = port_of(fields, "port"); port && member.ports.size() <= 1) {
    member.ports = {port};
  }
}

Status await_ready(Member& member, Millis timeout) {
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto fields = io::read_ready_file(member.ready_file);
    if (fields) {
      take_ports(*fields, member);
      return {};
    }
    if (!is_alive(member.process))
      return fail(ErrorCode::kUnavailable, member.name + " ended while it started: " + tail_of(member.log));
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::kDeadlineExceeded,
                  fmt::format("{} is not ready after {} ms: {}", member.name, timeout.count(), tail_of(member.log)));
    std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace

struct LocalCluster::State {
  ClusterState cluster;
  Options options;      // create() only
  bool is_new = false;  // shards and topology are still to be made
  bool stop_on_destroy = false;

  Millis start_timeout() const { return Millis(cluster.start_timeout_ms); }
  Millis terminate_timeout() const { return Millis(cluster.terminate_timeout_ms); }

  Result<Member*> find(std::string_view name) {
    std::string known;
    for (Member& member : cluster.members) {
      if (member.name == name) return &member;
      known += (known.empty() ? "" : ", ") + member.name;
    }
    return fail(ErrorCode::kNotFound, fmt::format("there is no process \"{}\"; there are: {}", name, known));
  }
  Result<Member*> find_running(std::string_view name) {
    auto member = find(name);
    if (member && !is_alive((*member)->process))
      return fail(ErrorCode::kFailedPrecondition, (*member)->name + " is not running");
    return member;
  }
  Result<Member*> find_postgres_server(std::string_view name) {
    auto member = find(name);
    if (member && !(*member)->is_postgres())
      return fail(ErrorCode::kInvalidArgument, (*member)->name + " is not a Postgres server");
    return member;
  }
  Status save() const { return save_state(cluster); }

  // ------------------------------------------------------------------------------------------------------------ starts
  Status launch(Member& member) {
    std::error_code ignored;
    if (!member.ready_file.empty()) fs::remove(member.ready_file, ignored);
    auto environment = cluster.environment;
    const auto process = spawn({member.argv, member.log, std::move(environment)});
    if (!process) return std::unexpected(process.error().with_context(member.name));
    member.process = *process;
    return save();
  }

  Status start_server(Member& member) {
    remove_lock_files(cluster.server(member));
    const auto process = start_postgres(cluster.server(member), start_timeout());
    if (!process) return std::unexpected(process.error());
    member.process = *process;
    return save();
  }

  Status start_member(Member& member) {
    member.paused.clear();
    if (member.is_postgres()) return start_server(member);
    Status done = launch(member);
    if (done) done = await_ready(member, start_timeout());
    return done ? save() : done;
  }

  Status create_server(Member& member) {
    const PostgresServer server = cluster.server(member);
    if (member.kind == Kind::kPostgresPrimary) {
      Status done = create_primary(server, options.fsync);
      if (done) done = start_server(member);
      return done ? create_database(server) : done;
    }
    const auto primary = find(member.primary);
    if (!primary) return std::unexpected(primary.error());
    Status done = create_replica(server, cluster.server(**primary));
    if (done) done = start_server(member);
    return done ? await_streaming(cluster.server(**primary), server, start_timeout()) : done;
  }

  Status start_postgres_servers() {
    for (Member& member : cluster.members) {
      if (!member.is_postgres() || is_alive(member.process)) continue;
      const Status done = is_new ? create_server(member) : start_server(member);
      if (!done) return done;
    }
    return {};
  }

  Status init_shards() {
    const fs::path file = cluster.directory / "shards.json";
    Status done = write_shards_file(cluster, file);
    if (!done) return done;
    Command command{{(cluster.binaries / "tidemark-shards").string(), "init", "--shards", file.string(), "--topology",
                     "file:" + (cluster.directory / "topology").string(), "--passwords-dir",
                     (cluster.directory / "secrets").string(), "--format", "json"},
                    cluster.directory / "logs/shards-init.log",
                    cluster.environment};
    const auto add = [&](const char* flag, const std::string& value) {
      command.argv.emplace_back(flag);
      command.argv.push_back(value);
    };
    for (const fs::path& schema : options.schema_files) add("--schema", schema.string());
    for (const std::string& table : options.tables) add("--tables", table);
    if (!options.families_file.empty()) add("--families", options.families_file.string());
    return run_to_end(command, kInitTimeout);
  }

  // All of a kind at once: each takes its time to start, none needs the others.
  Status start_kind(Kind kind) {
    std::vector<Member*> started;
    for (Member& member : cluster.members) {
      if (member.kind != kind || is_alive(member.process)) continue;
      const Status done = launch(member);
      if (!done) return done;
      started.push_back(&member);
    }
    for (Member* member : started) {
      const Status done = await_ready(*member, start_timeout());
      if (!done) return done;
    }
    return save();
  }

  Status check_programs() const {
    for (const Member& member : cluster.members) {
      std::error_code error;
      if (!member.is_postgres() && !fs::exists(cluster.binaries / program_of(member.kind), error))
        return fail(ErrorCode::kNotFound,
                    fmt::format("{} is not in {}: build it first", program_of(member.kind), cluster.binaries.string()));
    }
    return {};
  }

  Status start_all() {
    Status done = check_programs();
    if (done) done = start_postgres_servers();
    if (done && is_new && !cluster.place.root.empty() && options.run_shards_init) done = init_shards();
    if (done && is_new) done = write_topology(cluster, options);
    if (!done) return done;
    is_new = false;
    for (const Kind kind : {Kind::kNode, Kind::kInvalidator, Kind::kCatalog}) {
      done = start_kind(kind);
      if (!done) return done;
    }
    return {};
  }

  // ------------------------------------------------------------------------------------------------------------- stops
  Status wake(Member& member) {
    for (auto it = member.paused.rbegin(); it != member.paused.rend(); ++it) (void)send_signal(*it, SIGCONT);
    member.paused.clear();
    return save();
  }

  Status mark_ended(Member& member) {
    member.process = {};
    member.paused.clear();
    return save();
  }

  Status kill_now(Member& member) {
    // A server's children end by themselves once they see that their postmaster is gone; a sleeping one would not.
    const auto all = member.is_postgres() ? family_of(member.process) : std::vector<ProcessId>{member.process};
    (void)send_signal(member.process, SIGKILL);
    for (const ProcessId& one : member.paused) (void)send_signal(one, SIGCONT);
    for (const ProcessId& one : all) {
      if (wait_for_end(one, one == member.process ? Millis(kKilledTimeout) : 2000ms)) continue;
      (void)send_signal(one, SIGKILL);
      if (!wait_for_end(one, kKilledTimeout))
        return fail(ErrorCode::kDeadlineExceeded, fmt::format("{}: process {} does not end", member.name, one.pid));
    }
    return mark_ended(member);
  }

  Status end_with(Member& member, int signal) {
    Status done = wake(member);
    if (done) done = send_signal(member.process, signal);
    if (!done) return done;
    if (!wait_for_end(member.process, terminate_timeout()))
      return fail(ErrorCode::kDeadlineExceeded, fmt::format("{} did not end within {} ms of signal {}: {}", member.name,
                                                            cluster.terminate_timeout_ms, signal, tail_of(member.log)));
    return mark_ended(member);
  }

  Status stop_everything() {
    std::string stubborn;
    for (auto it = cluster.members.rbegin(); it != cluster.members.rend(); ++it) {
      Member& member = *it;
      if (!is_alive(member.process)) continue;
      // The data is about to be deleted: a crash stop is quick and waits for no replica.
      const Status ended = end_with(member, member.is_postgres() ? SIGQUIT : SIGTERM);
      if (ended) continue;
      stubborn += (stubborn.empty() ? "" : "; ") + ended.error().message;
      const Status killed = kill_now(member);
      if (!killed) return killed;
    }
    Status done = save();
    if (done && !cluster.place.root.empty()) done = remove_postgres_root(cluster.place.root);
    std::error_code ignored;
    // What belongs to the deleted databases must not meet the next ones: their journal, map and passwords.
    for (const char* name : {"topology", "secrets", "ready", "journal"}) fs::remove_all(cluster.directory / name, ignored);
    fs::remove(cluster.file(), ignored);
    if (!stubborn.empty()) return fail(ErrorCode::kDeadlineExceeded, stubborn);
    return done;
  }

  Result<shards::PgSession> session(const Member& member) const {
    return shards::PgSession::connect(member.name, cluster.server(member).admin_conninfo());
  }
};

LocalCluster::LocalCluster(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalCluster::LocalCluster(LocalCluster&&) noexcept = default;
LocalCluster& LocalCluster::operator=(LocalCluster&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

LocalCluster::~LocalCluster() {
  if (state_ && state_->stop_on_destroy) (void)state_->stop_everything();
}

Result<LocalCluster> LocalCluster::create(Options options) {
  std::error_code error;
  options.directory = fs::absolute(options.directory, error);
  if (const auto old = load_state(options.directory)) {
    if (any_alive(*old))
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("a cluster is running in {}: tidemark-localcluster down --dir {}",
                              options.directory.string(), options.directory.string()));
    remove_remains(*old);
  } else if (old.error().code != ErrorCode::kNotFound) {
    return std::unexpected(old.error());
  }
  auto planned = plan_cluster(options);
  if (!planned) return std::unexpected(planned.error());
  auto state = std::make_unique<State>();
  state->cluster = std::move(*planned);
  state->options = std::move(options);
  state->is_new = true;
  state->stop_on_destroy = state->options.stop_on_destroy;
  const Status saved = state->save();
  if (!saved) return std::unexpected(saved.error());
  return LocalCluster(std::move(state));
}

Result<LocalCluster> LocalCluster::attach(const fs::path& directory) {
  std::error_code error;
  auto loaded = load_state(fs::absolute(directory, error));
  if (!loaded) return std::unexpected(loaded.error());
  auto state = std::make_unique<State>();
  state->cluster = std::move(*loaded);
  return LocalCluster(std::move(state));
}

Status LocalCluster::start() {
  return state_->start_all();
}
Status LocalCluster::stop_all() {
  state_->stop_on_destroy = false;
  return state_->stop_everything();
}
void LocalCluster::set_stop_on_destroy(bool stop) {
  state_->stop_on_destroy = stop;
}

std::vector<ProcessInfo> LocalCluster::processes() const {
  std::vector<ProcessInfo> all;
  for (const Member& member : state_->cluster.members) {
    ProcessInfo info;
    info.name = member.name;
    info.kind = member.kind;
    info.is_running = is_alive(member.process);
    info.pid = info.is_running ? member.process.pid : 0;
    info.is_paused = info.is_running && !member.paused.empty();
    info.ports = member.ports;
    info.metrics_port = member.metrics_port;
    info.log = member.log;
    if (member.is_postgres()) info.conninfo = state_->cluster.server(member).conninfo();
    all.push_back(std::move(info));
  }
  return all;
}

Result<ProcessInfo> LocalCluster::process(std::string_view name) const {
  const auto member = state_->find(name);
  if (!member) return std::unexpected(member.error());
  const auto all = processes();
  return *std::find_if(all.begin(), all.end(), [&](const ProcessInfo& one) { return one.name == name; });
}

Status LocalCluster::kill(std::string_view name) {
  const auto member = state_->find_running(name);
  return member ? state_->kill_now(**member) : std::unexpected(member.error());
}

Status LocalCluster::terminate(std::string_view name) {
  const auto member = state_->find_running(name);
  if (!member) return std::unexpected(member.error());
  return state_->end_with(**member, (*member)->is_postgres() ? SIGINT : SIGTERM);
}

Status LocalCluster::pause(std::string_view name) {
  const auto found = state_->find_running(name);
  if (!found) return std::unexpected(found.error());
  Member& member = **found;
  Status done = send_signal(member.process, SIGSTOP);
  if (!done) return done;
  member.paused = {member.process};
  if (member.is_postgres())
    for (const ProcessId& child : children_of(member.process.pid))
      if (send_signal(child, SIGSTOP)) member.paused.push_back(child);
  return state_->save();
}

Status LocalCluster::resume(std::string_view name) {
  const auto member = state_->find_running(name);
  return member ? state_->wake(**member) : std::unexpected(member.error());
}

Status LocalCluster::start(std::string_view name) {
  const auto member = state_->find(name);
  if (!member) return std::unexpected(member.error());
  if (is_alive((*member)->process))
    return fail(ErrorCode::kFailedPrecondition, (*member)->name + " is running already");
  return state_->start_member(**member);
}

Status LocalCluster::restart(std::string_view name) {
  const auto member = state_->find(name);
  if (!member) return std::unexpected(member.error());
  const Status ended = is_alive((*member)->process) ? terminate(name) : Status{};
  return ended ? start(name) : ended;
}

Status LocalCluster::pg_stop(std::string_view name, StopMode mode) {
  const auto server = state_->find_postgres_server(name);
  if (!server) return std::unexpected(server.error());
  const auto running = state_->find_running(name);
  if (!running) return std::unexpected(running.error());
  const int signal = mode == StopMode::kSmart ? SIGTERM : mode == StopMode::kFast ? SIGINT : SIGQUIT;
  return state_->end_with(**running, signal);
}

Status LocalCluster::pause_replay(std::string_view name) {
  const auto server = state_->find_postgres_server(name);
  if (!server) return std::unexpected(server.error());
  auto session = state_->session(**server);
  if (!session) return std::unexpected(session.error());
  Status done = session->run("SELECT pg_wal_replay_pause()");
  const auto give_up = std::chrono::steady_clock::now() + kReplayPauseTimeout;
  while (done) {
    const auto state = session->value("SELECT pg_get_wal_replay_pause_state()");
    if (!state) return std::unexpected(state.error());
    if (*state == "paused") return {};
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::kDeadlineExceeded, fmt::format("{}: replay is still \"{}\"", name, *state));
    std::this_thread::sleep_for(kPollInterval);
  }
  return done;
}

Status LocalCluster::resume_replay(std::string_view name) {
  const auto server = state_->find_postgres_server(name);
  if (!server) return std::unexpected(server.error());
  auto session = state_->session(**server);
  if (!session) return std::unexpected(session.error());
  return session->run("SELECT pg_wal_replay_resume()");
}

Result<std::string> LocalCluster::psql(std::string_view name, std::string_view sql) const {
  const auto server = state_->find_postgres_server(name);
  if (!server) return std::unexpected(server.error());
  auto session = state_->session(**server);
  if (!session) return std::unexpected(session.error());
  const auto set = session->script(std::string(sql));
  if (!set) return std::unexpected(set.error());
  std::string text;
  for (const auto& row : set->rows) {
    if (!text.empty()) text += '\n';
    for (size_t c = 0; c < row.size(); ++c) text += (c ? "|" : "") + row[c].value_or("");
  }
  return text;
}

std::string LocalCluster::admin_conninfo(std::string_view name) const {
  const auto server = state_->find_postgres_server(name);
  return server ? state_->cluster.server(**server).admin_conninfo() : std::string();
}

std::string LocalCluster::topology_address() const {
  return "file:" + (state_->cluster.directory / "topology").string();
}
fs::path LocalCluster::directory() const {
  return state_->cluster.directory;
}
fs::path LocalCluster::passfile(std::string_view role) const {
  return state_->cluster.directory / "secrets" / (std::string(role) + ".pgpass");
}
fs::path LocalCluster::node_password_file() const {
  return state_->cluster.directory / "secrets/node-invalidator";
}
fs::path LocalCluster::binary(std::string_view program) const {
  return state_->cluster.binaries / program;
}

}  // namespace tidemark::localcluster
