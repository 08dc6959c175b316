// One RESP2/RESP3 value as a tree: what a client reads and what small requests are made of.
//
// Threads: a value. Limits: see ReplyParser::Limits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tidemark {

struct RespValue {
  enum class Kind : uint8_t {
    kNull,
    kSimple,
    kError,
    kInteger,
    kBulk,
    kArray,
    kMap,
    kSet,
    kPush,
    kDouble,
    kBoolean,
    kBigNumber,
    kVerbatim
  };
  Kind kind = Kind::kNull;
  int64_t integer = 0;              // kInteger, kBoolean (0/1)
  double number = 0;                // kDouble
  std::string text;                 // kSimple, kError, kBulk, kBigNumber, kVerbatim (without its "txt:")
  std::vector<RespValue> elements;  // kArray, kSet, kPush; kMap: key, value, key, value, …

  bool operator==(const RespValue&) const = default;
  bool is_error() const { return kind == Kind::kError; }
  bool is_null() const { return kind == Kind::kNull; }
  // For logs and test failures: ["HIT", "v", 12]
  std::string to_string() const;
};

// Reads replies from a byte stream that may be cut anywhere. RESP3 attributes are read and dropped; a blob error is an
// error. Work is linear in the bytes: what was read of an unfinished array is kept, not read again.
class ReplyParser {
 public:
  struct Limits {
    size_t bulk_bytes_max = 512u << 20;
    size_t elements_max = 16u << 20;
    int depth_max = 16;
    size_t line_bytes_max = 64u << 10;  // a simple string, error or number
  };
  ReplyParser() = default;
  explicit ReplyParser(Limits limits) : limits_(limits) {}

  void feed(std::string_view bytes);
  // The next whole value; nullopt: more bytes are needed; kCorrupt: the stream is broken and must be closed.
  Result<std::optional<RespValue>> next();
  size_t buffered_bytes() const { return buffer_.size() - offset_; }

 private:
  struct Frame {  // an aggregate whose elements are still arriving
    RespValue value;
    size_t missing = 0;
    bool is_attribute = false;
  };
  Result<std::optional<RespValue>> next_whole();
  Result<std::optional<std::string_view>> take_line();
  Result<std::optional<RespValue>> read_bulk(RespValue::Kind kind, std::string_view length, size_t line_start);
  Result<std::optional<RespValue>> open_aggregate(char type, std::string_view count);

  Limits limits_;
  std::string buffer_;
  size_t offset_ = 0;
  std::vector<Frame> frames_;
  size_t elements_ = 0;  // of the value being read, at all depths
};

// A request: *N of bulk strings, appended to `out`.
void append_request(std::string& out, std::span<const std::string_view> arguments);
std::string make_request(std::initializer_list<std::string_view> arguments);

}  // namespace tidemark
