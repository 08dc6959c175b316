#include "services/platform/page_token.h"

#include <cstdint>
#include <optional>

#include "base/hash.h"

namespace tidemark::services {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kCheckBytes = 4;
constexpr size_t kHeaderBytes = 1 + kCheckBytes;
constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string check_of(std::string_view scope, std::string_view position) {
  uint64_t hash = hash64(position, hash64(scope, kVersion));
  std::string check;
  for (size_t i = 0; i < kCheckBytes; ++i, hash >>= 8) check += static_cast<char>(hash & 0xff);
  return check;
}

// Base64url (RFC 4648, 5) without padding.
std::string encode(std::string_view bytes) {
  std::string text;
  uint32_t bits = 0;
  int held = 0;
  for (char c : bytes) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (held += 8; held >= 6; held -= 6) text += kDigits[bits >> (held - 6) & 63];
  }
  if (held > 0) text += kDigits[bits << (6 - held) & 63];
  return text;
}

std::optional<std::string> decode(std::string_view text) {
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 0xff);
  }
  return bytes;
}

std::unexpected<Error> refuse(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, "page_token: " + std::string(why));
}

}  // namespace

std::string page_token(std::string_view scope, std::string_view position) {
  return encode(static_cast<char>(kVersion) + check_of(scope, position) + std::string(position));
}

Result<std::string> read_page_token(std::string_view scope, std::string_view token) {
  if (token.size() > kPageTokenBytesMax) {
    return refuse(std::to_string(token.size()) + " bytes are more than " + std::to_string(kPageTokenBytesMax));
  }
  std::optional<std::string> bytes = decode(token);
  // One text for one token: what decodes must be what is encoded.
  if (!bytes || bytes->size() < kHeaderBytes || encode(*bytes) != token) {
    return refuse("it is not one that this service gave; leave it empty for the first page");
  }
  if (static_cast<uint8_t>(bytes->front()) != kVersion) {
    return refuse("it is of another version of this service; begin with the first page");
  }
  std::string position = bytes->substr(kHeaderBytes);
  if (bytes->substr(1, kCheckBytes) != check_of(scope, position)) {
    return refuse("it is damaged or belongs to another list; use it with the request that it came from");
  }
  return position;
}

}  // namespace tidemark::services
