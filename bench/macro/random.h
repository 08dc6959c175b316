// A small seeded generator whose numbers are the same on every machine and with every library: xoshiro256** (Blackman
// and Vigna 2018), seeded through SplitMix64. std::mt19937's distributions differ between libraries, these do not.
//
// Threads: a plain value, not shared. I/O: none.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace tidemark::bench {

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9E3779B97F4A7C15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // In [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  // In [0, bound), without modulo bias worth speaking of for bounds below 2^32 (multiply-shift, Lemire 2019). bound >
  // 0.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace tidemark::bench
