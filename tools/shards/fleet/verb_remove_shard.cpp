#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/io/topology_store_file.h"
#include "shardrouter/routing/ownership.h"
#include "tools/shards/fleet/verb_fleet.h"
#include "tools/shards/opened_shard.h"
#include "tools/shards/reference/reference_copy.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {
namespace {

using shardrouter::BucketRow;
using shardrouter::BucketState;

constexpr std::chrono::seconds kSlotWait{10};

class Removing {
 public:
  explicit Removing(const RemoveShardArguments& arguments) : arguments_(arguments) {}

  Status run() {
    Status done = open();
    if (done) done = refuse_if_needed();
    if (!done) return done;
    if (arguments_.is_dry_run) {
      say(fmt::format("would remove shard {}: it owns nothing and holds no rows", id()));
      return report();
    }
    done = copy_references_first();
    if (done) done = correct_forwards();
    if (done) done = publish();
    if (done) done = drop_slot();
    if (!done) return done;
    return report();
  }

 private:
  ShardId id() const { return static_cast<ShardId>(arguments_.id); }
  OpenedShard& leaving() { return *std::ranges::find(opened_, id(), &OpenedShard::id); }
  void say(std::string line) { steps_.push_back(std::move(line)); }

  Status open() {
    const auto described = read_shards_file(arguments_.shards_file);
    if (!described) return std::unexpected(described.error());
    if (std::ranges::none_of(*described, [&](const AdminShard& one) { return one.shard.id == id(); }))
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("the shards file names no shard {}: take it out of the file afterwards, not before", id()));
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto topology = store->load();
    if (!topology) return std::unexpected(topology.error());
    const Status all_given = check_all_given(*topology, *described);
    if (!all_given) return all_given;
    auto opened = connect_shards(*described);
    if (!opened) return std::unexpected(opened.error());
    opened_ = std::move(*opened);
    if (opened_.size() < 2) return fail(ErrorCode::kFailedPrecondition, "the last shard cannot be removed");
    return {};
  }

  Status refuse_if_needed() {
    std::string reasons;
    for (OpenedShard& one : opened_) {
      auto rows = read_bucket_rows(one.session);
      if (!rows) return std::unexpected(rows.error());
      std::map<BucketState, size_t> counts;
      for (const BucketRow& row : *rows) ++counts[row.state];
      if (one.id() == id())
        for (const BucketState state : {BucketState::kOwned, BucketState::kFenced, BucketState::kImporting})
          if (counts[state] > 0)
            reasons += fmt::format("\n  {} of its buckets are {}: move them away (tidemark-shards plan --weight {}=0)",
                                   counts[state], to_string(state), id());
      rows_[one.id()] = std::move(*rows);
    }
    const auto moves = leaving().session.value("SELECT to_regclass('shard.move') IS NOT NULL");
    if (!moves) return std::unexpected(moves.error());
    if (*moves == "t") {
      const auto live = leaving().session.value(
          "SELECT string_agg(move_id, ', ') FROM shard.move WHERE step NOT IN ('done', 'aborted', 'undone')");
      if (!live) return std::unexpected(live.error());
      if (!live->empty()) reasons += fmt::format("\n  it takes part in moves that have not ended: {}", *live);
    }
    const auto tables = protected_tables(leaving().session);
    if (!tables) return std::unexpected(tables.error());
    for (const std::string& table : *tables) {
      const auto has_rows = leaving().session.value(fmt::format("SELECT EXISTS (SELECT FROM {})", table));
      if (!has_rows) return std::unexpected(has_rows.error());
      if (*has_rows == "t")
        reasons += fmt::format("\n  table {} still holds rows there: a move's clean-up is not done (doctor)", table);
    }
    if (reasons.empty()) return {};
    return fail(ErrorCode::kFailedPrecondition, fmt::format("shard {} is still needed:{}", id(), reasons));
  }

  // What it holds the original of goes to the lowest shard that stays; the copies are equal first.
  Status copy_references_first() {
    const auto copies = copy_differences(opened_);
    if (!copies) return std::unexpected(copies.error());
    ShardId heir = UINT16_MAX;
    for (const OpenedShard& one : opened_)
      if (one.id() != id()) heir = std::min(heir, one.id());
    for (OpenedShard& one : opened_) {
      const auto changed =
          one.session.query("UPDATE shard.reference_table SET original = $2::int WHERE original = $1::int",
                            {std::to_string(id()), std::to_string(heir)});
      if (!changed) return std::unexpected(changed.error());
      if (changed->rows_affected > 0 && one.id() == heir)
        say(fmt::format("shard {} holds the originals of {} reference tables now", heir, changed->rows_affected));
    }
    return {};
  }

