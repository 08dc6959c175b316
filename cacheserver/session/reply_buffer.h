// Replies on their way to one client or to several: bytes, and large values that stand between them without a copy.
//
//     bytes   "$5\r\nhello\r\n$1000000\r\n\r\n+OK\r\n"
//     pinned                              ^ 1,000,000 bytes of a value
//
// Invariants: pinned values stand in ascending order of their places. Threads: a worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "cacheserver/entry/value_pin.h"

namespace tidemark::cacheserver {

class ReplyBuffer {
 public:
  struct Pinned {
    size_t at = 0;  // in front of this byte
    ValuePin value;
  };

  // To be written by a RespWriter; what it takes away again is taken away with cut().
  std::string& bytes() { return bytes_; }
  const std::string& bytes() const { return bytes_; }
  std::vector<Pinned>& pinned() { return pinned_; }

  void pin(ValuePin value) {
    pinned_bytes_ += value.bytes().size();
    pinned_.push_back({bytes_.size(), std::move(value)});
  }
  // Takes away all bytes from `size` on, and the values that stand behind it.
  void cut(size_t size);
  void clear();
  // With the pinned values.
  size_t size() const { return bytes_.size() + pinned_bytes_; }

 private:
  std::string bytes_;
  std::vector<Pinned> pinned_;
  size_t pinned_bytes_ = 0;
};

}  // namespace tidemark::cacheserver
