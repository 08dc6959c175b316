#include "tools/localcluster/local_cluster.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "tools/localcluster/cluster_birth.h"
#include "tools/localcluster/cluster_plan.h"
#include "tools/localcluster/cluster_state.h"
#include "tools/localcluster/member_start.h"
#include "tools/localcluster/member_stop.h"
#include "tools/shards/pg_session.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto kPollInterval = 10ms;
constexpr auto kReplayPauseTimeout = 10'000ms;

// Our programs in the order of their start: each needs those before it.
constexpr Kind kStartOrder[] = {Kind::kNode,    Kind::kInvalidator, Kind::kCatalog,
                                Kind::kSession, Kind::kOrder,       Kind::kRelay};

bool any_alive(const ClusterState& state) {
  return std::any_of(state.members.begin(), state.members.end(),
                     [](const Member& one) { return is_alive(one.process); });
}

}  // namespace

struct LocalCluster::State {
  ClusterState cluster;
  Options options;      // create() only
  bool is_new = false;  // databases and topology are still to be made
  bool stop_on_destroy = false;

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

  Status start_all() {
    Status done = check_programs(cluster);
    if (done) done = is_new ? bear_cluster(cluster, options) : start_servers(cluster);
    if (!done) return done;
    is_new = false;
    for (const Kind kind : kStartOrder) {
      done = start_kind(cluster, kind);
      if (!done) return done;
    }
    return {};
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
  if (state_ && state_->stop_on_destroy) (void)stop_everything(state_->cluster);
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
  const Status saved = save_state(state->cluster);
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
  return stop_everything(state_->cluster);
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
  return member ? kill_member(state_->cluster, **member) : std::unexpected(member.error());
}

Status LocalCluster::terminate(std::string_view name) {
  const auto member = state_->find_running(name);
  if (!member) return std::unexpected(member.error());
  return end_member(state_->cluster, **member, (*member)->is_postgres() ? SIGINT : SIGTERM);
}

Status LocalCluster::pause(std::string_view name) {
  const auto found = state_->find_running(name);
  if (!found) return std::unexpected(found.error());
  return pause_member(state_->cluster, **found);
}

Status LocalCluster::resume(std::string_view name) {
  const auto member = state_->find_running(name);
  return member ? wake_member(state_->cluster, **member) : std::unexpected(member.error());
}

Status LocalCluster::start(std::string_view name) {
  const auto member = state_->find(name);
  if (!member) return std::unexpected(member.error());
  if (is_alive((*member)->process))
    return fail(ErrorCode::kFailedPrecondition, (*member)->name + " is running already");
  return start_member(state_->cluster, **member);
}

Status LocalCluster::set_environment(std::string_view name, Environment environment) {
  const auto member = state_->find(name);
  if (!member) return std::unexpected(member.error());
  if ((*member)->is_postgres()) return fail(ErrorCode::kInvalidArgument, (*member)->name + " is a Postgres server");
  (*member)->environment = std::move(environment);
  return save_state(state_->cluster);
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
  return end_member(state_->cluster, **running, signal);
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
fs::path LocalCluster::token_key_file() const {
  return state_->cluster.directory / "secrets/token-key";
}
fs::path LocalCluster::binary(std::string_view program) const {
  return state_->cluster.binaries / program;
}

}  // namespace tidemark::localcluster