  // Routers with an old map are sent on from shard to shard: not to one that is gone.
  Status correct_forwards() {
    std::map<ShardId, std::vector<BucketRow>> staying = rows_;
    staying.erase(id());
    auto ownership = shardrouter::derive_ownership(staying);
    if (!ownership) return std::unexpected(ownership.error());
    map_ = std::move(ownership->map);
    for (const BucketOwner& owner : map_)
      if (owner.shard == id())
        return fail(ErrorCode::kFailedPrecondition, "a bucket's only trace leads to it: run init");
    for (OpenedShard& one : opened_) {
      if (one.id() == id()) continue;
      std::string buckets = "{", owners = "{";
      size_t count = 0;
      for (const BucketRow& row : rows_[one.id()]) {
        if (row.forward != id() || row.state == BucketState::kOwned) continue;
        buckets += fmt::format("{}{}", count ? "," : "", row.bucket);
        owners += fmt::format("{}{}", count ? "," : "", map_[row.bucket].shard);
        ++count;
      }
      if (count == 0) continue;
      const Status corrected = one.session.run(
          "UPDATE shard.bucket b SET forward = n.owner FROM unnest($1::int[], $2::text[]) AS n (bucket, owner) WHERE "
          "b.bucket = n.bucket AND b.state <> 'owned' AND b.forward = $3",
          {buckets + "}", owners + "}", std::to_string(id())});
      if (!corrected) return corrected;
      say(fmt::format("shard {}: {} forward addresses corrected", one.id(), count));
    }
    return {};
  }

  Status publish() {
    const auto store = io::open_topology_store(arguments_.topology);
    if (!store) return std::unexpected(store.error());
    const auto written = store->update([&](Topology& topology) -> Status {
      std::erase_if(topology.shards, [&](const Shard& one) { return one.id == id(); });
      topology.buckets = map_;
      return {};
    });
    if (!written) return std::unexpected(written.error());
    say(fmt::format("out of the topology, version {}", written->version));
    return {};
  }

  // A slot that nobody reads keeps its server's WAL for ever. The invalidator leaves it when it sees the new topology.
  Status drop_slot() {
    const auto give_up = std::chrono::steady_clock::now() + kSlotWait;
    while (true) {
      const auto slot = leaving().session.query("SELECT active FROM pg_replication_slots WHERE slot_name = 'tidemark'");
      if (!slot) return std::unexpected(slot.error());
      if (slot->rows.empty()) return {};
      if (slot->rows[0][0] != "t") break;
      if (std::chrono::steady_clock::now() > give_up) {
        say("its slot is still read by an invalidator: end that, then drop the slot \"tidemark\" there");
        return {};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    const Status dropped = leaving().session.run("SELECT pg_drop_replication_slot('tidemark')");
    if (dropped) say("its slot is dropped");
    return dropped;
  }

  Status report() {
    if (arguments_.format == "json") {
      nlohmann::ordered_json json{{"shard", id()}, {"dry_run", arguments_.is_dry_run}, {"steps", steps_}};
      fmt::print("{}\n", json.dump(2));
      return {};
    }
    for (const std::string& step : steps_) fmt::print("{}\n", step);
    if (!arguments_.is_dry_run) fmt::print("shard {} is removed: take it out of the shards file\n", id());
    return {};
  }

  const RemoveShardArguments& arguments_;
  std::vector<OpenedShard> opened_;
  std::map<ShardId, std::vector<BucketRow>> rows_;
  std::vector<BucketOwner> map_;
  std::vector<std::string> steps_;
};

}  // namespace

void declare(io::Options& verb, RemoveShardArguments& arguments) {
  verb.number("id", arguments.id, {.max = UINT16_MAX}, "the shard that leaves");
  verb.text("shards", arguments.shards_file, "JSON file with all shards, this one too");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.flag("dry-run", arguments.is_dry_run, "only say whether it could be removed");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  for (const char* name : {"id", "shards", "topology"}) verb.require(name);
}

Status run_remove_shard(const RemoveShardArguments& arguments) {
  return Removing(arguments).run();
}

}  // namespace tidemark::shards
