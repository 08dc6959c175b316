#include "tools/localcluster/postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/parse.h"
#include "tools/shards/pg_session.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using shards::PgSession;

constexpr auto kToolTimeout = 60'000ms;  // initdb, pg_basebackup, cp
constexpr auto kQuitTimeout = 5'000ms;    // of a server that never answered
constexpr auto kPollInterval = 10ms;
constexpr size_t kSocketPathMax = 107;
constexpr int kVersionMin = 15;

constexpr const char* kSettings = R"(
listen_addresses = ''
port = 5432
wal_level = logical
track_commit_timestamp = on
max_connections = 200
max_locks_per_transaction = 256
max_wal_senders = 16
max_replication_slots = 16
max_slot_wal_keep_size = 4GB
shared_buffers = 64MB
wal_init_zero = off
wal_recycle = off
max_wal_size = 512MB
checkpoint_timeout = 15min
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
hot_standby_feedback = on
jit = off
autovacuum_naptime = 5s
password_encryption = scram-sha-256
log_line_prefix = '%m [%p] '
)";

constexpr const char* kHba = R"(
local all         postgres                                            peer map=owner
local replication postgres                                            peer map=owner
local replication tidemark_invalidator                                scram-sha-256
local all         tidemark_app,tidemark_invalidator,tidemark_admin    scram-sha-256
)";

bool is_root() {
  return ::geteuid() == 0;
}

std::string user_name() {
  const passwd* user = ::getpwuid(::geteuid());
  return user ? user->pw_name : "postgres";
}

// The user that Postgres runs as.
std::string server_user() {
  return is_root() ? "postgres" : user_name();
}

std::vector<std::string> as_server_user(std::vector<std::string> argv) {
  if (!is_root()) return argv;
  // Postgres goes back to the directory it was started in, which root may keep from others (a clone below /root).
  std::vector<std::string> full{"env", "--chdir=/", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"};
  full.insert(full.end(), argv.begin(), argv.end());
  return full;
}

Status run_as_server(std::vector<std::string> argv, const fs::path& log) {
  return run_to_end({as_server_user(std::move(argv)), log, {}}, kToolTimeout);
}

Status give_to_server_user(const fs::path& path) {
  if (!is_root()) return {};
  const passwd* user = ::getpwnam("postgres");
  if (!user) return fail(ErrorCode::kFailedPrecondition, "there is no user postgres: install postgresql-15");
  if (::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
    return fail(ErrorCode::kUnavailable, path.string() + ": chown: " + std::strerror(errno));
  return {};
}

Result<fs::path> make_directory(const std::string& prefix) {
  std::string pattern = prefix + "XXXXXX";
  if (!::mkdtemp(pattern.data())) return fail(ErrorCode::kUnavailable, pattern + ": " + std::strerror(errno));
  const Status given = give_to_server_user(pattern);
  if (!given) return std::unexpected(given.error());
  return fs::path(pattern);
}

Status append(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::app);
  file << text;
  file.close();
  if (!file) return fail(ErrorCode::kUnavailable, path.string() + ": cannot be written");
  return {};
}

// The template belongs to the server's user; a directory of somebody else at that name is not trusted.
bool is_usable_template(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path / "data" / "PG_VERSION", error)) return false;
  const passwd* user = ::getpwnam(server_user().c_str());
  struct stat status{};
  return user && ::stat(path.c_str(), &status) == 0 && status.st_uid == user->pw_uid;
}

Status make_template(const fs::path& binaries, const fs::path& target, const fs::path& log) {
  const auto fresh = make_directory("/var/tmp/tidemark-template-");
  if (!fresh) return std::unexpected(fresh.error());
  const Status made =
      run_as_server({(binaries / "initdb").string(), "-D", (*fresh / "data").string(), "--no-sync", "--wal-segsize=4",
                     "--no-instructions", "--locale=C", "--encoding=UTF8", "-U", "postgres", "-A", "peer"},
                    log);
  std::error_code error;
  if (made) fs::rename(*fresh, target, error);  // fails if another process was first: theirs is as good
  if (!made || error) fs::remove_all(*fresh, error);
  return made;
}

