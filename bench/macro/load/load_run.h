// One run of tidemark-load against one server: connections on one epoll, one thread.
//
// Closed loop: each connection sends `depth` requests in one go and waits for all of their replies. Open loop: requests
// are due at the stated rate whatever the server does, each on the next connection in turn; a latency counts from when
// the request was due, so a server that stalls pays for everything that waited (no coordinated omission). What cannot
// be sent because kBacklogMax requests wait on a connection is counted as shed.
// Threads: one. Errors: kUnavailable when the server cannot be reached or ends a connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/histogram.h"
#include "base/result.h"
#include "bench/macro/load/load_config.h"

namespace tidemark::bench {

struct LoadResult {
  uint64_t operations = 0;  // replies within the measured time
  uint64_t hits = 0, misses = 0, errors = 0, shed = 0;
  std::string first_error;
  double seconds = 0;
  Histogram latency_us;
  std::optional<double> server_cpu_seconds;  // user + system of all its threads, within the measured time
  double own_cpu_seconds = 0;
};

Result<LoadResult> run_load(const LoadConfig& config);

// CPU time of a process so far, from /proc/PID/task/*/schedstat.
Result<double> cpu_seconds_of(uint32_t pid);

}  // namespace tidemark::bench
