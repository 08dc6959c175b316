#include "services/platform/page_token.h"

#include <cstdint>
#include <optional>

#include "base/base64url.h"
#include "base/hash.h"

namespace tidemark::services {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kCheckBytes = 4;
constexpr size_t kHeaderBytes = 1 + kCheckBytes;

std::string check_of(std::string_view scope, std::string_view position) {
  uint64_t hash = hash64(position, hash64(scope, kVersion));
  std::string check;
  for (size_t i = 0; i < kCheckBytes; ++i, hash >>= 8) check += static_cast<char>(hash & 0xff);
  return check;
}

std::unexpected<Error> refuse(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, "page_token: " + std::string(why));
}

}  // namespace

std::string page_token(std::string_view scope, std::string_view position) {
  return encode_base64url(static_cast<char>(kVersion) + check_of(scope, position) + std::string(position));
}

Result<std::string> read_page_token(std::string_view scope, std::string_view token) {
  if (token.size() > kPageTokenBytesMax) {
    return refuse(std::to_string(token.size()) + " bytes are more than " + std::to_string(kPageTokenBytesMax));
  }
  std::optional<std::string> bytes = decode_base64url(token);
  if (!bytes || bytes->size() < kHeaderBytes) {
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