Result<fs::path> template_directory(const fs::path& binaries, const fs::path& log) {
  std::string version = binaries.string();
  std::replace(version.begin(), version.end(), '/', '_');
  const fs::path path = fmt::format("/var/tmp/tidemark-pg-template{}-{}", version, server_user());
  if (!is_usable_template(path)) {
    const Status made = make_template(binaries, path, log);
    if (!made) return std::unexpected(made.error());
    if (!is_usable_template(path))
      return fail(ErrorCode::kFailedPrecondition, path.string() + ": belongs to somebody else; remove it");
  }
  return path;
}

Status configure(const PostgresServer& server, bool fsync) {
  std::string settings = kSettings;
  settings += fsync ? "fsync = on\n" : "fsync = off\nfull_page_writes = off\n";
  settings += fmt::format("unix_socket_directories = '{}'\ncluster_name = '{}'\n", server.socket_directory().string(),
                          server.name);
  std::string ident = fmt::format("owner {} postgres\n", server_user());
  if (is_root()) ident += "owner root postgres\n";
  Status done = append(server.data() / "postgresql.conf", settings);
  if (!done) return done;
  std::error_code error;
  fs::resize_file(server.data() / "pg_hba.conf", 0, error);
  done = append(server.data() / "pg_hba.conf", kHba);
  if (done) done = append(server.data() / "pg_ident.conf", ident);
  return done;
}

Status make_server_directory(const PostgresServer& server) {
  const std::string socket = (server.socket_directory() / ".s.PGSQL.5432").string();
  if (socket.size() > kSocketPathMax)
    return fail(ErrorCode::kInvalidArgument, socket + ": longer than a socket's path may be");
  std::error_code error;
  fs::create_directory(server.socket_directory(), error);
  if (error) return fail(ErrorCode::kUnavailable, server.socket_directory().string() + ": " + error.message());
  fs::permissions(server.socket_directory(), fs::perms::owner_all, error);
  return give_to_server_user(server.socket_directory());
}

}  // namespace

std::string PostgresServer::conninfo() const {
  return fmt::format("host={} port=5432 dbname={}", socket_directory().string(), kDatabase);
}
std::string PostgresServer::admin_conninfo() const {
  return conninfo() + " user=postgres";
}

Result<fs::path> find_postgres() {
  std::error_code error;
  if (const char* given = std::getenv("TIDEMARK_PG_BIN")) {
    if (fs::exists(fs::path(given) / "postgres", error)) return fs::path(given);
    return fail(ErrorCode::kNotFound, std::string("TIDEMARK_PG_BIN=") + given + ": there is no postgres in it");
  }
  fs::path best;
  uint64_t best_version = kVersionMin - 1;
  for (fs::directory_iterator at("/usr/lib/postgresql", error), end; !error && at != end; at.increment(error)) {
    const auto version = parse_u64(at->path().filename().string());
    std::error_code ignored;
    if (!version || *version <= best_version || !fs::exists(at->path() / "bin/postgres", ignored)) continue;
    best = at->path() / "bin";
    best_version = *version;
  }
  if (best.empty())
    return fail(ErrorCode::kNotFound, "no PostgreSQL 15 or newer is installed; apt-get install postgresql-15");
  return best;
}

Result<fs::path> make_postgres_root() {
  return make_directory("/var/tmp/tidemark-");
}

Status remove_postgres_root(const fs::path& root) {
  // Only what make_postgres_root() may have made.
  if (!root.string().starts_with("/var/tmp/tidemark-"))
    return fail(ErrorCode::kInvalidArgument, root.string() + ": not a directory of ours");
  std::error_code error;
  fs::remove_all(root, error);
  if (error) return fail(ErrorCode::kUnavailable, root.string() + ": " + error.message());
  return {};
}

