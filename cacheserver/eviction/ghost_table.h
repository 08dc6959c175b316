// Remembers the hashes of the last `capacity` evicted keys, roughly: eight fingerprints per set, the oldest gives way.
//
// Eight bytes per ghost: 32 bits of the hash and the number of the insertion, which tells its age.
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tidemark::cacheserver {

class GhostTable {
 public:
  static constexpr size_t kCapacityMin = 64;
  static constexpr size_t kCapacityMax = size_t{1} << 24;  // 128 MiB

  void insert(uint64_t hash, size_t live_entries);
  bool take(uint64_t hash);  // true if it was there; then it is no longer
  void clear();
  size_t bytes_used() const { return ghosts_.size() * sizeof(Ghost); }

 private:
  static constexpr size_t kWays = 8;
  struct Ghost {
    uint32_t fingerprint = 0;
    uint32_t number = 0;  // 0 = empty
  };
  Ghost* set_of(uint64_t hash);
  uint32_t age(const Ghost& ghost) const { return insertions_ - ghost.number; }

  std::vector<Ghost> ghosts_;
  size_t capacity_ = 0;  // ghosts older than this many insertions are forgotten
  uint32_t insertions_ = 0;
};

}  // namespace tidemark::cacheserver
