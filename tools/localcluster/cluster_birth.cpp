#include "tools/localcluster/cluster_birth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/invariant.h"
#include "tools/localcluster/cluster_plan.h"
#include "tools/localcluster/families_merge.h"
#include "tools/localcluster/member_start.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto kInitTimeout = 60'000ms;           // tidemark-shards init
constexpr auto kWriteFamiliesTimeout = 30'000ms;  // a service's --write-families

Status create_server(ClusterState& state, const Options& options, Member& member) {
  const PostgresServer server = state.server(member);
  if (member.kind == Kind::kPostgresPrimary) {
    Status done = create_primary(server, options.fsync);
    if (done) done = start_server(state, member);
    return done ? create_database(server) : done;
  }
  const auto primary = std::ranges::find(state.members, member.primary, &Member::name);
  INVARIANT(primary != state.members.end(), state.members.size());
  Status done = create_replica(server, state.server(*primary));
  if (done) done = start_server(state, member);
  return done ? await_streaming(state.server(*primary), server, state.start_timeout()) : done;
}

Status init_shards(const ClusterState& state, const Options& options, const fs::path& families) {
  const fs::path file = state.directory / "shards.json";
  Status done = write_shards_file(state, file);
  if (!done) return done;
  Command command{{(state.binaries / "tidemark-shards").string(), "init", "--shards", file.string(), "--topology",
                   "file:" + (state.directory / "topology").string(), "--passwords-dir",
                   (state.directory / "secrets").string(), "--format", "json"},
                  state.directory / "logs/shards-init.log",
                  state.environment};
  const auto add = [&](const char* flag, const std::string& value) {
    command.argv.emplace_back(flag);
    command.argv.push_back(value);
  };
  for (const fs::path& schema : options.schema_files) add("--schema", schema.string());
  for (const std::string& table : options.tables) add("--tables", table);
  if (!families.empty()) add("--families", families.string());
  return run_to_end(command, kInitTimeout);
}

// The files given, and those that the services of this cluster write.
Result<std::vector<fs::path>> families_files(const ClusterState& state, const Options& options) {
  std::vector<fs::path> files = options.families_files;
  if (!options.families_file.empty()) files.push_back(options.families_file);
  if (!options.families_of_services) return files;
  for (const Member& member : state.members) {
    if (member.kind != Kind::kCatalog && member.kind != Kind::kSession && member.kind != Kind::kOrder) continue;
    files.push_back(state.directory / ("families-" + member.name + ".json"));
    const fs::path log = state.directory / "logs/write-families.log";
    const Status written =
        run_to_end({{member.argv.front(), "--write-families", files.back().string()}, log, {}}, kWriteFamiliesTimeout);
    if (!written) return std::unexpected(written.error().with_context("the families of " + member.name));
  }
  return files;
}

}  // namespace

Status check_programs(const ClusterState& state) {
  for (const Member& member : state.members) {
    std::error_code error;
    if (member.is_postgres() || fs::exists(member.argv.front(), error)) continue;
    return fail(ErrorCode::kNotFound,
                fmt::format("{} is not there, {} needs it: build it first", member.argv.front(), member.name));
  }
  return {};
}

Status start_servers(ClusterState& state) {
  for (Member& member : state.members) {
    if (!member.is_postgres() || is_alive(member.process)) continue;
    const Status done = start_server(state, member);
    if (!done) return done;
  }
  return {};
}

Status bear_cluster(ClusterState& state, const Options& options) {
  const auto files = families_files(state, options);
  if (!files) return std::unexpected(files.error());
  const auto families = merge_families(*files);
  if (!families) return std::unexpected(families.error());
  fs::path merged;
  if (!families->empty()) {
    merged = state.directory / "families.json";
    const Status written = write_families(*families, merged);
    if (!written) return written;
  }
  for (Member& member : state.members) {
    if (!member.is_postgres() || is_alive(member.process)) continue;
    const Status done = create_server(state, options, member);
    if (!done) return done;
  }
  if (!state.place.root.empty() && options.run_shards_init) {
    const Status done = init_shards(state, options, merged);
    if (!done) return done;
  }
  return write_topology(state, *families);
}

}  // namespace tidemark::localcluster