Status create_primary(const PostgresServer& server, bool fsync) {
  const auto source = template_directory(server.place.binaries, server.log);
  if (!source) return std::unexpected(source.error());
  Status done = make_server_directory(server);
  if (done)
    done =
        run_as_server({"cp", "-a", "--reflink=auto", (*source / "data").string(), server.data().string()}, server.log);
  if (done) done = configure(server, fsync);
  return done;
}

Status create_replica(const PostgresServer& server, const PostgresServer& primary) {
  std::string slot = server.name;
  std::replace(slot.begin(), slot.end(), '-', '_');
  auto session = PgSession::connect(primary.name, primary.admin_conninfo());
  if (!session) return std::unexpected(session.error());
  Status done = session->run(
      "SELECT pg_create_physical_replication_slot($1, true) "
      "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)",
      {slot});
  if (done) done = make_server_directory(server);
  if (done)
    done = run_as_server({(primary.place.binaries / "pg_basebackup").string(), "-D", server.data().string(), "-h",
                          primary.socket_directory().string(), "-p", "5432", "-U", "postgres", "-X", "stream", "-c",
                          "fast", "--no-sync", "-R", "-S", slot},
                         server.log);
  if (done)
    done =
        append(server.data() / "postgresql.conf", fmt::format("unix_socket_directories = '{}'\ncluster_name = '{}'\n",
                                                              server.socket_directory().string(), server.name));
  return done;
}

void remove_lock_files(const PostgresServer& server) {
  std::error_code ignored;
  for (const fs::path& file : {server.data() / "postmaster.pid", server.socket_directory() / ".s.PGSQL.5432",
                               server.socket_directory() / ".s.PGSQL.5432.lock"})
    fs::remove(file, ignored);
}

Result<ProcessId> start_postgres(const PostgresServer& server, std::chrono::milliseconds timeout) {
  const auto process = spawn(
      {as_server_user({(server.place.binaries / "postgres").string(), "-D", server.data().string()}), server.log, {}});
  if (!process) return process;
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  const std::string conninfo = server.admin_conninfo() + " dbname=postgres connect_timeout=2";
  while (PQping(conninfo.c_str()) != PQPING_OK) {
    if (!is_alive(*process))
      return fail(ErrorCode::kUnavailable, server.name + " ended while it started: " + tail_of(server.log));
    if (std::chrono::steady_clock::now() > give_up) {
      // Nobody would know its pid after this.
      (void)send_signal(*process, SIGQUIT);
      if (!wait_for_end(*process, kQuitTimeout)) {
        (void)send_signal(*process, SIGKILL);
        (void)wait_for_end(*process, kQuitTimeout);
      }
      return fail(ErrorCode::kDeadlineExceeded,
                  fmt::format("{} does not answer after {} ms: {}", server.name, timeout.count(), tail_of(server.log)));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return identify(process->pid);
}

Status await_streaming(const PostgresServer& primary, const PostgresServer& replica,
                       std::chrono::milliseconds timeout) {
  auto session = PgSession::connect(primary.name, primary.admin_conninfo());
  if (!session) return std::unexpected(session.error());
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto count = session->value(
        "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", {replica.name});
    if (!count) return std::unexpected(count.error());
    if (*count != "0") return {};
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::kDeadlineExceeded,
                  replica.name + " does not stream from " + primary.name + ": " + tail_of(replica.log));
    std::this_thread::sleep_for(kPollInterval);
  }
}

Status create_database(const PostgresServer& primary) {
  auto session = PgSession::connect(primary.name, primary.admin_conninfo() + " dbname=postgres");
  if (!session) return std::unexpected(session.error());
  const auto exists = session->value("SELECT count(*) FROM pg_database WHERE datname = $1", {std::string(kDatabase)});
  if (!exists) return std::unexpected(exists.error());
  if (*exists != "0") return {};
  return session->run(fmt::format("CREATE DATABASE {}", kDatabase));
}

}  // namespace tidemark::localcluster
