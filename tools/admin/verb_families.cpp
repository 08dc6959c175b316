// tidemarkctl families apply FILE | families show: the key families that nodes and the invalidator work by.
#include <fmt/format.h>

#include <iostream>

#include "base/topology/topology_json.h"
#include "tools/admin/verb.h"

namespace tidemark::admin {
namespace {

Status run_apply(const Common& common, const std::string& path) {
  Result<std::string> text = read_text_file(path);
  if (!text) return std::unexpected(text.error());
  Result<std::vector<Family>> families = decode_families(*text);
  if (!families) return std::unexpected(families.error().with_context(path));
  Result<io::TopologyStoreFile> store = io::open_topology_store(common.topology);
  if (!store) return std::unexpected(store.error());
  Result<Topology> stored = store->update([&](Topology& topology) -> Status {
    if (topology.families == *families) return {};
    topology.families = *families;
    ++topology.families_version;
    ++topology.slots_version;  // an invalidator with the old families is refused by the nodes until it has the new ones
    return {};
  });
  if (!stored) return std::unexpected(stored.error());
  std::cout << fmt::format("{} families at version {}, topology version {}\n", stored->families.size(),
                           stored->families_version, stored->version);
  return {};
}

}  // namespace

Verb add_families_apply_verb(io::Options& families, const Common& common) {
  auto path = std::make_shared<std::string>();
  io::Options& verb = families.verb("apply", "store the families of FILE (a service writes it: --write-families)");
  verb.positional("file", *path, true, "the families file; - is standard input");
  return {&verb, [&common, path] { return run_apply(common, *path); }};
}

Verb add_families_show_verb(io::Options& families, const Common& common) {
  io::Options& verb = families.verb("show", "print the stored families, in the form that apply reads");
  return {&verb, [&common]() -> Status {
            Result<Topology> topology = load_topology(common);
            if (!topology) return std::unexpected(topology.error());
            std::cout << encode_families(topology->families);
            return {};
          }};
}

}  // namespace tidemark::admin
