#include "services/session/token_digest.h"

#include <openssl/sha.h>

#include <array>

#include "base/io/random_source.h"

namespace tidemark::session {

std::string new_token() {
  return io::random_hex(kTokenDigits / 2);
}

std::string digest_of_token(std::string_view token) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  std::string digits;
  for (unsigned char byte : digest) {
    digits += "0123456789abcdef"[byte >> 4];
    digits += "0123456789abcdef"[byte & 15];
  }
  return digits;
}

}  // namespace tidemark::session
