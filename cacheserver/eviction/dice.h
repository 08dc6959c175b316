// A small source of randomness, the same on every run: xorshift64*.
//
// Source: S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2014.
// Threads: one owner. I/O: none.
#pragma once

#include <cstdint>

namespace tidemark::cacheserver {

class Dice {
 public:
  explicit Dice(uint64_t seed = 0x9e3779b97f4a7c15) : state_(seed) {}

  uint32_t roll() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>(state_ * 0x2545f4914f6cdd1d >> 32);
  }
  // True once in `n` times.
  bool one_in(uint32_t n) { return n <= 1 || roll() < UINT32_MAX / n; }

 private:
  uint64_t state_;
};

}  // namespace tidemark::cacheserver
