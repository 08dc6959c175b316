// One run of tidemark-load against one server: connections on one epoll, one thread.
//
// Closed loop: each connection sends `depth` requests in one go and waits for all of their replies. Open loop: requests
// are due at the stated rate whatever the server does, each on the next connection in turn; a latency counts from when
// the request was due, so a server that stalls pays for everything that waited (no coordinated omission). What cannot
// be sent because kBacklogMax requests wait on a connection is counted as shed.
// Threads: one. Errors: kUnavailable when the server cannot be reached or ends a connection.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "bench/macro/load/load_config.h"

namespace tidemark::bench {

// The server in the middle of the run.
struct LoadSample {
  double at_s = 0;  // since the start
  uint64_t operations = 0;
  uint64_t live_items = 0, live_bytes = 0;  // by LiveModel, if counts_live
  uint64_t rss_bytes = 0;                   // 0: no pid was given
};

struct LoadResult {
  uint64_t operations = 0;  // replies within the measured time
  uint64_t hits = 0, misses = 0, errors = 0, shed = 0;
  std::string first_error;
  double seconds = 0;
  Histogram latency_us;
  std::optional<double> server_cpu_seconds;  // user + system of all its threads, within the measured time
  double own_cpu_seconds = 0;
  std::vector<LoadSample> samples;  // every sample_every, and one at the end
};

Result<LoadResult> run_load(const LoadConfig& config, const std::function<void(const LoadSample&)>& on_sample);

}  // namespace tidemark::bench
