#include "tools/shards/verb_move.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/parse.h"
#include "tools/shards/move/guardian.h"
#include "tools/shards/move/move_registry.h"
#include "tools/shards/move/preflight_facts.h"

namespace tidemark::shards {
namespace {

using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr int kExitAborted = 3;
constexpr auto kWatchInterval = 1s;
constexpr auto kDrivenPoll = 100ms;

struct MoveArguments {
  std::string shards_file;
  std::string topology;
  std::string buckets;  // "A-B"
  uint32_t to = 0;
  std::string move_id;  // empty: made up, or the only one
  bool hold = false, prepare = false, dry_run = false, no_guardian = false, once = false, accept_difference = false;
  uint64_t bytes_per_second = 0;
  uint64_t wal_max = MoveOptions{}.wal_max_bytes;
  uint64_t standby_lag_max = 64u << 20;
  Duration commit_p99_max{0};
  std::string format = "table";
};

Result<BucketRange> parse_range(const std::string& text) {
  const auto pieces = split(text, '-');
  const auto lo = parse_u64(pieces.front());
  const auto hi = parse_u64(pieces.back());
  if (pieces.size() > 2 || !lo || !hi || *lo > *hi || *hi >= kBucketCount)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("--buckets {}: give A-B or A, 0 to {}, A not above B", text, kBucketCount - 1));
  return BucketRange{static_cast<int>(*lo), static_cast<int>(*hi)};
}

std::string new_move_id(BucketRange range) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format("b{}_{}_{}", range.lo, range.hi,
                     std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

Status check_move_id(const std::string& id) {
  const bool is_good = !id.empty() && id.size() <= 38 && !id.ends_with("_r") && !id.ends_with("_c") &&
                       id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  if (is_good) return {};
  return fail(ErrorCode::kInvalidArgument, "--id " + id + ": give up to 38 of a-z, 0-9 and _, not ending in _r or _c");
}

Json json_of(const MoveOptions& options, const MoveReport& report) {
  return Json{{"move", options.move_id},
              {"buckets", fmt::format("{}-{}", options.range.lo, options.range.hi)},
              {"from", options.source.id},
              {"to", options.target.id},
              {"outcome", report.outcome},
              {"reason", report.reason},
              {"rows_copied", report.rows_copied},
              {"bytes_copied", report.bytes_copied},
              {"copy_ms", report.copy_ms},
              {"rows_applied", report.rows_applied},
              {"rows_verified", report.rows_verified},
              {"verify_ms", report.verify_ms},
              {"rows_cleaned", report.rows_cleaned},
              {"blocked_ms", report.blocked_ms},
              {"taken_back_ms", report.failed_blocked_ms},
              {"fence_timeouts", report.fence_timeouts},
              {"rehearsals", report.rehearsals},
              {"rehearsal_ms", report.rehearsal_ms},
              {"total_ms", report.total_ms}};
}

void print_report(const MoveOptions& options, const MoveReport& report, const std::string& format) {
  if (format == "json") {
    fmt::print("{}\n", json_of(options, report).dump(2));
    return;
  }
  fmt::print("move {}: {}{}{}; {} rows, writers without owner {:.1f} ms, {:.0f} ms in all\n", options.move_id,
             report.outcome, report.reason.empty() ? "" : ": ", report.reason, report.rows_copied, report.blocked_ms,
             report.total_ms);
}

// Drives it here, with a guardian beside it. False: it was aborted.
Result<bool> drive(MoveOptions options, const MoveArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  const std::string id = options.move_id;
  options.wal_max_bytes = arguments.wal_max;
  options.throttle = {arguments.bytes_per_second, arguments.standby_lag_max, arguments.commit_p99_max};
  options.log = [start, id](const std::string& line) {
    const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
    fmt::print(stderr, "[{:9.1f} ms] {}: {}\n", passed.count(), id, line);
  };
  std::optional<Guardian> guardian;
  if (!arguments.no_guardian) {
    auto started = Guardian::start(options);
    if (!started) return std::unexpected(started.error());
    guardian.emplace(std::move(*started));
  }
  const auto report = Mover(options).run();
  if (guardian) guardian->dismiss();
  if (!report) return std::unexpected(report.error().with_context("move " + id));
  print_report(options, *report, arguments.format);
  return report->outcome != "aborted";
}

Status set_source_row(const MoveOptions& options, const std::string& assignment) {
  auto link = PgLink::connect(fmt::format("shard {}", options.source.id), options.source.admin);
  if (!link) return std::unexpected(link.error());
  return link->run("UPDATE shard.move SET " + assignment + " WHERE move_id = $1 AND role = 'source'",
                   {options.move_id});
}

// Copies and compares, hands nothing over; the move stays paused.
Result<bool> prepare(MoveOptions options, const MoveArguments& arguments) {
  options.stops_before_fence = true;
  const auto done = drive(options, arguments);
  if (!done) return std::unexpected(done.error());
  const Status paused = *done ? set_source_row(options, "wish = 'pause'") : Status();
  if (!paused) return std::unexpected(paused.error());
  return done;
}

struct World {
  std::vector<ShardEnd> ends;
  std::vector<MoveRow> moves;
};
Result<World> look(const MoveArguments& arguments) {
  auto ends = read_ends(arguments.shards_file, arguments.topology);
  if (!ends) return std::unexpected(ends.error());
  auto moves = read_moves(*ends);
  if (!moves) return std::unexpected(moves.error());
  return World{std::move(*ends), std::move(*moves)};
}

Result<bool> print_preflight(const MoveOptions& options, const PreflightReport& report, const std::string& format) {
  const auto& facts = report.facts;
  if (format == "json") {
    Json json{{"buckets", fmt::format("{}-{}", options.range.lo, options.range.hi)},
              {"from", options.source.id},
              {"to", options.target.id},
              {"rows", facts.rows},
              {"bytes", facts.bytes},
              {"target_free_bytes", facts.target.free_bytes >= 0 ? Json(facts.target.free_bytes) : Json(nullptr)},
              {"predicted_blocked_ms", report.prediction_ms},
              {"refusals", report.refusals},
              {"tables", Json::array()}};
    for (const auto& table : facts.tables) json["tables"].push_back(table.name);
    fmt::print("{}\n", json.dump(2));
    return report.refusals.empty();
  }
  fmt::print("buckets {}-{}: shard {} -> {}, {} rows, {} bytes in {} tables\n", options.range.lo, options.range.hi,
             options.source.id, options.target.id, facts.rows, facts.bytes, facts.tables.size());
  for (const auto& table : facts.tables) fmt::print("  {}\n", table.name);
  if (report.refusals.empty())
    fmt::print("writers of these buckets would wait about {:.1f} ms; nothing was changed\n", report.prediction_ms);
  for (const std::string& refusal : report.refusals) fmt::print("refused: {}\n", refusal);
  return report.refusals.empty();
}

// The same range to the same shard, not ended: its (source) row.
const MoveRow* find_same(const World& world, const MoveArguments& arguments, BucketRange range) {
  for (const MoveRow& row : world.moves) {
    const bool is_same = row.role == "source" && !row.has_ended && row.range.lo == range.lo &&
                         row.range.hi == range.hi && row.peer == arguments.to && row.undoes.empty();
    if (is_same && (arguments.move_id.empty() || arguments.move_id == row.move_id)) return &row;
  }
  return nullptr;
}

Result<bool> run_move(const MoveArguments& arguments) {
  const auto range = parse_range(arguments.buckets);
  if (!range) return std::unexpected(range.error());
  if (!arguments.move_id.empty())
    if (const Status good = check_move_id(arguments.move_id); !good) return std::unexpected(good.error());
  const auto world = look(arguments);
  if (!world) return std::unexpected(world.error());
  const ShardEnd* target = find_end(world->ends, static_cast<ShardId>(arguments.to));
  if (!target)
    return fail(ErrorCode::kInvalidArgument, fmt::format("--to {}: the topology has no such shard", arguments.to));
  if (const MoveRow* same = find_same(*world, arguments, *range); same && !arguments.dry_run) {
    auto options = options_of(*same, world->ends, arguments.topology);
    if (!options) return std::unexpected(options.error());
    return arguments.prepare ? prepare(std::move(*options), arguments) : drive(std::move(*options), arguments);
  }
  const auto owner = owner_of_range(world->ends, *range);
  if (!owner) return std::unexpected(owner.error());
  if (*owner == target->id)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("buckets {} are on shard {} already", arguments.buckets, arguments.to));
  MoveOptions options;
  options.move_id = arguments.move_id.empty() ? new_move_id(*range) : arguments.move_id;
  options.range = *range;
  options.topology = arguments.topology;
  options.is_held = arguments.hold;
  options.source = *find_end(world->ends, *owner);
  options.target = *target;
  const auto report = preflight(options);
  if (!report) return std::unexpected(report.error());
  if (arguments.dry_run) return print_preflight(options, *report, arguments.format);
  if (!report->refusals.empty()) {
    std::string all;
    for (const std::string& refusal : report->refusals) all += "\n  " + refusal;
    return fail(ErrorCode::kFailedPrecondition, "nothing was changed; against this move stands:" + all);
  }
  return arguments.prepare ? prepare(std::move(options), arguments) : drive(std::move(options), arguments);
}

Json json_of(const std::vector<MoveRow>& moves) {
  std::map<std::string, Json> by_id;
  for (const MoveRow& row : moves) {
    Json& json = by_id[row.move_id];
    json["move"] = row.move_id;
    json["buckets"] = fmt::format("{}-{}", row.range.lo, row.range.hi);
    json[row.role] = row.shard;
    json[row.role + "_step"] = row.step;
    if (row.role != "source") continue;
    json["wish"] = row.wish;
    json["is_held"] = row.is_held;
    json["attempt"] = row.attempt;
    json["rows_copied"] = row.rows_copied;
    json["rows_total"] = row.rows_total ? Json(*row.rows_total) : Json(nullptr);
    json["bytes_copied"] = row.bytes_copied;
    json["lag_bytes"] = row.lag_bytes ? Json(*row.lag_bytes) : Json(nullptr);
    json["silent_ms"] = row.silent_ms;
    const bool is_copying = row.rows_total && row.rows_copied > 0 && row.rows_copied < *row.rows_total;
    json["eta_s"] = is_copying ? Json(row.age_s * static_cast<double>(*row.rows_total - row.rows_copied) /
                                      static_cast<double>(row.rows_copied))
                               : Json(nullptr);
    json["note"] = row.note;
  }
  Json list = Json::array();
  for (auto& [id, json] : by_id) list.push_back(std::move(json));
  return list;
}

bool is_live(const std::vector<MoveRow>& moves, const std::string& id) {
  for (const MoveRow& row : moves)
    if (row.move_id == id && !row.has_ended) return true;
  return false;
}

// Prints the moves under way until there are none.
Result<bool> run_watch(const MoveArguments& arguments) {
  while (true) {
    const auto world = look(arguments);
    if (!world) return std::unexpected(world.error());
    std::vector<MoveRow> live;
    for (const MoveRow& row : world->moves)
      if (is_live(world->moves, row.move_id) && (arguments.move_id.empty() || arguments.move_id == row.move_id))
        live.push_back(row);
    Json json = json_of(live);
    if (arguments.format == "json") {
      fmt::print("{}\n", json.dump());
    } else {
      for (Json& one : json)
        fmt::print("{} buckets {} shard {} ({}) -> {} ({}): {}/{} rows{}{}{}{}{}\n", one["move"].get<std::string>(),
                   one["buckets"].get<std::string>(), one.value("source", -1), one.value("source_step", "-"),
                   one.value("target", -1), one.value("target_step", "-"), one.value("rows_copied", int64_t{0}),
                   one["rows_total"].is_null() ? "?" : one["rows_total"].dump(),
                   one["lag_bytes"].is_null() ? "" : fmt::format(", lag {} B", one["lag_bytes"].dump()),
                   one["eta_s"].is_null() ? "" : fmt::format(", ETA {:.0f} s", one["eta_s"].get<double>()),
                   one.value("attempt", 1) > 1 ? fmt::format(", attempt {}", one.value("attempt", 1)) : "",
                   one.value("silent_ms", 0.0) > 5000 ? ", nobody drives it" : "",
                   one.value("note", "").empty() ? "" : ": " + one.value("note", ""));
      if (json.empty()) fmt::print("no move is under way\n");
    }
    std::fflush(stdout);
    if (arguments.once || live.empty()) return true;
    std::this_thread::sleep_for(kWatchInterval);
  }
}

struct Found {
  World world;
  MoveRow row;
  MoveOptions options;
};
Result<Found> find(const MoveArguments& arguments) {
  auto world = look(arguments);
  if (!world) return std::unexpected(world.error());
  auto row = find_live_move(world->moves, arguments.move_id);
  if (!row) return std::unexpected(row.error());
  auto options = options_of(*row, world->ends, arguments.topology);
  if (!options) return std::unexpected(options.error());
  return Found{std::move(*world), std::move(*row), std::move(*options)};
}

// Drives it here, unless somebody does: then waits for how it ends.
Result<bool> drive_or_wait(const Found& found, const MoveArguments& arguments) {
  while (true) {
    auto done = drive(found.options, arguments);
    if (done || done.error().message.find("another process") == std::string::npos) return done;
    std::this_thread::sleep_for(kDrivenPoll);
    const auto moves = read_moves(found.world.ends);
    if (!moves) return std::unexpected(moves.error());
    if (is_live(*moves, found.row.move_id)) continue;
    for (const MoveRow& row : *moves)
      if (row.move_id == found.row.move_id && row.role == "source") return row.step != "aborted";
    return true;
  }
}

Result<bool> run_pause(const MoveArguments& arguments) {
  const auto found = find(arguments);
  if (!found) return std::unexpected(found.error());
  if (found->row.step != "reserved" && found->row.step != "fenced")
    return fail(ErrorCode::kFailedPrecondition, "move " + found->row.move_id + " is handed over already");
  const Status done = set_source_row(found->options, "wish = 'pause'");
  if (!done) return std::unexpected(done.error());
  fmt::print("move {} is paused: it keeps up with the source and hands nothing over\n", found->row.move_id);
  return true;
}

Result<bool> run_resume(const MoveArguments& arguments) {
  const auto found = find(arguments);
  if (!found) return std::unexpected(found.error());
  if (found->row.wish == "pause") {
    const Status done = set_source_row(found->options, "wish = 'run'");
    if (!done) return std::unexpected(done.error());
  }
  return drive_or_wait(*found, arguments);
}

Result<bool> run_abort(const MoveArguments& arguments) {
  const auto found = find(arguments);
  if (!found) return std::unexpected(found.error());
  const bool is_before = found->row.step == "reserved" || found->row.step == "fenced" || found->row.step == "aborted";
  if (!is_before)
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("move {0} is handed over already: tidemark-shards rollback --id {0}, if it is held",
                            found->row.move_id));
  if (found->row.step != "aborted") {
    const Status done = set_source_row(found->options, "wish = 'abort', note = 'asked for'");
    if (!done) return std::unexpected(done.error());
  }
  const auto done = drive_or_wait(*found, arguments);
  if (!done) return std::unexpected(done.error());
  if (*done)
    return fail(ErrorCode::kFailedPrecondition,
                "move " + found->row.move_id + " was handed over before the abort was seen");
  return true;  // an abort that aborts has done what it was asked for
}

