#include "bench/macro/io/session_key.h"

#include <openssl/sha.h>

#include <array>

namespace tidemark::bench {

std::string session_digest(std::string_view token) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  std::string digits;
  for (const unsigned char byte : digest) {
    digits += "0123456789abcdef"[byte >> 4];
    digits += "0123456789abcdef"[byte & 15];
  }
  return digits;
}

std::string session_key(std::string_view token) {
  return std::string(kSessionKeyPrefix) + "{" + session_digest(token) + "}";
}

}  // namespace tidemark::bench
