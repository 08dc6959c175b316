// How many bytes the entries of a worker may take, and how many they take: allocator overhead, tables and timers
// included.
//
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstdint>

namespace tidemark::cacheserver {

struct MemoryBudget {
  uint64_t bytes_max = 0;  // 0 = no limit
  uint64_t bytes_used = 0;

  bool has_room_for(uint64_t bytes) const { return bytes_max == 0 || bytes_used + bytes <= bytes_max; }
  bool is_over() const { return bytes_max != 0 && bytes_used > bytes_max; }
};

}  // namespace tidemark::cacheserver
