// Which moves there are: what every shard says of them. And from a move's rows back to what drives it.
// Threads: one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/topology/topology.h"
#include "tools/shards/move/mover.h"
#include "tools/shards/shards_file.h"

namespace tidemark::shards {

struct MoveRow {
  ShardId shard = 0;  // who says so
  std::string move_id, role, step, wish, undoes, note;
  BucketRange range;
  ShardId peer = 0;
  int attempt = 1;
  bool is_held = false;
  std::optional<int64_t> rows_total;
  int64_t rows_copied = 0, bytes_copied = 0;
  double age_s = 0;  // since it began
  std::optional<int64_t> lag_bytes;
  double silent_ms = 0;  // since the heartbeat
  bool has_ended = false;
};

// Of the shards file and the topology (for the standbys' names).
Result<std::vector<ShardEnd>> read_ends(const std::string& shards_file, const std::string& topology);
const ShardEnd* find_end(const std::vector<ShardEnd>& ends, ShardId id);

// Newest first. Unreachable shards are an error.
Result<std::vector<MoveRow>> read_moves(const std::vector<ShardEnd>& ends);

// Of a move that is not over; its source's row. kNotFound names those there are.
Result<MoveRow> find_live_move(const std::vector<MoveRow>& moves, const std::string& move_id);

// Options that go on with the move of this (source) row.
Result<MoveOptions> options_of(const MoveRow& source_row, const std::vector<ShardEnd>& ends,
                               const std::string& topology);

// The one shard that owns every bucket of the range, or what is wrong.
Result<ShardId> owner_of_range(const std::vector<ShardEnd>& ends, BucketRange range);

}  // namespace tidemark::shards
