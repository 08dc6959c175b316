// The token that its holder keeps, and the digest that everybody else keeps.
//
//   new_token()               "6f1c…"  128 bits from the system, 32 hexadecimal digits: given out once, stored nowhere
//   digest_of_token("6f1c…")  "9d20…"  SHA-256 of the digits, 64 hexadecimal digits: row, cache key, log, journal
//
// No salt and no slow hash: those are for passwords, which can be guessed; 128 random bits cannot.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

namespace tidemark::session {

inline constexpr size_t kTokenDigits = 32;

std::string new_token();
std::string digest_of_token(std::string_view token);

}  // namespace tidemark::session
