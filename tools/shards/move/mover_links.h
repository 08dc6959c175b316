// The sessions of one mover. Opened together, lost together. Threads: one.
#pragma once

#include <optional>

#include "tools/shards/move/mover.h"

namespace tidemark::shards {

struct Mover::Links {
  PgLink source;  // rows, lock, heartbeat
  PgLink target;
  PgLink fence;          // its statement_timeout is the fence's
  PgLink source_reader;  // snapshots
  PgLink target_reader;
  std::optional<PgLink> apply{};   // the origin's session
  std::optional<PgLink> stream{};  // between slot creation and the start of the stream
  bool are_plans_made = false;     // of what is called while writers wait
};

}  // namespace tidemark::shards
