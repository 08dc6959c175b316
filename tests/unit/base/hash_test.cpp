#include "base/hash.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tidemark {
namespace {

// CRC-16/XMODEM by its definition, a bit at a time.
uint16_t crc16_by_bits(std::string_view bytes) {
  uint16_t crc = 0;
  for (unsigned char byte : bytes) {
    crc = static_cast<uint16_t>(crc ^ (byte << 8));
    for (int bit = 0; bit < 8; ++bit) crc = static_cast<uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
  }
  return crc;
}

TEST(Hash, Crc16IsXmodems) {
  EXPECT_EQ(crc16("123456789"), 0x31c3);
  EXPECT_EQ(crc16(""), 0);
}

TEST(Hash, Crc16OfEveryLengthIsWhatItsDefinitionSays) {
  std::mt19937 random(1);
  for (size_t size = 0; size < 100; ++size) {
    for (int round = 0; round < 20; ++round) {
      std::string bytes(size, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      ASSERT_EQ(crc16(bytes), crc16_by_bits(bytes)) << size;
    }
  }
}

}  // namespace
}  // namespace tidemark
