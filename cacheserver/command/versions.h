// Which versions the node says it has.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemark::cacheserver {

inline constexpr std::string_view kRedisVersion = "7.2.4";  // whose commands and texts we speak; clients read it
inline constexpr std::string_view kTidemarkVersion = TIDEMARK_VERSION;
inline constexpr int64_t kTidemarkProtocol = 1;  // docs/PROTOCOL.md

}  // namespace tidemark::cacheserver
