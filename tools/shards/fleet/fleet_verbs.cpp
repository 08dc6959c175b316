#include "tools/shards/fleet/fleet_verbs.h"

#include <fmt/format.h>

#include <cstdio>

#include "tools/shards/failover/verb_promote.h"
#include "tools/shards/fleet/verb_doctor.h"
#include "tools/shards/fleet/verb_fleet.h"
#include "tools/shards/fleet/verb_references.h"
#include "tools/shards/fleet/verb_sql.h"
#include "tools/shards/plan/verb_plan.h"
#include "tools/shards/schema/verb_migrate.h"
#include "tools/shards/watchdog/verb_watchdog.h"

namespace tidemark::shards {
namespace {

template <typename Given>
struct Verb {
  Given given{};
  io::Options* options = nullptr;
  void add_to(io::Options& all, const char* name, const char* about) {
    options = &all.verb(name, about);
    declare(*options, given);
  }
  bool is_chosen() const { return options->is_chosen(); }
};

int exit_code_of(const Status& done) {
  if (done) return io::kExitOk;
  fmt::print(stderr, "tidemark-shards: {}\n", done.error().to_string());
  return io::kExitFailure;
}

int exit_code_of(const Result<bool>& is_good) {
  if (!is_good) return exit_code_of(Status(std::unexpected(is_good.error())));
  return *is_good ? io::kExitOk : io::kExitFailure;
}

}  // namespace

struct FleetVerbs::Arguments {
  Verb<MigrateArguments> migrate;
  Verb<PlanArguments> plan;
  Verb<RebalanceArguments> rebalance;
  Verb<SplitHotArguments> split_hot;
  Verb<SqlArguments> sql;
  Verb<AddShardArguments> add;
  Verb<RemoveShardArguments> remove;
  Verb<ReferencesArguments> references;
  Verb<DoctorArguments> doctor;
  Verb<PromoteArguments> promote;
  Verb<WatchdogArguments> watchdog;
};

FleetVerbs::FleetVerbs(io::Options& options) : arguments_(std::make_unique<Arguments>()) {
  Arguments& all = *arguments_;
  all.migrate.add_to(options, "migrate",
                     "Changes the schema of all shards in steps that running programs survive; may be run again.");
  all.plan.add_to(options, "plan", "Which buckets should move where, why, and where that ends.");
  all.rebalance.add_to(options, "rebalance", "Makes a plan and its moves, one after the other; may be run again.");
  all.split_hot.add_to(options, "split-hot", "Moves the hottest buckets away from the shard that is written to most.");
  all.sql.add_to(options, "sql", "Runs one statement on the shard that owns a bucket; reads only.");
  all.add.add_to(options, "add-shard", "Makes a database a shard that owns no bucket yet.");
  all.remove.add_to(options, "remove-shard", "Takes a shard that owns nothing out of the topology.");
  all.references.add_to(options, "references", "Makes the copies of the reference tables equal to their originals.");
  all.promote.add_to(options, "promote",
                     "Makes a replica the primary of its shard, or ends a promotion that somebody began.");
  all.watchdog.add_to(options, "watchdog",
                      "Goes on with moves that nobody drives, on whatever machine; runs until SIGTERM.");
  all.doctor.add_to(options, "doctor",
                    "Looks for what is left over or does not fit; exit code 1 if something is wrong.");
}

FleetVerbs::~FleetVerbs() = default;

std::optional<int> FleetVerbs::run() const {
  const Arguments& all = *arguments_;
  if (all.migrate.is_chosen()) return run_migrate(all.migrate.given);
  if (all.plan.is_chosen()) return exit_code_of(run_plan(all.plan.given));
  if (all.rebalance.is_chosen()) return exit_code_of(run_rebalance(all.rebalance.given));
  if (all.split_hot.is_chosen()) return exit_code_of(run_split_hot(all.split_hot.given));
  if (all.sql.is_chosen()) return exit_code_of(run_sql(all.sql.given));
  if (all.add.is_chosen()) return exit_code_of(run_add_shard(all.add.given));
  if (all.remove.is_chosen()) return exit_code_of(run_remove_shard(all.remove.given));
  if (all.references.is_chosen()) return exit_code_of(run_references(all.references.given));
  if (all.promote.is_chosen()) return exit_code_of(run_promote(all.promote.given));
  if (all.watchdog.is_chosen()) return run_watchdog(all.watchdog.given);
  if (all.doctor.is_chosen()) return exit_code_of(run_doctor(all.doctor.given));
  return std::nullopt;
}

}  // namespace tidemark::shards
