#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/io/topology_store_file.h"
#include "tools/shards/fleet/schema_compare.h"
#include "tools/shards/fleet/verb_fleet.h"
#include "tools/shards/opened_shard.h"
#include "tools/shards/reference/reference_copy.h"
#include "tools/shards/schema/migration_run.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {
namespace {

using namespace shardrouter;

class Adding {
 public:
  explicit Adding(const AddShardArguments& arguments) : arguments_(arguments) {}

  Status run() {
    Status done = read_what_is_given();
    if (done && arguments_.is_dry_run) return report();
    if (done) done = connect();
    if (done) done = make_objects();
    if (done) done = make_roles();
    if (done) done = run_migrations();
    if (done) done = adopt_tables();
    if (done) done = copy_references();
    if (done) done = compare();
    if (done) done = settle_and_publish();
    if (!done) return done;
    return report();
  }

 private:
  ShardId id() const { return static_cast<ShardId>(arguments_.id); }
  OpenedShard& added() { return *std::ranges::find(opened_, id(), &OpenedShard::id); }
  OpenedShard& model() {
    return *std::ranges::find_if(opened_, [&](const OpenedShard& one) { return one.id() != id(); });
  }
  void say(std::string line) { steps_.push_back(std::move(line)); }

  Status read_what_is_given() {
    auto described = read_shards_file(arguments_.shards_file);
    if (!described) return std::unexpected(described.error());
    described_ = std::move(*described);
    const auto is_it = [&](const AdminShard& one) { return one.shard.id == id(); };
    if (std::ranges::none_of(described_, is_it))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("the shards file names no shard {}: add it there first, with its servers", id()));
    if (described_.size() < 2)
      return fail(ErrorCode::kInvalidArgument, "a first shard is made by tidemark-shards init");
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto topology = store->load();
    if (!topology) return std::unexpected(topology.error());
    is_known_ = topology->find_shard(id()) != nullptr;
    for (const AdminShard& one : described_)
      if (one.shard.id != id() && !topology->find_shard(one.shard.id))
        return fail(
            ErrorCode::kFailedPrecondition,
            fmt::format("shard {} is in the shards file, but not in the topology: add one shard after the other",
                        one.shard.id));
    for (const std::string& path : arguments_.schema_files) {
      auto text = read_text_file(path);
      if (!text) return std::unexpected(text.error());
      schema_.files.emplace_back(path, std::move(*text));
    }
    return check_all_given(*topology, described_);
  }

  // The others only connected to: a mistake in the file must not turn a stranger's database into a shard.
  Status connect() {
    std::vector<AdminShard> others, ours;
    for (const AdminShard& one : described_) (one.shard.id == id() ? ours : others).push_back(one);
    auto known = connect_shards(others);
    if (!known) return std::unexpected(known.error());
    auto fresh = open_shards(ours);
    if (!fresh) return std::unexpected(fresh.error());
    opened_ = std::move(*known);
    opened_.push_back(std::move(fresh->front()));
    return {};
  }

  Status make_objects() {
    const Status made = create_objects(added().session, id(), schema_);
    if (made) say(fmt::format("schema: {} files of the application", schema_.files.size()));
    return made;
  }

  Status make_roles() {
    auto passwords = Passwords::open({arguments_.passfile, arguments_.passwords_dir}, role_names());
    if (!passwords) return std::unexpected(passwords.error());
    for (const std::string& role : role_names())
      if (!passwords->is_known(role))
        return fail(
            ErrorCode::kFailedPrecondition,
            fmt::format("the given file holds no password of {}: the new shard needs those of the others", role));
    Status done = set_passwords(added().session, *passwords);
    if (!done) return done;
    const auto epoch = open_for_writes(added().session);
    if (!epoch) return std::unexpected(epoch.error());
    added().db_epoch = *epoch;
    say(fmt::format("roles, publication and slot; db_epoch {}", *epoch));
    return {};
  }

  Status run_migrations() {
    std::vector<MigratingShard> shards;
    std::vector<ShardSituation> situations;
    for (const AdminShard& one : described_) {
      auto shard = MigratingShard::open(one);
      if (!shard) return std::unexpected(shard.error());
      auto situation = shard->read_situation();
      if (!situation) return std::unexpected(situation.error());
      shards.push_back(std::move(*shard));
      situations.push_back(std::move(*situation));
    }
    const bool any = std::ranges::any_of(situations, [](const ShardSituation& one) {
      return std::ranges::any_of(one.ledger,
                                 [](const LedgerEntry& entry) { return entry.state != LedgerEntry::State::kUndone; });
    });
    if (!any) return {};
    if (arguments_.directory.empty())
      return fail(ErrorCode::kInvalidArgument, "the other shards have run migrations: give their --directory");
    const auto migrations = read_migration_directory(arguments_.directory);
    if (!migrations) return std::unexpected(migrations.error());
    const auto mine = std::ranges::find(situations, id(), &ShardSituation::shard);
    if (mine->buckets_owned > 0) return {};  // it was added before; its schema is migrate's business now
    auto steps = plan_migration(*migrations, situations, {MigrationRequest::Kind::kCatchUp, "", id()});
    if (!steps) return std::unexpected(steps.error());
    const size_t count = steps->size();
    MigrationListener listener{[](const MigrationStep&, uint64_t) {},
                               [](const MigrationStep&, const migration::Machine::Progress&) {},
                               [](const MigrationStep&, const std::string&) {}};
    const Status done = MigrationRun(*migrations, shards, {}, listener).run(std::move(*steps), {});
    if (done) say(fmt::format("migrations: {} steps that the others have run", count));
    return done;
  }

