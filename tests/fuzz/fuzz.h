// What the fuzzers share: a claim that aborts with its text, so that the fuzzer keeps the input that broke it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#define FUZZ_CLAIM(condition)                                 \
  do {                                                        \
    if (!(condition)) {                                       \
      std::fprintf(stderr, "claim broken: %s\n", #condition); \
      std::abort();                                           \
    }                                                         \
  } while (false)

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}
