// Contestants of router_bench: ways to read one row by its key, each measured in CPU time of this process per read.
//
// They take turns in short slices, so that a busy machine or a warm cache meets all of them alike. Every contestant
// does `reads` reads of keys that a shared generator names, up to `depth` of them under way at once, and checks every
// answer. Threads: one, which also runs the router's loop; servers are other processes, so the process's CPU time is
// the client's.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

struct Slice {
  double cpu_us = 0;   // per read, user and system
  double wall_us = 0;  // per read
};

struct Contestant {
  std::string name;
  std::string against;  // whose CPU its own is divided by; empty: its own
  std::function<Status(size_t reads)> run;
  size_t reads_per_slice = 2000;
  std::vector<Slice> slices{};
};

// One warm-up slice each, then `rounds` rounds in which each has a slice.
Status run_contest(std::vector<Contestant>& contestants, size_t rounds);

// A table of medians: CPU and wall per read, reads per second, and CPU over that of `against`.
std::string to_table(const std::vector<Contestant>& contestants);
std::string to_json(const std::vector<Contestant>& contestants);

}  // namespace tidemark::bench
