// Replays a trace against one server: GET, and after a miss SET with the trace's size.
//
// One connection; kBatch requests, or kBatchBytesMax of values, at a time, as an application's multi-get: GETs of the
// keys, then SETs of those that missed, then GETs of the keys that the batch holds again. Within a batch the order is
// not the trace's, which does not matter to caches of thousands of items; for smaller ones tidemark-replay asks one by
// one, which takes many times as long where processes wait for a CPU. A SET that the server refuses (a value too large
// for it) is counted, and is no error: its key keeps missing. Threads: one. I/O: blocking socket, file.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "bench/macro/load/load_config.h"
#include "bench/macro/replay/trace.h"

namespace tidemark::bench {

struct ReplayResult {
  uint64_t requests = 0, hits = 0, refused = 0;
  uint64_t bytes = 0, hit_bytes = 0;  // of the values asked for, and found
  double seconds = 0;
  uint64_t rss_bytes = 0;  // of the server at the end, if a pid was given
};

Result<ReplayResult> run_replay(const LoadConfig& config, const Trace& trace);

}  // namespace tidemark::bench
