#include "tools/shards/schema/verb_migrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/io/topology_store_file.h"
#include "tools/shards/opened_shard.h"
#include "tools/shards/reference/reference_copy.h"
#include "tools/shards/schema/migration_run.h"

namespace tidemark::shards {
namespace {

using namespace shardrouter;
using Json = nlohmann::ordered_json;

class MigrateCommand {
 public:
  explicit MigrateCommand(const MigrateArguments& arguments) : arguments_(arguments) {}

  int run() {
    Status done = prepare();
    if (done && arguments_.what == "status") return print_status();
    if (done) done = perform();
    return report(done);
  }

 private:
  bool is_json() const { return arguments_.format == "json"; }
  bool changes() const { return arguments_.what != "status" && !arguments_.is_dry_run; }

  Status prepare() {
    auto migrations = read_migration_directory(arguments_.directory);
    if (!migrations) return std::unexpected(migrations.error());
    migrations_ = std::move(*migrations);
    auto described = read_shards_file(arguments_.shards_file);
    if (!described) return std::unexpected(described.error());
    described_ = std::move(*described);
    for (const AdminShard& shard : described_) {
      auto opened = MigratingShard::open(shard, changes());
      if (!opened) return std::unexpected(opened.error());
      shards_.push_back(std::move(*opened));
    }
    return read_topology();
  }

  // What the tables must stay fit for; and no shard may be forgotten.
  Status read_topology() {
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto topology = store->load();
    if (!topology) return std::unexpected(topology.error());
    const Status all_given = check_all_given(*topology, described_);
    if (!all_given) return all_given;
    for (const Family& family : topology->families)
      if (!family.table.empty()) families_.push_back({family.table, family.key_columns, family.name});
    return {};
  }

  Result<std::vector<ShardSituation>> read_situations() {
    std::vector<ShardSituation> all;
    for (MigratingShard& shard : shards_) {
      auto one = shard.read_situation();
      if (!one) return std::unexpected(one.error());
      all.push_back(std::move(*one));
    }
    return all;
  }

  Status perform() {
    const auto situations = read_situations();
    if (!situations) return std::unexpected(situations.error());
    auto steps = plan_migration(migrations_, *situations, request());
    if (!steps) return std::unexpected(steps.error());
    planned_ = *steps;
    if (arguments_.is_dry_run) return {};
    MigrationRun run(migrations_, shards_, families_, listener());
    BackfillPace::Limits limits;
    limits.rows_per_batch = arguments_.rows_per_batch;
    limits.rows_per_second = arguments_.rows_per_second;
    limits.busy_share = arguments_.busy_share;
    limits.lag_bytes_max = arguments_.lag_bytes_max;
    const Status done = run.run(std::move(*steps), limits);
    return done ? copy_references() : done;
  }

  // The same statements may have left other rows elsewhere (now(), a random default): the original decides.
  Status copy_references() {
    auto opened = connect_shards(described_);
    if (!opened) return std::unexpected(opened.error());
    auto copies = copy_differences(*opened);
    if (!copies) return std::unexpected(copies.error());
    copies_ = std::move(*copies);
    return {};
  }

  MigrationRequest request() const {
    using Kind = MigrationRequest::Kind;
    const auto kind = arguments_.what == "expand"     ? Kind::kExpand
                      : arguments_.what == "backfill" ? Kind::kBackfill
                      : arguments_.what == "contract" ? Kind::kContract
                                                      : Kind::kUndo;
    return {kind, arguments_.migration, std::nullopt};
  }

  MigrationListener listener() {
    MigrationListener listener;
    listener.on_step_done = [this](const MigrationStep& step, uint64_t rows) {
      done_.push_back({step, rows});
      if (is_json()) return;
      const std::string changed = step.phase == Phase::kBackfill && step.kind == MigrationStep::Kind::kRun
                                      ? fmt::format("  {} rows changed", rows)
                                      : "";
      fmt::print("{}  done{}\n", to_string(step), changed);
      std::fflush(stdout);
    };
    listener.on_progress = [this](const MigrationStep& step, const migration::Machine::Progress& progress) {
      if (!is_time_to_speak()) return;
      fmt::print(stderr, "{}  {} of {} rows, bucket {} of {}\n", to_string(step), progress.rows_done,
                 std::max(progress.rows_done, progress.rows_remaining), progress.buckets_done + 1,
                 std::max<size_t>(1, progress.buckets_total));
    };
    listener.on_wait = [this](const MigrationStep& step, const std::string& reason) {
      if (is_time_to_speak()) fmt::print(stderr, "{}  waits {}\n", to_string(step), reason);
    };
    return listener;
  }

  bool is_time_to_speak() {
    const auto now = std::chrono::steady_clock::now();
    if (now < speak_again_) return false;
    speak_again_ = now + std::chrono::seconds(1);
    return true;
  }

  static Json json_of(const MigrationStep& step) {
    return Json{{"shard", step.shard},
                {"migration", step.id},
                {"phase", std::string(to_string(step.phase))},
                {"kind", step.kind == MigrationStep::Kind::kCheck ? "check" : "run"}};
  }

