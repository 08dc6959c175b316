#include "services/session/validation.h"

#include <algorithm>
#include <string>

#include "base/id/row_id.h"
#include "services/session/session_rules.h"
#include "services/session/token_digest.h"

namespace tidemark::session {
namespace {

std::unexpected<Error> refuse(std::string_view field, const std::string& why) {
  return fail(ErrorCode::kInvalidArgument, std::string(field) + ": " + why);
}

bool is_hex_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

Status check_range(std::string_view field, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return {};
  return refuse(field, std::to_string(value) + " is not from " + std::to_string(min) + " to " + std::to_string(max));
}

Status check_attributes(const pb::CreateSessionRequest& request) {
  if (request.attributes_size() > kAttributesMax) {
    return refuse("attributes",
                  std::to_string(request.attributes_size()) + " are more than " + std::to_string(kAttributesMax));
  }
  size_t bytes = 0;
  for (const auto& [name, value] : request.attributes()) {
    if (name.empty() || name.size() > kAttributeNameBytesMax) {
      return refuse("attributes",
                    "the name \"" + name + "\" has not 1 to " + std::to_string(kAttributeNameBytesMax) + " bytes");
    }
    // Postgres keeps no zero bytes in texts.
    if (name.find('\0') != std::string::npos) return refuse("attributes", "a name has a zero byte");
    if (value.find('\0') != std::string::npos)
      return refuse("attributes", "the value of \"" + name + "\" has a zero byte");
    bytes += name.size() + value.size();
  }
  if (bytes > kAttributesBytesMax) {
    return refuse("attributes", std::to_string(bytes) + " bytes of names and values are more than " +
                                    std::to_string(kAttributesBytesMax));
  }
  return {};
}

}  // namespace

Status check_token(std::string_view token) {
  if (token.empty()) return refuse("token", "it is missing");
  if (token.size() != kTokenDigits || !std::ranges::all_of(token, is_hex_digit)) {
    return refuse("token", "it is not " + std::to_string(kTokenDigits) + " digits of 0-9 and a-f");
  }
  return {};
}

Status check_create(const pb::CreateSessionRequest& request) {
  if (request.customer_id() != 0) {
    if (Status checked = check_row_id(request.customer_id(), "customer_id"); !checked) {
      return fail(ErrorCode::kInvalidArgument, checked.error().message + "; 0 makes a new customer");
    }
  }
  if (request.idle_timeout_ms() != 0) {
    Status checked =
        check_range("idle_timeout_ms", request.idle_timeout_ms(), kIdleTimeoutMin.count(), kIdleTimeoutMax.count());
    if (!checked) return fail(ErrorCode::kInvalidArgument, checked.error().message + "; 0 is the default, 30 minutes");
  }
  return check_attributes(request);
}

Status check_get(const pb::GetSessionRequest& request) {
  if (Status checked = check_token(request.token()); !checked) return checked;
  return request.has_max_stale_ms() ? check_range("max_stale_ms", request.max_stale_ms(), 0, kMaxStaleMsMax) : Status();
}

}  // namespace tidemark::session
