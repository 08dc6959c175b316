// Page tokens: where the next page of a list begins, opaque to the caller and checked when it comes back.
//
//   page_token("section/shells", "zsh")           ->  "AZVu…"        version, check sum, position; base64url
//   read_page_token("section/shells", "AZVu…")    ->  "zsh"
//   read_page_token("section/editors", "AZVu…")   ->  kInvalidArgument: it is another list's
//
// The check sum binds a token to its list, the `scope` (everything of the request that chooses rows). It finds
// mistakes, not forgers: a position is nothing secret, and must be treated as any input of the caller. Threads: pure
// functions. I/O: none. Limits: kPageTokenBytesMax.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemark::services {

inline constexpr size_t kPageTokenBytesMax = 1024;

std::string page_token(std::string_view scope, std::string_view position);
// kInvalidArgument, beginning with "page_token: ".
Result<std::string> read_page_token(std::string_view scope, std::string_view token);

}  // namespace tidemark::services
