#include "tools/shards/move/move_registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/io/topology_store_file.h"
#include "base/parse.h"

namespace tidemark::shards {
namespace {

constexpr const char* kMoves =
    "SELECT move_id, role, step, wish, coalesce(undoes, ''), note, bucket_lo, bucket_hi, peer, attempt, is_held, "
    "rows_copied, bytes_copied, lag_bytes, extract(epoch FROM clock_timestamp() - heartbeat) * 1000, "
    "ended_at IS NOT NULL, rows_total, extract(epoch FROM clock_timestamp() - started_at) FROM shard.move ORDER BY "
    "started_at DESC LIMIT 1000";

int64_t number(const std::optional<std::string>& cell) {
  return parse_i64(cell.value_or("0")).value_or(0);
}

}  // namespace

Result<std::vector<ShardEnd>> read_ends(const std::string& shards_file, const std::string& topology_address) {
  const auto shards = read_shards_file(shards_file);
  if (!shards) return std::unexpected(shards.error());
  const auto store = io::open_topology_store(topology_address);
  if (!store) return std::unexpected(store.error());
  const auto topology = store->load();
  if (!topology) return std::unexpected(topology.error());
  std::vector<ShardEnd> ends;
  for (const Shard& shard : topology->shards) {
    const auto given = std::ranges::find(*shards, shard.id, [](const AdminShard& one) { return one.shard.id; });
    if (given == shards->end())
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("the topology has a shard {} that the shards file does not name: add it", shard.id));
    ShardEnd end{shard.id, given->admin, {}};
    for (const ShardServer& server : shard.servers)
      if (server.role == ShardServer::Role::kReplica) end.standbys.push_back(server.name);
    ends.push_back(std::move(end));
  }
  return ends;
}

const ShardEnd* find_end(const std::vector<ShardEnd>& ends, ShardId id) {
  const auto end = std::ranges::find(ends, id, &ShardEnd::id);
  return end == ends.end() ? nullptr : &*end;
}

Result<std::vector<MoveRow>> read_moves(const std::vector<ShardEnd>& ends) {
  std::vector<MoveRow> moves;
  for (const ShardEnd& end : ends) {
    auto link = PgLink::connect(fmt::format("shard {}", end.id), end.admin);
    if (!link) return std::unexpected(link.error());
    const auto set = link->query(kMoves);
    if (!set && sqlstate_of(set.error()) == "42P01")
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("shard {} knows nothing of moves: run tidemark-shards init", end.id));
    if (!set) return std::unexpected(set.error());
    for (const auto& c : set->rows) {
      MoveRow row;
      row.shard = end.id;
      row.move_id = c[0].value_or("");
      row.role = c[1].value_or("");
      row.step = c[2].value_or("");
      row.wish = c[3].value_or("");
      row.undoes = c[4].value_or("");
      row.note = c[5].value_or("");
      row.range = {static_cast<int>(number(c[6])), static_cast<int>(number(c[7]))};
      row.peer = static_cast<ShardId>(number(c[8]));
      row.attempt = static_cast<int>(number(c[9]));
      row.is_held = c[10] == "t";
      row.rows_copied = number(c[11]);
      row.bytes_copied = number(c[12]);
      if (c[13]) row.lag_bytes = number(c[13]);
      row.silent_ms = std::strtod(c[14].value_or("0").c_str(), nullptr);
      row.has_ended = c[15] == "t";
      if (c[16]) row.rows_total = number(c[16]);
      row.age_s = std::strtod(c[17].value_or("0").c_str(), nullptr);
      moves.push_back(std::move(row));
    }
  }
  return moves;
}

Result<MoveRow> find_live_move(const std::vector<MoveRow>& moves, const std::string& move_id) {
  std::string known;
  const MoveRow* found = nullptr;
  size_t live = 0;
  for (const MoveRow& row : moves) {
    if (row.role != "source") continue;
    // A move that has ended at the source may still have a target to tidy up.
    const bool is_live = std::ranges::any_of(
        moves, [&](const MoveRow& other) { return other.move_id == row.move_id && !other.has_ended; });
    if (!is_live) continue;
    ++live;
    known += (known.empty() ? "" : ", ") + row.move_id;
    if (row.move_id == move_id || move_id.empty()) found = &row;
  }
  if (found && (live == 1 || !move_id.empty())) return *found;
  if (live == 0) return fail(ErrorCode::kNotFound, "there is no move under way");
  return fail(ErrorCode::kNotFound, fmt::format("no move \"{}\" is under way; there are: {}", move_id, known));
}

Result<MoveOptions> options_of(const MoveRow& row, const std::vector<ShardEnd>& ends, const std::string& topology) {
  const ShardEnd* source = find_end(ends, row.shard);
  const ShardEnd* target = find_end(ends, row.peer);
  if (!source || !target)
    return fail(
        ErrorCode::kFailedPrecondition,
        fmt::format("move {} goes from shard {} to {}; the topology has not both", row.move_id, row.shard, row.peer));
  MoveOptions options;
  options.move_id = row.move_id;
  options.range = row.range;
  options.source = *source;
  options.target = *target;
  options.topology = topology;
  options.is_held = row.is_held;
  options.undoes = row.undoes;
  return options;
}

Result<ShardId> owner_of_range(const std::vector<ShardEnd>& ends, BucketRange range) {
  std::optional<ShardId> owner;
  int owned = 0;
  for (const ShardEnd& end : ends) {
    auto link = PgLink::connect(fmt::format("shard {}", end.id), end.admin);
    if (!link) return std::unexpected(link.error());
    const auto count =
        link->value("SELECT count(*) FROM shard.bucket WHERE bucket BETWEEN $1 AND $2 AND state = 'owned'",
                    {std::to_string(range.lo), std::to_string(range.hi)});
    if (!count) return std::unexpected(count.error());
    const int here = static_cast<int>(parse_i64(*count).value_or(0));
    if (here == 0) continue;
    if (owner)
      return fail(ErrorCode::kFailedPrecondition,
                  fmt::format("buckets {}-{} belong to shards {} and {}: one move takes buckets of one shard", range.lo,
                              range.hi, *owner, end.id));
    owner = end.id;
    owned = here;
  }
  if (!owner || owned != range.count())
    return fail(
        ErrorCode::kFailedPrecondition,
        fmt::format("{} of the buckets {}-{} have an owner now; the others are in a move: tidemark-shards watch", owned,
                    range.lo, range.hi));
  return *owner;
}

}  // namespace tidemark::shards
