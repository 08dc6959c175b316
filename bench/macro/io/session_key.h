// The cache key of a session, as the session service makes it: the database and the cache know only a token's SHA-256.
//
// Threads: any. I/O: none (it lies here because hashing is OpenSSL's).
#pragma once

#include <string>
#include <string_view>

namespace tidemark::bench {

inline constexpr std::string_view kSessionKeyPrefix = "session:";

std::string session_digest(std::string_view token);  // 64 hexadecimal digits
std::string session_key(std::string_view token);     // "session:{<digest>}"

}  // namespace tidemark::bench
