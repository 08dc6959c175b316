// Remembers the hashes of the last `capacity` evicted items, roughly: sixteen to a cache line, the oldest gives way.
//
// Four bytes per ghost: sixteen bits of the hash and the epoch of its insertion; an epoch is a 64th of the capacity.
// Another hash passes for a ghost about once in five thousand questions.
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cacheserver/eviction/line_table.h"

namespace tidemark::cacheserver {

class GhostSet {
 public:
  void start(size_t capacity);         // empty
  void set_capacity(size_t capacity);  // takes a few steps towards it
  void clear() { table_.clear(); }
  void free_some() { table_.free_some(); }
  bool is_started() const { return table_.lines() != 0; }

  void insert(uint64_t hash);  // requires is_started()
  bool take(uint64_t hash);    // true if it was there; then it is no longer
  void prefetch(uint64_t hash) const { table_.prefetch(hash); }
  size_t bytes_used() const { return table_.bytes_used(); }

 private:
  static constexpr size_t kWays = 16;
  static constexpr size_t kGhostsPerLine = 12;  // on the average; the rest is room for uneven lines
  static constexpr size_t kEpochs = 64;
  struct Ghost {
    uint16_t fingerprint = 0;
    uint16_t epoch = 0;  // 0: empty
  };
  static size_t lines_for(size_t capacity) { return (capacity + kGhostsPerLine - 1) / kGhostsPerLine; }
  size_t epochs_remembered() const { return capacity_ / epoch_length(); }
  size_t epoch_length() const { return capacity_ < kEpochs ? 1 : capacity_ / kEpochs; }
  uint16_t age_of(Ghost ghost) const { return static_cast<uint16_t>(epoch_ - ghost.epoch); }

  LineTable table_;
  size_t capacity_ = 1;
  size_t inserted_ = 0;  // in this epoch
  uint16_t epoch_ = 1;
};

}  // namespace tidemark::cacheserver
