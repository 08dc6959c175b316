// What another process costs: CPU time and memory, from /proc.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace tidemark::bench {

// CPU time of all its threads so far, from /proc/PID/task/*/schedstat.
Result<double> cpu_seconds_of(uint32_t pid);

// Resident bytes now, from /proc/PID/statm.
Result<uint64_t> rss_bytes_of(uint32_t pid);

}  // namespace tidemark::bench
