#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/io/topology_store_file.h"
#include "base/topology/topology_json.h"
#include "tools/shards/opened_shard.h"
#include "tools/shards/reference/reference_copy.h"
#include "tools/shards/shard_setup.h"
#include "tools/shards/table_lint.h"
#include "tools/shards/verbs.h"

namespace tidemark::shards {
namespace {

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

Result<Topology> publish(const InitArguments& arguments, const std::vector<OpenedShard>& opened,
                         const std::vector<BucketOwner>& map) {
  const auto store = io::open_topology_store(arguments.topology);
  if (!store) return std::unexpected(store.error());
  return store->update([&](Topology& topology) -> Status {
    std::vector<AdminShard> described;
    for (const OpenedShard& one : opened) described.push_back(one.description);
    const Status all_given = check_all_given(topology, described);
    if (!all_given) return all_given;
    topology.shards.clear();
    for (const OpenedShard& one : opened) topology.shards.push_back(one.description.shard);
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

Status lint(std::vector<OpenedShard>& opened, const std::vector<SourceTable>& sources) {
  std::string all;
  for (OpenedShard& one : opened) {
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

void print(const InitArguments& arguments, const std::vector<OpenedShard>& opened, const Topology& topology) {
  nlohmann::ordered_json json{{"topology_version", topology.version}, {"shards", nlohmann::ordered_json::array()}};
  for (const OpenedShard& one : opened) {
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

  for (OpenedShard& one : *opened) {
    const Status created = create_objects(one.session, one.description.shard.id, *schema);
    if (!created) return std::unexpected(created.error());
  }
  const Status completed = complete_passwords(*opened, *passwords, arguments.new_passwords);
  if (!completed) return completed;
  for (OpenedShard& one : *opened) {
    const Status set = set_passwords(one.session, *passwords);
    if (!set) return set;
    const auto epoch = open_for_writes(one.session);
    if (!epoch) return std::unexpected(epoch.error());
    one.db_epoch = *epoch;
  }
  const auto referred = settle_references(*opened, arguments.references);
  if (!referred) return std::unexpected(referred.error());
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