Result<bool> run_complete(const MoveArguments& arguments) {
  const auto found = find(arguments);
  if (!found) return std::unexpected(found.error());
  if (found->row.step != "moved" && found->row.step != "cleaning")
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("move {} is {}: only one that is handed over can be completed", found->row.move_id,
                            found->row.step));
  const Status done = set_source_row(
      found->options, arguments.accept_difference ? "is_held = false, checked = NULL, note = 'difference accepted'"
                                                  : "is_held = false");
  if (!done) return std::unexpected(done.error());
  return drive_or_wait(*found, arguments);
}

// The same range back, over the reverse stream: the source has its rows still, so nothing is copied.
Result<bool> run_rollback(const MoveArguments& arguments) {
  const auto found = find(arguments);
  if (!found) return std::unexpected(found.error());
  if (!found->row.undoes.empty()) return drive_or_wait(*found, arguments);  // it is a rollback itself
  if (found->row.step != "moved")
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("move {0} is {1}: {2}", found->row.move_id, found->row.step,
                            found->row.step == "cleaning"
                                ? "its rows at the source are gone; move the buckets back by a new move"
                                : "nothing is handed over yet; tidemark-shards abort takes it back"));
  auto target = PgLink::connect(fmt::format("shard {}", found->row.peer), found->options.target.admin);
  if (!target) return std::unexpected(target.error());
  const auto usable = target->value(
      "SELECT count(*) FROM pg_replication_slots s, shard.move m WHERE s.slot_name = $1 AND s.wal_status <> 'lost' "
      "AND m.move_id = $2 AND m.timeline = tidemark.current_timeline()",
      {reverse_name(found->row.move_id), found->row.move_id});
  if (!usable) return std::unexpected(usable.error());
  if (*usable != "1")
    return fail(
        ErrorCode::kFailedPrecondition,
        "the reverse stream is void (its slot is gone, or the shard failed over): complete this move, then move the "
        "buckets back by a new one");
  MoveOptions back = found->options;
  back.undoes = found->row.move_id;
  back.move_id = found->row.move_id + "_r";
  std::swap(back.source, back.target);
  back.is_held = false;
  return drive(std::move(back), arguments);
}

