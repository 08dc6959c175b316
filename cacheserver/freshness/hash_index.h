// A flat table from 64-bit hashes to 32-bit places in somebody's array: open addressing, linear probing, removal by
// shifting back (no graves, so a probe's length depends on what is in the table now, not on its past).
//
// Kept at most half full, doubling; 12 bytes a cell. kNone is the absence of a place.
// Threads: its owner's. I/O: none. Source: Knuth, TAOCP 3, 6.4, algorithm R.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tidemark::cacheserver {

class HashIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  HashIndex() : hashes_(kCellsMin), places_(kCellsMin, kNone) {}

  uint32_t find(uint64_t hash) const;       // the place, or kNone
  void set(uint64_t hash, uint32_t place);  // inserts or replaces
  void erase(uint64_t hash);                // nothing happens if it is not there
  size_t size() const { return size_; }
  size_t bytes() const { return hashes_.size() * (sizeof(uint64_t) + sizeof(uint32_t)); }

 private:
  static constexpr size_t kCellsMin = 16;

  size_t home(uint64_t hash) const { return hash & (places_.size() - 1); }
  size_t cell_of(uint64_t hash) const;  // the hash's cell, or the empty one where it would go
  void grow();

  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> places_;
  size_t size_ = 0;
};

}  // namespace tidemark::cacheserver
