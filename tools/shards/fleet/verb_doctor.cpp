#include "tools/shards/fleet/verb_doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "shardrouter/routing/ownership.h"
#include "tools/shards/failover/shard_servers.h"
#include "tools/shards/fleet/schema_compare.h"
#include "tools/shards/reference/reference_copy.h"
#include "tools/shards/shard_setup.h"
#include "tools/shards/table_lint.h"

namespace tidemark::shards {
namespace {

using namespace shardrouter;

struct Finding {
  std::string area;
  std::string place;  // "shard 1", "topology"
  std::string what;
  std::string remedy;
  std::string cleaning;  // SQL that removes it; empty: not by us
  OpenedShard* shard = nullptr;
  bool is_cleaned = false;
};

// A move that has not ended needs what carries its name.
constexpr const char* kLeftoverNames =
    "SELECT kind, name FROM (SELECT 'slot' AS kind, slot_name::text AS name FROM pg_replication_slots WHERE slot_name "
    "LIKE "
    "'mv\\_%' AND NOT active AND NOT temporary AND database = current_database() UNION ALL SELECT 'publication', "
    "pubname::text FROM pg_publication WHERE pubname LIKE 'mv\\_%' UNION ALL SELECT 'origin', roname FROM "
    "pg_replication_origin WHERE roname LIKE 'mv\\_%') found ORDER BY kind DESC, name";

std::string literal(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "''" : std::string(1, c);
  return quoted + "'";
}

class Doctor {
 public:
  explicit Doctor(const DoctorArguments& arguments) : arguments_(arguments) {}

  Result<bool> run() {
    Status done = open();
    for (const auto step : {&Doctor::look_at_buckets, &Doctor::look_at_tables, &Doctor::look_at_references,
                            &Doctor::look_at_migrations, &Doctor::look_at_promotions, &Doctor::look_at_leftovers})
      if (done) done = (this->*step)();
    if (done && arguments_.cleans && !arguments_.is_dry_run) done = clean();
    if (!done) return std::unexpected(done.error());
    print();
    return std::ranges::all_of(findings_, &Finding::is_cleaned);
  }

 private:
  Status open() {
    const auto described = read_shards_file(arguments_.shards_file);
    if (!described) return std::unexpected(described.error());
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    auto topology = store->load();
    if (!topology) return std::unexpected(topology.error());
    topology_ = std::move(*topology);
    const Status all_given = check_all_given(topology_, *described);
    if (!all_given) return all_given;
    described_ = *described;
    auto opened = connect_shards(*described);
    if (!opened) return std::unexpected(opened.error());
    opened_ = std::move(*opened);
    return {};
  }

  static std::string name_of(const OpenedShard& shard) { return fmt::format("shard {}", shard.id()); }
  void add(std::string area, std::string place, std::string what, std::string remedy, std::string cleaning = "",
           OpenedShard* shard = nullptr) {
    findings_.push_back(
        {std::move(area), std::move(place), std::move(what), std::move(remedy), std::move(cleaning), shard});
  }

  Status look_at_buckets() {
    std::map<ShardId, std::vector<BucketRow>> rows;
    for (OpenedShard& shard : opened_) {
      auto read = read_bucket_rows(shard.session);
      if (!read) return std::unexpected(read.error());
      if (read->size() != kBucketCount)
        add("buckets", name_of(shard), fmt::format("it has {} bucket rows of {}", read->size(), kBucketCount),
            "tidemark-shards init");
      rows[shard.id()] = std::move(*read);
    }
    const auto ownership = derive_ownership(rows);
    if (!ownership) {
      add("buckets", "shards", ownership.error().message, "decide which shard owns it");
      return {};
    }
    std::set<Bucket> owned;
    for (const auto& [shard, list] : rows)
      for (const BucketRow& row : list)
        if (row.state == BucketState::kOwned) owned.insert(row.bucket);
    if (owned.size() < kBucketCount)
      add("buckets", "shards", fmt::format("{} buckets have no owner", kBucketCount - owned.size()),
          "a move is between its fence and its hand-over: it goes on, or tidemark-shards abort");
    size_t old = 0;
    for (uint32_t b = 0; b < kBucketCount; ++b) {
      const auto known = topology_.owner_of_bucket(static_cast<Bucket>(b));
      old += known != ownership->map[b];
    }
    if (old > 0)
      add("buckets", "topology", fmt::format("its copy of {} buckets is old", old),
          "tidemark-shards init writes it anew; routers heal themselves");
    return {};
  }

  Status look_at_tables() {
    std::optional<TableShapes> model;
    for (OpenedShard& shard : opened_) {
      const auto shapes = read_table_shapes(shard.session);
      if (!shapes) return std::unexpected(shapes.error());
      if (model)
        for (const std::string& line : compare_shapes(name_of(opened_.front()), *model, name_of(shard), *shapes))
          add("tables", name_of(shard), line, "tidemark-shards migrate expand");
      else
        model = *shapes;
      const Status looked = look_at_tables_of(shard);
      if (!looked) return looked;
    }
    return {};
  }

