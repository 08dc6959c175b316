// A verb of tidemarkctl: its options, and what it does when chosen. One verb, one file.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/io/options.h"
#include "base/io/topology_store_file.h"
#include "base/result.h"

namespace tidemark::admin {

struct Common {
  std::string topology = "file:/var/lib/tidemark/topology";  // where the topology store is
};

inline constexpr int kExitDegraded = 3;  // it was done, and it shows that something is not as it should be

struct Verb {
  io::Options* options = nullptr;
  std::function<Result<int>()> run;  // the exit code, or what went wrong

  Verb(io::Options* given_options, std::function<Result<int>()> given_run)
      : options(given_options), run(std::move(given_run)) {}
  // For verbs that are done or fail.
  Verb(io::Options* given_options, std::function<Status()> given_run)
      : Verb(given_options, [done = std::move(given_run)]() -> Result<int> {
          Status status = done();
          return status ? Result<int>(io::kExitOk) : std::unexpected(status.error());
        }) {}
};

Verb add_init_verb(io::Options& root, const Common& common);
Verb add_status_verb(io::Options& root, const Common& common);
Verb add_nodes_verb(io::Options& root, const Common& common);
Verb add_slots_verb(io::Options& root, const Common& common);
Verb add_topology_show_verb(io::Options& topology, const Common& common);
Verb add_families_apply_verb(io::Options& families, const Common& common);
Verb add_families_show_verb(io::Options& families, const Common& common);
Verb add_call_verb(io::Options& root);

Result<Topology> load_topology(const Common& common);
Result<std::string> read_text_file(const std::string& path);  // "-": standard input

}  // namespace tidemark::admin
