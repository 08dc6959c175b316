// The two hashes of the project: CRC16 for slots (the Redis Cluster contract) and XXH3 for everything inside.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemark {

// CRC-16/XMODEM, as the Redis Cluster specification uses it. "123456789" -> 0x31C3.
uint16_t crc16(std::string_view bytes);

// XXH3, 64 bits. Stable across machines; used for hash tables, tombstones and placement.
uint64_t hash64(std::string_view bytes);
uint64_t hash64(std::string_view bytes, uint64_t seed);

}  // namespace tidemark
