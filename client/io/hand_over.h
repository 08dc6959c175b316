// How long whoever wants a bucket waits while it is handed over from shard to shard: the source, and the shard that its
// fence names, are asked in turn, kHandOverWait apart. Threads: constants. I/O: none.
#pragma once

#include "base/clock.h"

namespace tidemark::client {

inline constexpr Duration kHandOverWait = std::chrono::milliseconds(15);
inline constexpr int kHandOverWaitsMax = 40;  // of one operation; its deadline ends it too

}  // namespace tidemark::client