Result<bool> run_verify(const MoveArguments& arguments) {
  auto found = find(arguments);
  if (!found) return std::unexpected(found.error());
  if (found->row.step != "reserved")
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("move {} is {}: there is nothing to compare before the hand-over any more",
                            found->row.move_id, found->row.step));
  const Status running = set_source_row(found->options, "wish = 'run'");
  if (!running) return std::unexpected(running.error());
  return prepare(std::move(found->options), arguments);
}

using Run = Result<bool> (*)(const MoveArguments&);

struct Verb {
  const char* name;
  const char* about;
  Run run;
};
constexpr Verb kVerbs[] = {
    {"move", "Moves buckets to another shard while both are in use; the same command again goes on with it.", run_move},
    {"watch", "Shows the moves under way, every second until there are none.", run_watch},
    {"verify", "Copies and compares without handing over; the move stays paused.", run_verify},
    {"pause", "A move keeps up with its source and hands nothing over until it is resumed.", run_pause},
    {"resume", "Goes on with a move that was paused or that nobody drives.", run_resume},
    {"abort", "Gives up a move that is not handed over; the buckets stay where they are.", run_abort},
    {"complete", "Ends a held move: the source's rows and the reverse stream go.", run_complete},
    {"rollback", "Takes back a held move by its reverse stream.", run_rollback},
};

}  // namespace

