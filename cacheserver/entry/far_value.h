// A big value in pages of its own, outside of the heap: it never moves, and whoever sends it may hold on to it while
// the entry is overwritten or evicted.
//
// Lifetime: made with one reference, the entry's; gone with the last. Threads: one worker's own; the references are
// counted without atomics. I/O: none. Errors: nullptr when the system has no memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::cacheserver {

class FarValue {
 public:
  static FarValue* make(size_t capacity);  // bytes are zero
  void hold() { ++references_; }
  void drop();  // may end it

  char* data() { return reinterpret_cast<char*>(this + 1); }
  size_t capacity() const { return mapped_bytes_ - sizeof(FarValue); }
  size_t bytes_held() const { return mapped_bytes_; }
  bool is_shared() const { return references_ > 1; }

 private:
  explicit FarValue(size_t mapped_bytes) : mapped_bytes_(mapped_bytes) {}

  size_t mapped_bytes_;
  uint64_t references_ = 1;
};
static_assert(sizeof(FarValue) == 16);

// One more reference for the time of a scope; none of nullptr.
class FarHold {
 public:
  explicit FarHold(FarValue* value) : value_(value) {
    if (value_ != nullptr) value_->hold();
  }
  ~FarHold() {
    if (value_ != nullptr) value_->drop();
  }
  FarHold(const FarHold&) = delete;
  FarHold& operator=(const FarHold&) = delete;

 private:
  FarValue* value_;
};

}  // namespace tidemark::cacheserver
