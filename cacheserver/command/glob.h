// Redis's glob patterns: * ? [abc] [^a-z] and \ before a character that is meant literally.
//
//   "h?llo" hello hallo    "h[^e]llo" hallo    "user:*" user:1    "a\*" a*
//
// Time: O(pattern x text) at worst; a star remembers only its last try, so nothing is exponential. Pure.
#pragma once

#include <string_view>

namespace tidemark::cacheserver {

bool glob_matches(std::string_view pattern, std::string_view text, bool ignores_case = false);

}  // namespace tidemark::cacheserver
