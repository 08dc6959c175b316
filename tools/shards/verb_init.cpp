#include <fmt/format.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "base/io/topology_store_file.h"
#include "base/topology/topology_json.h"
#include "shardrouter/sql/schema/shard_schema.h"
#include "tools/shards/shard_setup.h"
#include "tools/shards/table_lint.h"
#include "tools/shards/verbs.h"

namespace tidemark::shards {
namespace {

using shardrouter::BucketRow;

struct Opened {
  AdminShard description;
  PgSession session;
  int64_t db_epoch = 0;
};

std::vector<std::string> role_names() {
  return {std::string(shardrouter::kAppRole), std::string(shardrouter::kInvalidatorRole),
          std::string(shardrouter::kAdminRole)};
}

Result<ApplicationSchema> read_schema(const InitArguments& arguments) {
  ApplicationSchema schema;
  for (const std::string& path : arguments.schema_files) {
    auto text = read_text_file(path);
    if (!text) return std::unexpected(text.error());
    schema.files.emplace_back(path, std::move(*text));
  }
  schema.tables = arguments.tables;
  return schema;
}

Result<std::vector<Opened>> open_shards(const std::vector<AdminShard>& shards) {
  std::vector<Opened> opened;
  for (const AdminShard& shard : shards) {
    auto session = connect_owner(shard);
    if (!session) return std::unexpected(session.error());
    const Status fit = check_server(*session);
    if (!fit) return std::unexpected(fit.error().with_context(fmt::format("shard {}", shard.shard.id)));
    opened.push_back({shard, std::move(*session), 0});
  }
  return opened;
}

// A password that is in the database but not in the files would be replaced, and running programs locked out.
Status complete_passwords(std::vector<Opened>& opened, Passwords& passwords, bool new_passwords) {
  for (Opened& one : opened) {
    const auto roles = roles_with_password(one.session);
    if (!roles) return std::unexpected(roles.error());
    for (const std::string& role : *roles)
      if (!passwords.is_known(role) && !new_passwords)
        return fail(
            ErrorCode::kFailedPrecondition,
            fmt::format(
                "shard {}: role {} has a password that the given file does not hold: give the file of the first "
                "init, or --new-passwords to replace it",
                one.description.shard.id, role));
  }
  for (const std::string& role : role_names())
    if (new_passwords || !passwords.is_known(role)) passwords.generate(role);
  return passwords.save();
}

Result<std::vector<BucketOwner>> settle_buckets(std::vector<Opened>& opened) {
  std::map<ShardId, std::vector<BucketRow>> rows;
  for (Opened& one : opened) {
    auto read = read_bucket_rows(one.session);
    if (!read) return std::unexpected(read.error());
    rows[one.description.shard.id] = std::move(*read);
  }
  auto ownership = shardrouter::derive_ownership(rows);
  if (!ownership) return std::unexpected(ownership.error());
  for (Opened& one : opened) {
    const auto& missing = ownership->missing[one.description.shard.id];
    if (missing.empty()) continue;
    const Status inserted = insert_bucket_rows(one.session, missing);
    if (!inserted) return std::unexpected(inserted.error());
  }
  return std::move(ownership->map);
}

Result<Topology> publish(const InitArguments& arguments, const std::vector<Opened>& opened,
                         const std::vector<BucketOwner>& map) {
  const auto store = io::open_topology_store(arguments.topology);
  if (!store) return std::unexpected(store.error());
  return store->update([&](Topology& topology) -> Status {
    for (const Shard& known : topology.shards) {
      bool is_given = false;
      for (const Opened& one : opened) is_given = is_given || one.description.shard.id == known.id;
      if (!is_given)
        return fail(ErrorCode::kFailedPrecondition,
                    fmt::format("the topology has a shard {} that the shards file does not name: add it", known.id));
    }
    topology.shards.clear();
    for (const Opened& one : opened) topology.shards.push_back(one.description.shard);
    topology.buckets = map;
    return {};
  });
}

// Every source the system will rely on: those named here, those of the given families, those of the families in use.
Result<std::vector<SourceTable>> sources_to_lint(const InitArguments& arguments) {
  std::vector<SourceTable> sources;
  for (const std::string& table : arguments.tables) sources.push_back({table, {}, ""});
  std::vector<Family> families;
  if (!arguments.families_file.empty()) {
    const auto text = read_text_file(arguments.families_file);
    if (!text) return std::unexpected(text.error());
    auto decoded = decode_families(*text);
    if (!decoded) return std::unexpected(decoded.error().with_context(arguments.families_file));
    families = std::move(*decoded);
  } else {
    const auto store = io::open_topology_store(arguments.topology);
    if (!store) return std::unexpected(store.error());
    const auto topology = store->load();
    if (topology)
      families = topology->families;
    else if (topology.error().code != ErrorCode::kNotFound)
      return std::unexpected(topology.error());
  }
  for (const Family& family : families)
    if (!family.table.empty()) sources.push_back({family.table, family.key_columns, family.name});
  return sources;
}

Status lint(std::vector<Opened>& opened, const std::vector<SourceTable>& sources) {
  std::string all;
  for (Opened& one : opened) {
    for (const SourceTable& source : sources) {
      const auto findings = lint_table(one.session, source);
      if (!findings) return std::unexpected(findings.error());
      for (const std::string& finding : *findings)
        all += fmt::format("\n  shard {}: {}", one.description.shard.id, finding);
    }
  }
  if (all.empty()) return {};
  return fail(ErrorCode::kFailedPrecondition, "tables that cannot be the source of cached keys:" + all);
}

void print(const InitArguments& arguments, const std::vector<Opened>& opened, const Topology& topology) {
  nlohmann::ordered_json json{{"topology_version", topology.version}, {"shards", nlohmann::ordered_json::array()}};
  for (const Opened& one : opened) {
    size_t owned = 0;
    for (const BucketOwner& owner : topology.buckets) owned += owner.shard == one.description.shard.id;
    json["shards"].push_back({{"id", one.description.shard.id},
                              {"db_epoch", one.db_epoch},
                              {"buckets", owned},
                              {"servers", one.description.shard.servers.size()}});
  }
  if (arguments.format == "json") {
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("{:>5}  {:>8}  {:>7}  {:>7}\n", "shard", "db_epoch", "buckets", "servers");
  for (const auto& row : json["shards"])
    fmt::print("{:>5}  {:>8}  {:>7}  {:>7}\n", row["id"].get<int>(), row["db_epoch"].get<int64_t>(),
               row["buckets"].get<size_t>(), row["servers"].get<size_t>());
  fmt::print("topology version {}\n", topology.version);
}

}  // namespace

Status run_init(const InitArguments& arguments) {
  const auto shards = read_shards_file(arguments.shards_file);
  if (!shards) return std::unexpected(shards.error());
  const auto schema = read_schema(arguments);
  if (!schema) return std::unexpected(schema.error());
  auto passwords = Passwords::open({arguments.passfile, arguments.passwords_dir}, role_names());
  if (!passwords) return std::unexpected(passwords.error());
  auto opened = open_shards(*shards);
  if (!opened) return std::unexpected(opened.error());

  for (Opened& one : *opened) {
    const Status created = create_objects(one.session, one.description.shard.id, *schema);
    if (!created) return std::unexpected(created.error());
  }
  const Status completed = complete_passwords(*opened, *passwords, arguments.new_passwords);
  if (!completed) return completed;
  for (Opened& one : *opened) {
    const Status set = set_passwords(one.session, *passwords);
    if (!set) return set;
    const auto epoch = open_for_writes(one.session);
    if (!epoch) return std::unexpected(epoch.error());
    one.db_epoch = *epoch;
  }
  const auto sources = sources_to_lint(arguments);
  if (!sources) return std::unexpected(sources.error());
  const Status linted = lint(*opened, *sources);
  if (!linted) return linted;
  const auto map = settle_buckets(*opened);
  if (!map) return std::unexpected(map.error());
  const auto topology = publish(arguments, *opened, *map);
  if (!topology) return std::unexpected(topology.error());
  print(arguments, *opened, *topology);
  return {};
}

}  // namespace tidemark::shards
