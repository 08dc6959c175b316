// A queue of entries whose positions stay valid while others leave: an entry in the middle leaves a hole.
//
// Positions count pushes modulo 2^29, so that they fit beside three other bits in an entry's policy word.
// Threads: one worker's own. I/O: none. Limit: fewer than 2^29 places between front and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {

class FifoQueue {
 public:
  static constexpr uint32_t kPositions = uint32_t{1} << 29;

  uint32_t push(Entry& entry) {
    places_.push_back(&entry);
    ++live_;
    return (first_ + static_cast<uint32_t>(places_.size()) - 1) % kPositions;
  }
  void replace(uint32_t position, Entry& entry) { places_[index_of(position)] = &entry; }
  void remove(uint32_t position) {
    places_[index_of(position)] = nullptr;
    --live_;
    trim();
  }
  Entry* front() const { return places_.empty() ? nullptr : places_.front(); }  // never a hole

  bool is_empty() const { return live_ == 0; }
  size_t size() const { return live_; }
  size_t holes() const { return places_.size() - live_; }
  size_t bytes_used() const { return places_.size() * sizeof(Entry*); }
  void clear() { *this = {}; }

 private:
  uint32_t index_of(uint32_t position) const { return (position + kPositions - first_) % kPositions; }
  void trim() {
    while (!places_.empty() && places_.front() == nullptr) {
      places_.pop_front();
      first_ = (first_ + 1) % kPositions;
    }
  }

  std::deque<Entry*> places_;
  uint32_t first_ = 0;  // position of places_.front()
  size_t live_ = 0;
};

}  // namespace tidemark::cacheserver
