// Traces of cache requests made from a seed, for comparing hit ratios where no real trace may be shipped.
//
// Each record is "get; after a miss, set". The same name, lengths and seed give the same trace on every machine.
//
//     zipf-scans   popularity by Zipf's law (exponent 0.9), values of 512 bytes; every kScanEvery requests a scan reads
//                  kScanLength keys in order once, from a region as large as the popular one: backups, crawlers
//     mixed-sizes  Zipf (1.0); the size belongs to the key, log-uniform from 64 bytes to 16 KiB, independent of its
//     rank shifting     Zipf (1.0), values of 2 KiB; in each tenth of the trace, a fifth of the ranks has changed
//     hands
//
// Threads: plain functions. I/O: read_or_make_trace() reads a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bench/macro/replay/trace.h"

namespace tidemark::bench {

struct SeededTrace {
  static constexpr uint64_t kRequestsMax = 1'000'000'000;
  static constexpr uint64_t kScanEvery = 50'000;
  static constexpr uint64_t kScanLength = 20'000;

  std::string name;
  uint64_t requests = 0;
  uint64_t keys = 0;  // popular ones; scans have as many more
  uint64_t seed = 1;
};

// "zipf-scans:3000000:500000" or with a seed as the fourth part.
Result<SeededTrace> parse_seeded_trace(std::string_view text);
Result<Trace> make_trace(const SeededTrace& trace);

// A file (trace.h), or a seeded trace if there is no file of that name.
Result<Trace> read_or_make_trace(const std::string& file_or_seeded);

}  // namespace tidemark::bench
