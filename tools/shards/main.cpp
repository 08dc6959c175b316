// tidemark-shards: the Postgres shards' own tool. One verb, one file.
#include <fmt/format.h>

#include <cstdio>

#include "base/io/options.h"
#include "tools/shards/fleet/fleet_verbs.h"
#include "tools/shards/verb_move.h"
#include "tools/shards/verbs.h"

namespace {

using namespace tidemark;

int report(const Error& error) {
  fmt::print(stderr, "tidemark-shards: {}\n", error.to_string());
  return io::kExitFailure;
}

}  // namespace

int main(int argc, char** argv) {
  shards::InitArguments init;
  shards::StatusArguments status;
  io::Options options("tidemark-shards", "Prepares Postgres shards for Tidemark and shows their state.");

  io::Options& init_verb =
      options.verb("init", "Creates what every shard needs and writes the shards into the topology; may be run again.");
  init_verb.text("shards", init.shards_file,
                 "JSON file: the shards, their servers, the owner's conninfo at each primary");
  init_verb.text("topology", init.topology, "topology store, file:DIR");
  init_verb.texts("schema", init.schema_files, "SQL files with the application's tables; must be safe to run again");
  init_verb.texts("tables", init.tables, "tables to protect and publish: catalog.product,…");
  init_verb.texts("references", init.references, "tables that have the same rows on every shard: catalog.currency,…");
  init_verb.text("families", init.families_file,
                 "key families to check the tables against (default: those in the topology)");
  init_verb.text("passfile", init.passfile, "one libpq passfile for all roles; made if missing, mode 0600");
  init_verb.text("passwords-dir", init.passwords_dir, "directory for one passfile per role");
  init_verb.flag("new-passwords", init.new_passwords, "replace the roles' passwords");
  init_verb.choice("format", init.format, {"table", "json"}, "how to print");
  init_verb.require("shards");
  init_verb.require("topology");

  io::Options& status_verb =
      options.verb("status", "Buckets, servers, lag and slot of every shard; exit code 1 if something is wrong.");
  status_verb.text("topology", status.topology, "topology store, file:DIR");
  status_verb.text("passfile", status.passfile, "libpq passfile with tidemark_admin");
  status_verb.choice("format", status.format, {"table", "json"}, "how to print");
  status_verb.require("topology");

  shards::FleetVerbs fleet(options);
  shards::MoveVerbs moves(options);

  if (const auto exit_code = options.parse(argc, argv)) return *exit_code;
  if (init_verb.is_chosen()) {
    const Status done = shards::run_init(init);
    return done ? io::kExitOk : report(done.error());
  }
  if (const auto exit_code = fleet.run()) return *exit_code;
  if (const auto exit_code = moves.run()) return *exit_code;
  const auto is_good = shards::run_status(status);
  if (!is_good) return report(is_good.error());
  return *is_good ? io::kExitOk : io::kExitFailure;
}
