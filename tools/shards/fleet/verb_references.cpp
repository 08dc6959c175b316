#include "tools/shards/fleet/verb_references.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/shards/reference/reference_copy.h"

namespace tidemark::shards {

void declare(io::Options& verb, ReferencesArguments& arguments) {
  verb.text("shards", arguments.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.flag("dry-run", arguments.is_dry_run, "show which copies differ, change nothing");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  verb.require("shards");
}

Status run_references(const ReferencesArguments& arguments) {
  const auto described = read_shards_file(arguments.shards_file);
  if (!described) return std::unexpected(described.error());
  auto opened = connect_shards(*described);
  if (!opened) return std::unexpected(opened.error());
  const auto copies = arguments.is_dry_run ? find_differences(*opened) : copy_differences(*opened);
  if (!copies) return std::unexpected(copies.error());
  if (arguments.format == "json") {
    nlohmann::ordered_json json{{"dry_run", arguments.is_dry_run}, {"copies", nlohmann::ordered_json::array()}};
    for (const ReferenceCopy& copy : *copies)
      json["copies"].push_back({{"table", copy.table},
                                {"from", copy.from},
                                {"to", copy.to},
                                {"rows_written", copy.rows_written},
                                {"rows_deleted", copy.rows_deleted}});
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  for (const ReferenceCopy& copy : *copies) {
    if (arguments.is_dry_run)
      fmt::print("{} on shard {} differs from shard {}\n", copy.table, copy.to, copy.from);
    else
      fmt::print("{} copied from shard {} to shard {}: {} rows written, {} deleted\n", copy.table, copy.from, copy.to,
                 copy.rows_written, copy.rows_deleted);
  }
  if (copies->empty()) fmt::print("every copy is equal to its original\n");
  return {};
}

}  // namespace tidemark::shards