  Status look_at_tables_of(OpenedShard& shard) {
    const auto tables = protected_tables(shard.session);
    if (!tables) return std::unexpected(tables.error());
    for (const std::string& table : *tables) {
      const auto faults = lint_table(shard.session, {table, {}, ""});
      if (!faults) return std::unexpected(faults.error());
      for (const std::string& fault : *faults) add("tables", name_of(shard), fault, "as it says");
      const auto strays = shard.session.value(fmt::format(
          "SELECT count(*) FROM {} r WHERE NOT EXISTS (SELECT FROM shard.bucket b WHERE b.bucket = r.bucket AND "
          "b.state IN ('owned', 'fenced', 'importing'))",
          table));
      if (!strays) return std::unexpected(strays.error());
      const auto cleaning =
          count_of(shard, "SELECT count(*) FROM shard.move WHERE step NOT IN ('done', 'aborted', 'undone')");
      if (*strays != "0" && cleaning.value_or(0) == 0)
        add("tables", name_of(shard), fmt::format("{} holds {} rows of buckets that are elsewhere", table, *strays),
            "nobody reads them; compare with the owner, then DELETE them with session_replication_role = replica");
    }
    return {};
  }

  // Nothing: this shard has no moves yet.
  static std::optional<uint64_t> count_of(OpenedShard& shard, const std::string& sql) {
    const auto has_moves = shard.session.value("SELECT to_regclass('shard.move') IS NOT NULL");
    if (!has_moves || *has_moves != "t") return std::nullopt;
    const auto count = shard.session.value(sql);
    return count ? parse_u64(*count) : std::nullopt;
  }

  Status look_at_references() {
    const auto differences = find_differences(opened_);
    if (!differences) {
      add("references", "shards", differences.error().message, "tidemark-shards init --references");
      return {};
    }
    for (const ReferenceCopy& copy : *differences)
      add("references", fmt::format("shard {}", copy.to),
          fmt::format("{} differs from its original on shard {}", copy.table, copy.from), "tidemark-shards references");
    return {};
  }

  Status look_at_migrations() {
    std::map<std::string, std::set<ShardId>> done;
    for (OpenedShard& shard : opened_) {
      const auto set =
          shard.session.query("SELECT id || '.' || phase, state FROM shard.migration WHERE state <> 'undone'");
      if (!set) return std::unexpected(set.error());
      for (const auto& row : set->rows) {
        auto& shards = done[row[0].value_or("")];
        if (row[1] == "done") shards.insert(shard.id());
      }
    }
    for (const auto& [step, shards] : done)
      if (shards.size() < opened_.size())
        add("migrations", "shards", fmt::format("{} is done on {} of {} shards", step, shards.size(), opened_.size()),
            "tidemark-shards migrate goes on where it was");
    return {};
  }

  // A shard as it should be needs no step; one whose target is its primary lacks only the steps that come then.
  Status look_at_promotions() {
    for (const AdminShard& one : described_) {
      ShardServers servers(one, {});
      auto facts = servers.look(topology_);
      if (!facts) return std::unexpected(facts.error());
      const Shard* known = topology_.find_shard(one.shard.id);
      const ShardServer* primary = known != nullptr ? known->primary() : nullptr;
      const std::string place = fmt::format("shard {}", one.shard.id);
      const std::string run = fmt::format("tidemark-shards promote {}", one.shard.id);
      for (const auto& server : facts->servers) {
        if (server.is_reachable && !server.is_in_recovery && server.is_retired)
          add("promotions", place, fmt::format("{} is retired and takes no routed write", server.name),
              fmt::format("if nobody was promoted: {0}, or {0} --cancel; else make it a standby", run));
      }
      facts->is_topology_current = true;
      if (primary != nullptr) facts->wanted = primary->name;
      for (const auto& server : facts->servers)
        if (server.is_reachable && !server.is_in_recovery && !server.is_retired && primary != nullptr &&
            server.name != primary->name) {
          add("promotions", place, fmt::format("{} was promoted, the topology names {}", server.name, primary->name),
              fmt::format("{} --to {}", run, server.name));
          facts->wanted = server.name;
        }
      const auto step = shardrouter::next_promotion_step(*facts);
      const bool is_open_step = step && (step->kind == shardrouter::PromotionStep::Kind::kOpen ||
                                         step->kind == shardrouter::PromotionStep::Kind::kDisown ||
                                         step->kind == shardrouter::PromotionStep::Kind::kRepoint);
      if (is_open_step)
        add("promotions", place, "a promotion is half done; next: " + shardrouter::describe(*step),
            fmt::format("{} --to {}", run, facts->wanted));
    }
    return {};
  }

  Status look_at_leftovers() {
    for (OpenedShard& shard : opened_) {
      Status looked = look_at_moves(shard);
      if (looked) looked = look_at_indexes(shard);
      if (looked) looked = look_at_readers(shard);
      if (!looked) return looked;
    }
    return {};
  }