  Status adopt_tables() {
    const auto tables = protected_tables(model().session);
    if (!tables) return std::unexpected(tables.error());
    for (const std::string& table : *tables) {
      Status done = added().session.run("BEGIN");
      if (done) done = adopt_table(added().session, table);
      if (done) done = added().session.run("COMMIT");
      if (!done) return done;
    }
    say(fmt::format("{} tables protected and published", tables->size()));
    return {};
  }

  Status copy_references() {
    const auto copies = settle_references(opened_, {});
    if (!copies) return std::unexpected(copies.error());
    for (const ReferenceCopy& copy : *copies)
      say(fmt::format("reference table {} copied from shard {}: {} rows", copy.table, copy.from, copy.rows_written));
    return {};
  }

  Status compare() {
    const auto there = read_table_shapes(model().session);
    if (!there) return std::unexpected(there.error());
    const auto here = read_table_shapes(added().session);
    if (!here) return std::unexpected(here.error());
    const auto lines =
        compare_shapes(fmt::format("shard {}", model().id()), *there, fmt::format("shard {}", id()), *here);
    std::string all;
    for (const std::string& line : lines) all += "\n  " + line;
    if (!all.empty()) return fail(ErrorCode::kFailedPrecondition, "its tables differ from the others':" + all);
    say(fmt::format("{} tables compared with shard {}: equal", there->size(), model().id()));
    return {};
  }

  Status settle_and_publish() {
    const auto map = settle_buckets(opened_);
    if (!map) return std::unexpected(map.error());
    for (const BucketOwner& owner : *map) buckets_ += owner.shard == id();
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto written = store->update([&](Topology& topology) -> Status {
      std::erase_if(topology.shards, [&](const Shard& one) { return one.id == id(); });
      topology.shards.push_back(added().description.shard);
      std::ranges::sort(topology.shards, {}, &Shard::id);
      return {};
    });
    if (!written) return std::unexpected(written.error());
    say(fmt::format("in the topology, version {}", written->version));
    return {};
  }

  Status report() {
    if (arguments_.is_dry_run)
      say(fmt::format("would {} shard {}: schema, roles, publication, slot, migrations, reference tables, topology",
                      is_known_ ? "make good" : "add", id()));
    if (arguments_.format == "json") {
      nlohmann::ordered_json json{
          {"shard", id()}, {"dry_run", arguments_.is_dry_run}, {"buckets", buckets_}, {"steps", steps_}};
      fmt::print("{}\n", json.dump(2));
      return {};
    }
    for (const std::string& step : steps_) fmt::print("{}\n", step);
    if (!arguments_.is_dry_run)
      fmt::print("shard {} owns {} buckets; tidemark-shards plan shows what to move to it\n", id(), buckets_);
    return {};
  }

  const AddShardArguments& arguments_;
  std::vector<AdminShard> described_;
  ApplicationSchema schema_;
  std::vector<OpenedShard> opened_;
  std::vector<std::string> steps_;
  bool is_known_ = false;
  size_t buckets_ = 0;
};

}  // namespace

void declare(io::Options& verb, AddShardArguments& arguments) {
  verb.number("id", arguments.id, {.max = UINT16_MAX}, "the new shard's id, as in the shards file");
  verb.text("shards", arguments.shards_file, "JSON file with all shards, the new one too");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.texts("schema", arguments.schema_files, "the application's SQL files, as for init");
  verb.text("directory", arguments.directory, "the migration files, if the other shards have run any");
  verb.text("passfile", arguments.passfile, "the roles' passwords, as for init");
  verb.text("passwords-dir", arguments.passwords_dir, "the roles' passwords, as for init");
  verb.flag("dry-run", arguments.is_dry_run, "change nothing");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  for (const char* name : {"id", "shards", "topology"}) verb.require(name);
}

Status run_add_shard(const AddShardArguments& arguments) {
  return Adding(arguments).run();
}

}  // namespace tidemark::shards
