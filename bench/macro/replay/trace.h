// A cache access trace: header-less little-endian records of four bytes key number and four bytes size, in the order
// of the requests; plain, or compressed with zstd.
//
// Key numbers are dense: at most kKeysMax. A key's size is the largest it is ever requested with.
// Threads: a value. Limits: the trace is held in memory, four bytes per request and four per key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

class Trace {
 public:
  static constexpr uint32_t kKeysMax = uint32_t{1} << 28;

  std::vector<uint32_t> requests;  // key numbers
  std::vector<uint32_t> sizes;     // by key number

  Status append(std::string_view bytes);  // records as they lie in a file, cut anywhere
  Status finish() const;                  // refuses an unfinished record and an empty trace

 private:
  std::string rest_;  // of a record cut by append()
};

// Reads a whole file; one whose name ends in ".zst" through `zstd -dc`.
Result<Trace> read_trace(const std::string& path);

}  // namespace tidemark::bench
