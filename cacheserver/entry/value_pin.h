// Holds on to a large value while it is being sent: the entry may be overwritten, evicted or erased meanwhile.
//
//     if (ValuePin pin = pin_value(entry)) replies.pin(std::move(pin)); else reply.bulk(entry.value());
//
// Invariants: the bytes neither move nor change while a pin lives. An empty pin holds nothing.
// Threads: the worker's own; references need not be counted with atomics. I/O: none.
#pragma once

#include <string_view>
#include <utility>

#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {

class ValuePin {
 public:
  using Release = void (*)(void* owner);

  ValuePin() = default;
  // `bytes` stay until release(owner), which is called once.
  ValuePin(std::string_view bytes, void* owner, Release release) : bytes_(bytes), owner_(owner), release_(release) {}
  ValuePin(ValuePin&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})),
        owner_(std::exchange(other.owner_, nullptr)),
        release_(std::exchange(other.release_, nullptr)) {}
  ValuePin& operator=(ValuePin&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(owner_, other.owner_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~ValuePin() {
    if (release_ != nullptr) release_(owner_);
  }

  explicit operator bool() const { return release_ != nullptr; }
  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
  void* owner_ = nullptr;
  Release release_ = nullptr;
};

// From this size on a value is worth a piece of its own in the reply.
inline constexpr size_t kPinnedBytesMin = size_t{64} << 10;

// Empty for values that are copied instead: smaller ones, and large ones without memory for a pin.
ValuePin pin_value(const Entry& entry);

}  // namespace tidemark::cacheserver
