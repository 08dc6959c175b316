// How often was this hash seen lately, at most 15 times? A table of fingerprints with 4-bit counts, 32 to a cache line;
// when a line is full the least often seen gives way.
//
//     16 bits:  | fingerprint 12 | count 4 |
//
// Counts age by halves: after fifteen accesses per item every line has been halved once, line by line, so that no
// access ever waits for a sweep.
//
// A count-min sketch was tried first and needs twice the memory for the same hit ratio over the public traces: its
// counters are shared by all who pass by, and most who pass are seen once.
// Threads: one worker's own. I/O: none. Source of the use: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly
// Efficient Cache Admission Policy", ACM ToS 2017.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cacheserver/eviction/line_table.h"

namespace tidemark::cacheserver {

class FrequencySketch {
 public:
  static constexpr uint32_t kFrequencyMax = 15;
  static constexpr size_t kAccessesPerItemAndHalving = 15;
  static constexpr size_t kItemsPerLine = 16;  // two fingerprints and four bytes per item

  void start(size_t items);  // empty
  void grow_towards(size_t items) { table_.grow_towards(lines_for(items)); }
  void clear() { table_.clear(); }
  void free_some() { table_.free_some(); }
  bool is_started() const { return table_.lines() != 0; }

  void increment(uint64_t hash);               // requires is_started()
  uint32_t frequency_of(uint64_t hash) const;  // 0 if not started
  void prefetch(uint64_t hash) const { table_.prefetch(hash); }
  size_t bytes_used() const { return table_.bytes_used(); }

 private:
  static constexpr size_t kAccessesPerAgedLine = kAccessesPerItemAndHalving * kItemsPerLine;
  static size_t lines_for(size_t items) { return (items + kItemsPerLine - 1) / kItemsPerLine; }
  void age_one_line();

  LineTable table_;
  size_t accesses_ = 0;   // since a line was aged
  size_t next_aged_ = 0;  // line
};

}  // namespace tidemark::cacheserver