  Status look_at_moves(OpenedShard& shard) {
    std::vector<std::string> live;
    if (count_of(shard, "SELECT count(*) FROM shard.move")) {
      // The move's row on the other shard keeps the names alive too.
      for (OpenedShard& any : opened_) {
        const auto set = any.session.query(
            "SELECT 'mv_' || move_id FROM shard.move WHERE step NOT IN ('done', 'aborted', 'undone')");
        if (!set) return std::unexpected(set.error());
        for (const auto& row : set->rows) live.push_back(row[0].value_or(""));
      }
      const auto undriven = shard.session.query(
          "SELECT format('move %s (%s) is driven by nobody for %s s', move_id, step, "
          "extract(epoch FROM clock_timestamp() - heartbeat)::int), move_id FROM shard.move WHERE role = 'source' "
          "AND step NOT IN ('done', 'aborted', 'undone') AND NOT (is_held AND step = 'moved') "
          "AND heartbeat < clock_timestamp() - interval '5 s'");
      if (!undriven) return std::unexpected(undriven.error());
      for (const auto& row : undriven->rows)
        add("moves", name_of(shard), row[0].value_or(""),
            fmt::format("tidemark-shards resume --id {0}, or abort --id {0}", row[1].value_or("")));
    }
    const auto names = shard.session.query(kLeftoverNames);
    if (!names) return std::unexpected(names.error());
    for (const auto& row : names->rows) {
      const std::string kind = row[0].value_or(""), name = row[1].value_or("");
      const auto carries = [&](const std::string& move) { return name == move || name.starts_with(move + "_"); };
      if (std::ranges::any_of(live, carries)) continue;
      const std::string cleaning = kind == "slot" ? fmt::format("SELECT pg_drop_replication_slot({})", literal(name))
                                   : kind == "publication"
                                       ? "DROP PUBLICATION " + shard.session.quote(name)
                                       : fmt::format("SELECT pg_replication_origin_drop({})", literal(name));
      add("leftovers", name_of(shard), fmt::format("{} {} belongs to no live move", kind, name), "--clean", cleaning,
          &shard);
    }
    return {};
  }

  Status look_at_indexes(OpenedShard& shard) {
    const auto set = shard.session.query(
        "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE NOT i.indisvalid AND NOT EXISTS (SELECT FROM "
        "pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) ORDER BY 1");
    if (!set) return std::unexpected(set.error());
    for (const auto& row : set->rows)
      add("leftovers", name_of(shard), fmt::format("index {} is unfinished", row[0].value_or("")), "--clean",
          "DROP INDEX CONCURRENTLY " + row[0].value_or(""), &shard);
    return {};
  }

  Status look_at_readers(OpenedShard& shard) {
    const auto set = shard.session.query(
        "SELECT quote_literal(name), name FROM shard.reader WHERE expires_at < clock_timestamp() - interval '1 day' "
        "ORDER "
        "BY 2");
    if (!set) return std::unexpected(set.error());
    for (const auto& row : set->rows)
      add("leftovers", name_of(shard), fmt::format("reader {} has been gone for a day", row[1].value_or("")), "--clean",
          "DELETE FROM shard.reader WHERE expires_at < clock_timestamp() - interval '1 day' AND name = " +
              row[0].value_or("''"),
          &shard);
    return {};
  }

  Status clean() {
    for (Finding& finding : findings_) {
      if (finding.cleaning.empty()) continue;
      const Status cleaned = finding.shard->session.run(finding.cleaning);
      if (!cleaned) return std::unexpected(cleaned.error().with_context(finding.what));
      finding.is_cleaned = true;
    }
    return {};
  }

  void print() const {
    if (arguments_.format == "json") {
      nlohmann::ordered_json json{{"findings", nlohmann::ordered_json::array()}};
      for (const Finding& finding : findings_)
        json["findings"].push_back({{"area", finding.area},
                                    {"place", finding.place},
                                    {"what", finding.what},
                                    {"remedy", finding.remedy},
                                    {"cleaned", finding.is_cleaned}});
      fmt::print("{}\n", json.dump(2));
      return;
    }
    for (const Finding& finding : findings_)
      fmt::print("{:<10}  {:<8}  {}: {}\n", finding.area, finding.place, finding.what,
                 finding.is_cleaned ? "cleaned" : finding.remedy);
    if (findings_.empty()) fmt::print("{} shards looked at: nothing is wrong\n", opened_.size());
  }

  const DoctorArguments& arguments_;
  Topology topology_;
  std::vector<AdminShard> described_;
  std::vector<OpenedShard> opened_;
  std::vector<Finding> findings_;
};

}  // namespace

void declare(io::Options& verb, DoctorArguments& arguments) {
  verb.text("shards", arguments.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.flag("clean", arguments.cleans, "remove leftovers that nobody uses");
  verb.flag("dry-run", arguments.is_dry_run, "with --clean: remove nothing");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  for (const char* name : {"shards", "topology"}) verb.require(name);
}

Result<bool> run_doctor(const DoctorArguments& arguments) {
  return Doctor(arguments).run();
}

}  // namespace tidemark::shards
