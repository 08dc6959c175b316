// Base64url (RFC 4648, section 5) without padding: bytes as text that needs no quoting in URLs and metadata.
//
// One text for one string of bytes: what decodes is exactly what encodes. Threads: pure functions. I/O: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tidemark {

std::string encode_base64url(std::string_view bytes);
std::optional<std::string> decode_base64url(std::string_view text);  // nothing: no encoder wrote this

}  // namespace tidemark
