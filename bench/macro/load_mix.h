// Which request tidemark-load makes next, and an account of what the server should hold after it.
//
// With `fill` every key is SET once, in order; then comes the mix.
//
// Sizes: uniform within a range. With `size_phases` P > 1 the range is cut into P slices of equal ratio, and the run
// into P parts of equally many requests; the parts take the slices from both ends inwards, so that what was freed fits
// what comes as badly as possible. 32 to 2048 bytes in 4 phases: 32..90, 724..2048, 91..255, 256..723.
//
// Threads: plain values. I/O: none; the time is told.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "bench/macro/load/load_config.h"
#include "bench/macro/random.h"

namespace tidemark::bench {

struct LoadRequest {
  enum class Kind : uint8_t { kGet, kSet, kDelete };
  Kind kind = Kind::kGet;
  uint64_t key = 0;
  uint64_t value_bytes = 0;  // of a SET
  uint64_t ttl_ms = 0;       // of a SET; 0: none
  bool operator==(const LoadRequest&) const = default;
};

class LoadMix {
 public:
  explicit LoadMix(const LoadConfig& config);

  LoadRequest next();

  struct Sizes {
    uint64_t from = 0, to = 0;  // both included
    bool operator==(const Sizes&) const = default;
  };
  static Sizes sizes_of_phase(const LoadConfig& config, uint32_t phase);

 private:
  LoadRequest set_of(uint64_t key);
  uint64_t draw_size();

  const LoadConfig& config_;
  Random random_;
  uint64_t fill_next_, fill_end_;
  uint64_t made_ = 0;  // of the mix
  uint64_t phase_ends_ = 0;
  uint32_t phase_ = 0;
  Sizes sizes_;
};

// What lives in a server that evicts nothing: the keys that were set, not deleted since, and not expired. The order in
// which requests of different connections reach the server is not known, so that of two requests for one key under way
// at the same time the wrong one may count; nothing adds up from that.
class LiveModel {
 public:
  explicit LiveModel(uint64_t keys) : entries_(keys) {}

  void apply(const LoadRequest& request, uint64_t now_ms);
  void expire(uint64_t now_ms);

  uint64_t items() const { return items_; }
  uint64_t bytes() const { return bytes_; }  // of keys and values

 private:
  struct Entry {
    uint32_t bytes = 0;  // 0: does not live
    uint32_t expires_ms = 0;
  };
  void remove(Entry& entry);

  std::vector<Entry> entries_;
  std::map<uint32_t, std::vector<uint64_t>> expiring_;  // by millisecond; some have been set again since
  uint64_t items_ = 0, bytes_ = 0;
};

}  // namespace tidemark::bench