Result<bool> run_one_move(const OneMove& one) {
  MoveArguments arguments;
  arguments.shards_file = one.shards_file;
  arguments.topology = one.topology;
  arguments.buckets = fmt::format("{}-{}", one.first, one.last);
  arguments.to = one.to;
  arguments.bytes_per_second = one.bytes_per_second;
  arguments.format = one.format;
  return run_move(arguments);
}

struct MoveVerbs::Impl {
  MoveArguments arguments;
  std::vector<std::pair<io::Options*, Run>> verbs;
};

MoveVerbs::MoveVerbs(io::Options& options) : impl_(std::make_unique<Impl>()) {
  MoveArguments& given = impl_->arguments;
  for (const Verb& one : kVerbs) {
    const std::string name = one.name;
    io::Options& verb = options.verb(name, one.about);
    impl_->verbs.emplace_back(&verb, one.run);
    verb.text("shards", given.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
    verb.text("topology", given.topology, "topology store, file:DIR");
    verb.choice("format", given.format, {"table", "json"}, "how to print");
    verb.require("shards");
    verb.require("topology");
    verb.text("id", given.move_id,
              name == "move" ? "name of the move (default: made up)" : "of the move (default: the only one)");
    if (name == "watch") verb.flag("once", given.once, "look once");
    if (name == "watch" || name == "pause") continue;
    if (name == "complete")
      verb.flag("accept-difference", given.accept_difference,
                "although the second comparison found a difference: the target's rows are the right ones");
    verb.flag("no-guardian", given.no_guardian, "start no second process that goes on if this one dies");
    verb.memory("bytes-per-second", given.bytes_per_second, "copy no faster than this; 0: as fast as it goes");
    verb.memory("wal-max", given.wal_max, "give up once the move keeps more of the source's WAL than this");
    verb.memory("standby-lag-max", given.standby_lag_max, "copy nothing while a standby lags more");
    verb.duration("commit-p99-max", given.commit_p99_max,
                  "copy nothing while commits at the source take longer; 0: no limit");
    if (name != "move") continue;
    verb.text("buckets", given.buckets, "A-B: the buckets to move, all of one shard");
    verb.number("to", given.to, {.max = UINT16_MAX}, "id of the shard to move them to");
    verb.flag("hold", given.hold, "stop after the hand-over, so that rollback stays possible; then: complete");
    verb.flag("prepare", given.prepare, "copy and compare now, hand over later: stays paused until it is resumed");
    verb.flag("dry-run", given.dry_run, "say what would be done, and what stands against it; change nothing");
    verb.require("buckets");
    verb.require("to");
  }
}
MoveVerbs::~MoveVerbs() = default;

std::optional<int> MoveVerbs::run() {
  for (const auto& [verb, run] : impl_->verbs) {
    if (!verb->is_chosen()) continue;
    const auto done = run(impl_->arguments);
    if (done) return *done ? io::kExitOk : kExitAborted;
    fmt::print(stderr, "tidemark-shards: {}\n", done.error().to_string());
    return io::kExitFailure;
  }
  return std::nullopt;
}

}  // namespace tidemark::shards
