// Hits noted now and worked off together. Moving an item in a list touches two neighbours somewhere in memory: a ring
// of hits lets all those lines come in while requests go on, instead of waiting for each.
//
// Who owns a ring empties it before an item moves, leaves or is chosen: a noted id is always a live item's.
// Threads: one worker's own. I/O: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cacheserver/eviction/item.h"

namespace tidemark::cacheserver {

class HitRing {
 public:
  static constexpr size_t kHits = 32;
  struct Hit {
    ItemId id;
    uint64_t hash;
  };

  // True if the ring is now full.
  bool note(ItemId id, uint64_t hash) {
    hits_[size_++] = {id, hash};
    return size_ == kHits;
  }
  // Hands every hit over, oldest first.
  template <typename Take>
  void drain(Take&& take) {
    for (size_t i = 0; i < size_; ++i) take(hits_[i]);
    size_ = 0;
  }
  bool is_empty() const { return size_ == 0; }
  void clear() { size_ = 0; }

 private:
  std::array<Hit, kHits> hits_;
  size_t size_ = 0;
};

}  // namespace tidemark::cacheserver
