#include "tools/shards/plan/verb_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "shardrouter/rebalance/split_hot.h"
#include "shardrouter/routing/ownership.h"
#include "tools/shards/move/move_registry.h"
#include "tools/shards/plan/bucket_statistics.h"
#include "tools/shards/shard_setup.h"
#include "tools/shards/verb_move.h"

namespace tidemark::shards {
namespace {

using namespace shardrouter;
using Json = nlohmann::ordered_json;

// "2=0.5" -> shard 2 gets half a share
Result<std::vector<ShardWeight>> weights_of(const PlanArguments& arguments, const std::vector<OpenedShard>& opened) {
  std::vector<ShardWeight> weights;
  for (const OpenedShard& shard : opened) weights.push_back({shard.id(), 1});
  for (const std::string& text : arguments.weights) {
    const size_t equal = text.find('=');
    const auto id = parse_u64(std::string_view(text).substr(0, equal));
    const std::string number = equal == std::string::npos ? "" : text.substr(equal + 1);
    char* end = nullptr;
    const double weight = std::strtod(number.c_str(), &end);
    const auto found = std::ranges::find(weights, id.value_or(UINT64_MAX), &ShardWeight::shard);
    if (!id || number.empty() || *end != '\0' || found == weights.end())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--weight {}: SHARD=WEIGHT, a shard of the shards file", text));
    found->weight = weight;
  }
  return weights;
}

// What the shards say, not the topology's copy of it.
Result<std::vector<BucketOwner>> read_map(std::vector<OpenedShard>& opened) {
  std::map<ShardId, std::vector<BucketRow>> rows;
  for (OpenedShard& shard : opened) {
    auto read = read_bucket_rows(shard.session);
    if (!read) return std::unexpected(read.error());
    rows[shard.id()] = std::move(*read);
  }
  auto ownership = derive_ownership(rows);
  if (!ownership) return std::unexpected(ownership.error());
  return std::move(ownership->map);
}

Json json_of(const ShardShare& one) {
  return Json{{"shard", one.shard},
              {"share_percent", one.share * 100},
              {"target_percent", one.share_target * 100},
              {"buckets", one.buckets},
              {"rows", one.rows},
              {"bytes", one.bytes},
              {"writes_per_second", one.writes_per_second}};
}

void print_json(const RebalancePlan& plan, bool has_load) {
  Json json{{"moves", Json::array()}, {"before", Json::array()}, {"after", Json::array()}, {"notes", plan.notes}};
  json["has_load"] = has_load;
  for (const PlannedMove& move : plan.moves)
    json["moves"].push_back({{"from", move.from},
                             {"to", move.to},
                             {"buckets", fmt::format("{}-{}", move.first, move.last)},
                             {"rows", move.rows},
                             {"bytes", move.bytes},
                             {"writes_per_second", move.writes_per_second},
                             {"copy_seconds", move.copy_seconds},
                             {"blocked_ms", move.blocked_ms},
                             {"reason", move.reason}});
  for (const ShardShare& one : plan.before) json["before"].push_back(json_of(one));
  for (const ShardShare& one : plan.after) json["after"].push_back(json_of(one));
  fmt::print("{}\n", json.dump(2));
}

void print_shares(const char* title, const std::vector<ShardShare>& shares) {
  fmt::print("{:<7} {:>5}  {:>7}  {:>7}  {:>7}  {:>10}  {:>10}  {:>8}\n", title, "shard", "share", "target", "buckets",
             "rows", "MB", "writes/s");
  for (const ShardShare& one : shares)
    fmt::print("{:<7} {:>5}  {:>5.1f} %  {:>5.1f} %  {:>7}  {:>10}  {:>10.1f}  {:>8.1f}\n", "", one.shard,
               one.share * 100, one.share_target * 100, one.buckets, one.rows, static_cast<double>(one.bytes) / 1e6,
               one.writes_per_second);
}

void print_table(const RebalancePlan& plan) {
  print_shares("before", plan.before);
  for (const PlannedMove& move : plan.moves) {
    fmt::print(
        "move buckets {}-{} from {} to {}: {} rows, {:.1f} MB, {:.1f} writes/s; copy {:.1f} s, blocked {:.0f} ms\n",
        move.first, move.last, move.from, move.to, move.rows, static_cast<double>(move.bytes) / 1e6,
        move.writes_per_second, move.copy_seconds, move.blocked_ms);
    fmt::print("  because {}\n", move.reason);
  }
  if (plan.moves.empty()) fmt::print("nothing to move\n");
  print_shares("after", plan.after);
  for (const std::string& note : plan.notes) fmt::print("note: {}\n", note);
}

struct MadePlan {
  RebalancePlan plan;
  bool has_load = false;
};
using Planning = std::function<Result<RebalancePlan>(
    const Statistics& statistics, const std::vector<ShardWeight>& weights, const PlannerOptions& options)>;

Result<MadePlan> make_plan(const PlanArguments& arguments, const Planning& planning) {
  const auto described = read_shards_file(arguments.shards_file);
  if (!described) return std::unexpected(described.error());
  const auto store = io::open_topology_store(arguments.topology);
  if (!store) return std::unexpected(store.error());
  const auto topology = store->load();
  if (!topology) return std::unexpected(topology.error());
  const Status all_given = check_all_given(*topology, *described);
  if (!all_given) return std::unexpected(all_given.error());
  auto opened = connect_shards(*described);
  if (!opened) return std::unexpected(opened.error());
  const auto weights = weights_of(arguments, *opened);
  if (!weights) return std::unexpected(weights.error());
  const auto map = read_map(*opened);
  if (!map) return std::unexpected(map.error());
  auto statistics = gather_statistics(
      *opened, *map, {arguments.exact_bytes, std::chrono::duration_cast<std::chrono::milliseconds>(arguments.window)});
  if (!statistics) return std::unexpected(statistics.error());
  PlannerOptions options;
  options.tolerance = arguments.tolerance_percent / 100;
  options.buckets_per_move = arguments.buckets_per_move;
  auto plan = planning(*statistics, *weights, options);
  if (!plan) return std::unexpected(plan.error());
  plan->notes.insert(plan->notes.end(), statistics->notes.begin(), statistics->notes.end());
  return MadePlan{std::move(*plan), statistics->has_load};
}

Result<MadePlan> make_plan(const PlanArguments& arguments) {
  return make_plan(arguments,
                   [](const Statistics& statistics, const std::vector<ShardWeight>& weights,
                      const PlannerOptions& options) { return plan_rebalance(statistics.buckets, weights, options); });
}

void print(const MadePlan& made, const std::string& format) {
  if (format == "json")
    print_json(made.plan, made.has_load);
  else
    print_table(made.plan);
}

// A plan beside a move that somebody else makes would be wrong by the time it is carried out.
Status refuse_beside_moves(const PlanArguments& arguments) {
  const auto ends = read_ends(arguments.shards_file, arguments.topology);
  if (!ends) return std::unexpected(ends.error());
  const auto moves = read_moves(*ends);
  if (!moves) return std::unexpected(moves.error());
  for (const MoveRow& row : *moves)
    if (!row.has_ended)
      return fail(
          ErrorCode::kFailedPrecondition,
          fmt::format("move {} of buckets {}-{} is under way: tidemark-shards resume, complete or abort it first",
                      row.move_id, row.range.lo, row.range.hi));
  return {};
}

}  // namespace

void declare(io::Options& verb, PlanArguments& arguments) {
  verb.text("shards", arguments.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", arguments.topology, "topology store, file:DIR");
  verb.texts("weight", arguments.weights, "SHARD=WEIGHT: its part of everything, 1 unless said; 0: to be emptied");
  verb.real("tolerance", arguments.tolerance_percent, "percent of its share by which a shard may be off");
  verb.number("buckets-per-move", arguments.buckets_per_move, {.min = 1, .max = kBucketCount}, "at most so many");
  verb.duration("window", arguments.window, "for how long writes are counted; 0: not at all");
  verb.memory("exact", arguments.exact_bytes, "tables larger than this are sampled");
  verb.choice("format", arguments.format, {"table", "json"}, "how to print");
  for (const char* name : {"shards", "topology"}) verb.require(name);
}

Status run_plan(const PlanArguments& arguments) {
  const auto made = make_plan(arguments);
  if (!made) return std::unexpected(made.error());
  print(*made, arguments.format);
  return {};
}

void declare(io::Options& verb, RebalanceArguments& arguments) {
  declare(verb, arguments.plan);
  verb.number("moves-max", arguments.moves_max, {.min = 1, .max = RebalancePlan::kMovesMax},
              "make at most so many moves");
  verb.memory("bytes-per-second", arguments.bytes_per_second, "copy no faster than this; 0: as fast as it goes");
  verb.flag("dry-run", arguments.is_dry_run, "show the plan, change nothing");
}

namespace {

Result<bool> make_moves(const std::vector<PlannedMove>& moves, size_t moves_max, const PlanArguments& given,
                        uint64_t bytes_per_second) {
  const size_t count = std::min<size_t>(moves.size(), moves_max);
  for (size_t i = 0; i < count; ++i) {
    const PlannedMove& move = moves[i];
    fmt::print(stderr, "move {} of {}: buckets {}-{} from shard {} to {}, because {}\n", i + 1, count, move.first,
               move.last, move.from, move.to, move.reason);
    const auto done = run_one_move({.shards_file = given.shards_file,
                                    .topology = given.topology,
                                    .first = move.first,
                                    .last = move.last,
                                    .to = move.to,
                                    .bytes_per_second = bytes_per_second,
                                    .format = given.format});
    if (!done || !*done) return done;
    std::fflush(stdout);
  }
  fmt::print(stderr, "{} of {} moves of the plan are made\n", count, moves.size());
  return true;
}

Result<std::optional<ShardId>> shard_of(const char* option, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto id = parse_u64(text);
  if (!id || *id > UINT16_MAX)
    return fail(ErrorCode::kInvalidArgument, fmt::format("--{} {}: the id of a shard", option, text));
  return static_cast<ShardId>(*id);
}

}  // namespace

Result<bool> run_rebalance(const RebalanceArguments& arguments) {
  const PlanArguments& given = arguments.plan;
  if (const Status alone = refuse_beside_moves(given); !alone) return std::unexpected(alone.error());
  const auto made = make_plan(given);
  if (!made) return std::unexpected(made.error());
  if (arguments.is_dry_run) {
    print(*made, given.format);
    return true;
  }
  return make_moves(made->plan.moves, arguments.moves_max, given, arguments.bytes_per_second);
}

void declare(io::Options& verb, SplitHotArguments& arguments) {
  PlanArguments& plan = arguments.plan;
  verb.text("shards", plan.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", plan.topology, "topology store, file:DIR");
  verb.duration("window", plan.window, "for how long writes are counted");
  verb.number("buckets-max", arguments.buckets_max, {.min = 1, .max = kBucketCount}, "move at most so many");
  verb.text("from", arguments.from, "shard to take them from (default: the one that is written to most)");
  verb.text("to", arguments.to, "shard to move them to (default: the one that is written to least)");
  verb.memory("bytes-per-second", arguments.bytes_per_second, "copy no faster than this; 0: as fast as it goes");
  verb.flag("dry-run", arguments.is_dry_run, "show the plan, change nothing");
  verb.choice("format", plan.format, {"table", "json"}, "how to print");
  for (const char* name : {"shards", "topology"}) verb.require(name);
}

Result<bool> run_split_hot(const SplitHotArguments& arguments) {
  const PlanArguments& given = arguments.plan;
  SplitHotOptions options;
  options.buckets_max = arguments.buckets_max;
  const auto from = shard_of("from", arguments.from);
  if (!from) return std::unexpected(from.error());
  const auto to = shard_of("to", arguments.to);
  if (!to) return std::unexpected(to.error());
  options.from = *from;
  options.to = *to;
  if (given.window <= Duration{0})
    return fail(ErrorCode::kInvalidArgument, "--window 0: without counting writes nothing is known to be hot");
  if (const Status alone = refuse_beside_moves(given); !alone) return std::unexpected(alone.error());
  const auto made =
      make_plan(given,
                [&](const Statistics& statistics, const std::vector<ShardWeight>& weights,
                    const PlannerOptions& costs) -> Result<RebalancePlan> {
                  if (!statistics.has_load)
                    return fail(ErrorCode::kUnavailable,
                                "the writes could not be counted" +
                                    (statistics.notes.empty() ? std::string() : ": " + statistics.notes.front()));
                  options.costs = costs;
                  return plan_split_hot(statistics.buckets, weights, options);
                });
  if (!made) return std::unexpected(made.error());
  if (arguments.is_dry_run || made->plan.moves.empty()) {
    print(*made, given.format);
    return true;
  }
  return make_moves(made->plan.moves, made->plan.moves.size(), given, arguments.bytes_per_second);
}

}  // namespace tidemark::shards
