#include "base/hash.h"

#define XXH_INLINE_ALL  // keys are short: a call would cost as much as the hash
#include <xxhash.h>

#include <array>

namespace tidemark {
namespace {

// Eight bytes at a time ("slicing by eight", Kounavis and Berry): table k advances a byte over k more zero bytes.
constexpr size_t kSlices = 8;
constexpr std::array<std::array<uint16_t, 256>, kSlices> make_crc16_tables() {
  std::array<std::array<uint16_t, 256>, kSlices> tables{};
  for (int byte = 0; byte < 256; ++byte) {
    auto crc = static_cast<uint16_t>(byte << 8);
    for (int bit = 0; bit < 8; ++bit) crc = static_cast<uint16_t>((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1);
    tables[0][static_cast<size_t>(byte)] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint16_t before = tables[slice - 1][byte];
      tables[slice][byte] = static_cast<uint16_t>((before << 8) ^ tables[0][before >> 8]);
    }
  }
  return tables;
}
constexpr auto kCrc16Tables = make_crc16_tables();

}  // namespace

uint16_t crc16(std::string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* const end = at + bytes.size();
  const auto& t = kCrc16Tables;
  uint16_t crc = 0;
  for (; end - at >= 8; at += 8) {
    crc = static_cast<uint16_t>(t[7][at[0] ^ (crc >> 8)] ^ t[6][at[1] ^ (crc & 0xff)] ^ t[5][at[2]] ^ t[4][at[3]] ^
                                t[3][at[4]] ^ t[2][at[5]] ^ t[1][at[6]] ^ t[0][at[7]]);
  }
  for (; at != end; ++at) crc = static_cast<uint16_t>((crc << 8) ^ t[0][((crc >> 8) ^ *at) & 0xff]);
  return crc;
}

uint64_t hash64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }
uint64_t hash64(std::string_view bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

}  // namespace tidemark
