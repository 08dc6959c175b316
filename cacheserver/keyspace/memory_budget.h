// How many bytes the entries of a worker may take, how many they take, and how many the system gave for them.
//
//     used: entries, tables, far values, the policy's own          held: used, holes between blocks
//
// The limit is on what is held, for that is what the machine is short of. Threads: one worker's own. I/O: none.
#pragma once

#include <cstdint>

namespace tidemark::cacheserver {

struct MemoryBudget {
  uint64_t bytes_max = 0;  // 0 = no limit
  uint64_t bytes_used = 0;
  uint64_t bytes_held = 0;

  bool is_over() const { return bytes_max != 0 && bytes_held > bytes_max; }
};

// MEMORY STATS: the same, by purpose. Bytes.
struct MemoryReport {
  uint64_t entries = 0;       // heads, sections, keys, values inside of the heap
  uint64_t far_values = 0;    // pages of big values
  uint64_t tables = 0;        // the index, all fixed structures included
  uint64_t policy = 0;        // ghosts, sketches, models
  uint64_t holes = 0;         // free blocks between used ones
  uint64_t flushed = 0;       // of FLUSHALL, not given back yet
  uint64_t blocks_moved = 0;  // by compaction so far, a count
};

}  // namespace tidemark::cacheserver
