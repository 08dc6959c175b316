#include "tools/shards/verb_move.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/parse.h"
#include "tools/shards/move/move_registry.h"

namespace tidemark::shards {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kExitAborted = 3;

struct MoveArguments {
  std::string shards_file;
  std::string topology;
  std::string buckets;  // "A-B"
  uint32_t to = 0;
  std::string move_id;  // empty: made up
  bool hold = false;
  uint64_t bytes_per_second = 0;
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
              {"total_ms", report.total_ms}};
}

Result<MoveReport> run_mover(MoveOptions options, const std::string& format) {
  const auto start = std::chrono::steady_clock::now();
  const std::string id = options.move_id;
  options.log = [start, id](const std::string& line) {
    const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
    fmt::print(stderr, "[{:9.1f} ms] {}: {}\n", passed.count(), id, line);
  };
  const auto report = Mover(options).run();
  if (!report) return std::unexpected(report.error().with_context("move " + id));
  if (format == "json")
    fmt::print("{}\n", json_of(options, *report).dump(2));
  else
    fmt::print("move {}: {}{}{}; {} rows, writers without owner {:.1f} ms, {:.0f} ms in all\n", id, report->outcome,
               report->reason.empty() ? "" : ": ", report->reason, report->rows_copied, report->blocked_ms,
               report->total_ms);
  return report;
}

Result<bool> run_move(const MoveArguments& arguments) {
  const auto range = parse_range(arguments.buckets);
  if (!range) return std::unexpected(range.error());
  const auto ends = read_ends(arguments.shards_file, arguments.topology);
  if (!ends) return std::unexpected(ends.error());
  const ShardEnd* target = find_end(*ends, static_cast<ShardId>(arguments.to));
  if (!target)
    return fail(ErrorCode::kInvalidArgument, fmt::format("--to {}: the topology has no such shard", arguments.to));
  const auto moves = read_moves(*ends);
  if (!moves) return std::unexpected(moves.error());
  MoveOptions options;
  options.move_id = arguments.move_id.empty() ? new_move_id(*range) : arguments.move_id;
  options.range = *range;
  options.topology = arguments.topology;
  options.is_held = arguments.hold;
  for (const MoveRow& row : *moves) {
    // The same move again: go on with it.
    const bool is_same = row.role == "source" && !row.has_ended && row.range.lo == range->lo &&
                         row.range.hi == range->hi && row.peer == target->id;
    if (is_same && (arguments.move_id.empty() || arguments.move_id == row.move_id)) {
      auto resumed = options_of(row, *ends, arguments.topology);
      if (!resumed) return std::unexpected(resumed.error());
      options = std::move(*resumed);
    }
  }
  if (options.source.admin.empty()) {
    const auto owner = owner_of_range(*ends, *range);
    if (!owner) return std::unexpected(owner.error());
    if (*owner == target->id)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("buckets {} are on shard {} already", arguments.buckets, arguments.to));
    options.source = *find_end(*ends, *owner);
    options.target = *target;
  }
  options.throttle.bytes_per_second = arguments.bytes_per_second;
  const auto report = run_mover(options, arguments.format);
  if (!report) return std::unexpected(report.error());
  return report->outcome != "aborted";
}

}  // namespace

struct MoveVerbs::Impl {
  MoveArguments move;
  io::Options* move_verb = nullptr;
};

MoveVerbs::MoveVerbs(io::Options& options) : impl_(std::make_unique<Impl>()) {
  MoveArguments& move = impl_->move;
  io::Options& verb = options.verb(
      "move", "Moves buckets to another shard while both are in use; the same command again goes on with it.");
  impl_->move_verb = &verb;
  verb.text("shards", move.shards_file, "JSON file: the shards and their owner's conninfo, as for init");
  verb.text("topology", move.topology, "topology store, file:DIR");
  verb.text("buckets", move.buckets, "A-B: the buckets to move, all of one shard");
  verb.number("to", move.to, {.max = UINT16_MAX}, "id of the shard to move them to");
  verb.text("id", move.move_id, "name of the move (default: made up)");
  verb.flag("hold", move.hold, "stop after the hand-over, so that rollback stays possible; then: complete");
  verb.memory("bytes-per-second", move.bytes_per_second, "copy no faster than this; 0: as fast as it goes");
  verb.choice("format", move.format, {"table", "json"}, "how to print");
  for (const char* name : {"shards", "topology", "buckets", "to"}) verb.require(name);
}
MoveVerbs::~MoveVerbs() = default;

std::optional<int> MoveVerbs::run() {
  if (!impl_->move_verb->is_chosen()) return std::nullopt;
  const auto done = run_move(impl_->move);
  if (done) return *done ? io::kExitOk : kExitAborted;
  fmt::print(stderr, "tidemark-shards: {}\n", done.error().to_string());
  return io::kExitFailure;
}

}  // namespace tidemark::shards
