// tidemarkctl: the operator's tool. Exit codes: 0 done, 1 it failed (why is on stderr), 2 the command line was wrong,
// 3 (status) something is degraded.
#include <iostream>

#include "tools/admin/verb.h"

int main(int argc, char** argv) {
  using namespace tidemark;
  admin::Common common;
  io::Options options("tidemarkctl", "Look at a Tidemark cluster and change its topology.");
  options.text("topology", common.topology, "the topology store: file:DIR");
  io::Options& topology = options.verb("topology", "the topology document");
  io::Options& families = options.verb("families", "the key families");
  std::vector<admin::Verb> verbs{
      admin::add_init_verb(options, common),           admin::add_status_verb(options, common),
      admin::add_nodes_verb(options, common),          admin::add_slots_verb(options, common),
      admin::add_topology_show_verb(topology, common), admin::add_families_apply_verb(families, common),
      admin::add_families_show_verb(families, common), admin::add_call_verb(options),
  };
  if (auto exit_code = options.parse(argc, argv)) return *exit_code;
  for (const admin::Verb& verb : verbs) {
    if (!verb.options->is_chosen()) continue;
    Result<int> done = verb.run();
    if (done) return *done;
    std::cerr << "tidemarkctl: " << done.error().message << "\n";
    return done.error().code == ErrorCode::kInvalidArgument ? io::kExitUsage : io::kExitFailure;
  }
  return io::kExitUsage;
}
