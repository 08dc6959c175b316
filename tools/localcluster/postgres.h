// Postgres servers on a Unix socket, from a template made once per version: up in well under a second.
//
// initdb costs half a second and more, a copy of its result 50 ms; so the first use makes a template in /var/tmp, keyed
// by version and user, and every primary is a copy (reflinked where the file system can). Replicas are made by
// pg_basebackup with a slot of their own. Postgres refuses to run as root: as root everything runs as the user
// `postgres`.
//
//   ROOT/NAME/data   ROOT/NAME/.s.PGSQL.5432     ROOT is short (a socket's path has 107 bytes) and mode 0700
//
// Superuser `postgres`: by peer authentication for that user, for root and for ourselves. tidemark_*: SCRAM. No TCP.
// Threads: one. Every wait has a limit.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "tools/localcluster/process.h"

namespace tidemark::localcluster {

inline constexpr std::string_view kDatabase = "tidemark";

struct PostgresPlace {
  std::filesystem::path root;      // /var/tmp/tidemark-XXXXXX
  std::filesystem::path binaries;  // /usr/lib/postgresql/15/bin
};

// TIDEMARK_PG_BIN, else the newest of /usr/lib/postgresql/*, else pg_ctl on the PATH.
Result<std::filesystem::path> find_postgres();
Result<std::filesystem::path> make_postgres_root();  // a fresh one
Status remove_postgres_root(const std::filesystem::path& root);

struct PostgresServer {
  std::string name;
  PostgresPlace place;
  std::filesystem::path log;

  std::filesystem::path socket_directory() const { return place.root / name; }
  std::filesystem::path data() const { return place.root / name / "data"; }
  std::string conninfo() const;        // without user
  std::string admin_conninfo() const;  // superuser
};

// Makes the data directory; does not start it.
Status create_primary(const PostgresServer& server, bool fsync);
// From a running primary; makes the slot there.
Status create_replica(const PostgresServer& server, const PostgresServer& primary);
// For a server known to have ended: a killed postmaster that nobody has reaped yet still holds its pid, and the next
// one would take its lock files for those of a living server.
void remove_lock_files(const PostgresServer& server);
Result<ProcessId> start_postgres(const PostgresServer& server,
                                 std::chrono::milliseconds timeout);  // waits until it answers
Status await_streaming(const PostgresServer& primary, const PostgresServer& replica, std::chrono::milliseconds timeout);
Status create_database(const PostgresServer& primary);

}  // namespace tidemark::localcluster
