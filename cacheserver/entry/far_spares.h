// Far values that nobody holds any more, kept for the next of about their size: their pages are there already, while
// fresh ones cost a fault and a clearing each, which is more than copying the value.
//
// Limits: kSpares values and the bytes given to the constructor; what does not fit is given back to the system.
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <vector>

#include "cacheserver/entry/far_value.h"

namespace tidemark::cacheserver {

class FarSpares {
 public:
  static constexpr size_t kSpares = 128;
  static constexpr size_t kRoomierBy = 4;  // a spare may be larger than what is asked for by 1/4

  FarSpares() = default;
  ~FarSpares() { clear(); }
  FarSpares(const FarSpares&) = delete;
  FarSpares& operator=(const FarSpares&) = delete;

  void set_bytes_max(size_t bytes_max) { bytes_max_ = bytes_max; }
  // One with room for `capacity` bytes, of any content; nullptr: there is none.
  FarValue* take(size_t capacity);
  bool has(size_t capacity) const { return find(capacity) < spares_.size(); }
  // Ends one hold on it, and keeps it if that was the last.
  void give(FarValue* value);
  void drop_one();
  void clear();
  size_t bytes() const { return bytes_; }

 private:
  size_t find(size_t capacity) const;

  std::vector<FarValue*> spares_;  // each with one reference, ours
  size_t bytes_ = 0;
  size_t bytes_max_ = 0;
};

}  // namespace tidemark::cacheserver
