// Reads big-endian numbers and texts from bytes that may be cut: after the first read beyond the end everything is zero
// and is_cut() stays true, so that a decoder checks once, at its end.
//
// Threads: a value. Views into the bytes given. I/O: none.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidemark::replication {

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  uint8_t u8() { return static_cast<uint8_t>(number(1)); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }

  std::string_view bytes(size_t count) {
    if (is_cut_ || count > remaining()) {
      is_cut_ = true;
      return {};
    }
    std::string_view result = bytes_.substr(offset_, count);
    offset_ += count;
    return result;
  }
  // Up to the next zero byte, which is consumed.
  std::string_view c_string() {
    size_t end = is_cut_ ? std::string_view::npos : bytes_.find('\0', offset_);
    if (end == std::string_view::npos) {
      is_cut_ = true;
      return {};
    }
    std::string_view result = bytes_.substr(offset_, end - offset_);
    offset_ = end + 1;
    return result;
  }

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  bool is_cut() const { return is_cut_; }

 private:
  uint64_t number(size_t size) {
    uint64_t value = 0;
    for (char byte : bytes(size)) value = (value << 8) | static_cast<uint8_t>(byte);
    return value;
  }

  std::string_view bytes_;
  size_t offset_ = 0;
  bool is_cut_ = false;
};

}  // namespace tidemark::replication