  int report(const Status& done) {
    const bool is_refused =
        !done && (done.error().code == ErrorCode::kFailedPrecondition ||
                  done.error().code == ErrorCode::kInvalidArgument || done.error().code == ErrorCode::kNotFound);
    if (is_json()) {
      Json json{{"asked", arguments_.what},
                {"dry_run", arguments_.is_dry_run},
                {"result", done         ? "done"
                           : is_refused ? "refused"
                                        : "stopped"},
                {"planned", Json::array()},
                {"done", Json::array()}};
      for (const MigrationStep& step : planned_) json["planned"].push_back(json_of(step));
      for (const auto& [step, rows] : done_) {
        json["done"].push_back(json_of(step));
        json["done"].back()["rows"] = rows;
      }
      json["references"] = Json::array();
      for (const ReferenceCopy& copy : copies_)
        json["references"].push_back({{"table", copy.table}, {"from", copy.from}, {"to", copy.to}});
      if (!done) json["error"] = done.error().message;
      fmt::print("{}\n", json.dump(2));
    } else if (done && planned_.empty()) {
      fmt::print("nothing to do\n");
    } else if (arguments_.is_dry_run) {
      for (const MigrationStep& step : planned_) fmt::print("would {}\n", to_string(step));
    }
    if (!is_json())
      for (const ReferenceCopy& copy : copies_)
        fmt::print("{} copied from shard {} to shard {}\n", copy.table, copy.from, copy.to);
    if (done) return 0;
    fmt::print(stderr, "tidemark-shards migrate: {}\n", done.error().message);
    return is_refused ? kExitRefused : 1;
  }

  static std::string state_of(const ShardSituation& shard, const Migration& migration, Phase phase) {
    if (!migration.file(phase)) return "-";
    const LedgerEntry* entry = find_entry(shard, migration.id, phase);
    return entry ? std::string(to_string(entry->state)) : "pending";
  }

  int print_status() {
    const auto situations = read_situations();
    if (!situations) return report(std::unexpected(situations.error()));
    Json json{{"migrations", Json::array()}, {"readers", Json::array()}};
    for (const Migration& migration : migrations_)
      for (const ShardSituation& shard : *situations) {
        const LedgerEntry* backfill = find_entry(shard, migration.id, Phase::kBackfill);
        json["migrations"].push_back({{"migration", migration.id},
                                      {"shard", shard.shard},
                                      {"expand", state_of(shard, migration, Phase::kExpand)},
                                      {"backfill", state_of(shard, migration, Phase::kBackfill)},
                                      {"contract", state_of(shard, migration, Phase::kContract)},
                                      {"rows", backfill ? backfill->rows : 0}});
      }
    for (const ShardSituation& shard : *situations)
      for (const Reader& reader : shard.readers)
        json["readers"].push_back({{"shard", shard.shard}, {"name", reader.name}, {"understands", reader.understands}});
    if (is_json()) {
      fmt::print("{}\n", json.dump(2));
      return 0;
    }
    fmt::print("{:<28} {:>5}  {:<8} {:<8} {:<8} {:>10}\n", "migration", "shard", "expand", "backfill", "contract",
               "rows");
    for (const Json& row : json["migrations"])
      fmt::print("{:<28} {:>5}  {:<8} {:<8} {:<8} {:>10}\n", row["migration"].get<std::string>(),
                 row["shard"].get<int>(), row["expand"].get<std::string>(), row["backfill"].get<std::string>(),
                 row["contract"].get<std::string>(), row["rows"].get<uint64_t>());
    for (const Json& row : json["readers"])
      fmt::print("reader {} on shard {} understands the schema up to {}\n", row["name"].get<std::string>(),
                 row["shard"].get<int>(), row["understands"].get<std::string>());
    return 0;
  }

  const MigrateArguments& arguments_;
  std::vector<Migration> migrations_;
  std::vector<AdminShard> described_;
  std::vector<MigratingShard> shards_;
  std::vector<SourceTable> families_;
  std::vector<MigrationStep> planned_;
  std::vector<std::pair<MigrationStep, uint64_t>> done_;
  std::vector<ReferenceCopy> copies_;
  std::chrono::steady_clock::time_point speak_again_{};
};

}  // namespace

void declare(io::Options& verb, MigrateArguments& arguments) {
  verb.positional("what", arguments.what, true, "status, expand, backfill, contract or undo");
  verb.text("shards", arguments.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.text("directory", arguments.directory, "where the migration files are");
  verb.text("migration", arguments.migration, "only this one; contract and undo need it");
  verb.flag("dry-run", arguments.is_dry_run, "show the steps, change nothing");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  verb.number("rows-per-batch", arguments.rows_per_batch, {BackfillPace::kRowsMin, BackfillPace::kRowsMax},
              "rows of a backfill's first batch; it adapts to 50 ms");
  verb.real("rows-per-second", arguments.rows_per_second, "limit of a backfill; 0: none");
  verb.real("busy-share", arguments.busy_share, "share of the time in which a backfill's batch may be running");
  verb.memory("lag-max", arguments.lag_bytes_max,
              "wait while a replica or the invalidator is further behind; 0: never");
  verb.require("shards");
  verb.require("topology");
  verb.require("directory");
}

int run_migrate(const MigrateArguments& arguments) {
  const std::vector<std::string> known{"status", "expand", "backfill", "contract", "undo"};
  if (std::ranges::find(known, arguments.what) == known.end()) {
    fmt::print(stderr, "tidemark-shards migrate: \"{}\" is none of status, expand, backfill, contract, undo\n",
               arguments.what);
    return io::kExitUsage;
  }
  return MigrateCommand(arguments).run();
}

}  // namespace tidemark::shards
