#include "base/io/random_source.h"

#include <sys/random.h>

#include <cerrno>

#include "base/invariant.h"

namespace tidemark::io {

uint64_t random_u64() {
  uint64_t bits = 0;
  ssize_t got = 0;
  do {
    got = ::getrandom(&bits, sizeof bits, 0);
  } while (got < 0 && errno == EINTR);
  INVARIANT(got == static_cast<ssize_t>(sizeof bits), got, errno);  // up to 256 bytes never come short (getrandom(2))
  return bits;
}

std::string random_hex(size_t bytes) {
  std::string text;
  while (text.size() < 2 * bytes) {
    uint64_t bits = random_u64();
    for (int digit = 0; digit < 16 && text.size() < 2 * bytes; ++digit, bits >>= 4)
      text.push_back("0123456789abcdef"[bits & 15]);
  }
  return text;
}

}  // namespace tidemark::io
