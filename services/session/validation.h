// What the session service takes: every refusal names the field first, then what would do. No refusal repeats a token.
// Threads: pure functions.
#pragma once

#include <string_view>

#include "base/result.h"
#include "services/session/proto/session.pb.h"

namespace tidemark::session {

namespace pb = tidemark::session::v1;

inline constexpr int kAttributesMax = 16;
inline constexpr size_t kAttributesBytesMax = 4096;  // names and values together
inline constexpr size_t kAttributeNameBytesMax = 64;
inline constexpr int64_t kMaxStaleMsMax = 60'000;

Status check_token(std::string_view token);  // 32 digits of 0-9a-f
Status check_create(const pb::CreateSessionRequest& request);
Status check_get(const pb::GetSessionRequest& request);

}  // namespace tidemark::session
