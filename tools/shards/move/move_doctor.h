// What moves have left behind: slots and publications that keep WAL and filter rows for nobody, moves that nobody
// drives.
#pragma once

#include <string>
#include <vector>

#include "tools/shards/move/move_registry.h"

namespace tidemark::shards {

struct MoveFinding {
  enum class Kind : uint8_t { kOrphan, kUndriven };
  Kind kind = Kind::kOrphan;
  ShardId shard = 0;
  std::string what;  // "slot mv_x", "move x: fenced, silent for 12 s"
  std::string move_id;
  std::string remedy;
};

// Orphans belong to no move that is under way.
Result<std::vector<MoveFinding>> examine_moves(const std::vector<ShardEnd>& ends);

// Drops the orphan. (An undriven move is resumed or aborted by a Mover.)
Status drop_orphan(const std::vector<ShardEnd>& ends, const MoveFinding& finding);

}  // namespace tidemark::shards
