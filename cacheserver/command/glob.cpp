#include "cacheserver/command/glob.h"

#include <utility>

namespace tidemark::cacheserver {
namespace {

unsigned char fold(char c, bool ignores_case) {
  return static_cast<unsigned char>(ignores_case && c >= 'A' && c <= 'Z' ? c + 32 : c);
}

// Matches one character against the set that begins behind '['; moves `at` behind the set. As in Redis an unclosed set
// ends with the pattern.
bool set_matches(std::string_view pattern, size_t& at, char c, bool ignores_case) {
  bool is_negated = at < pattern.size() && pattern[at] == '^';
  if (is_negated) ++at;
  bool matches = false;
  unsigned char wanted = fold(c, ignores_case);
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      ++at;
      matches = matches || fold(pattern[at], ignores_case) == wanted;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      unsigned char low = fold(pattern[at], ignores_case), high = fold(pattern[at + 2], ignores_case);
      if (low > high) std::swap(low, high);
      matches = matches || (wanted >= low && wanted <= high);
      at += 2;
    } else {
      matches = matches || fold(pattern[at], ignores_case) == wanted;
    }
  }
  if (at < pattern.size()) ++at;
  return matches != is_negated;
}

// Does the pattern's element at `at` (not a star) match `c`? Moves `at` behind it.
bool element_matches(std::string_view pattern, size_t& at, char c, bool ignores_case) {
  char element = pattern[at++];
  if (element == '?') return true;
  if (element == '[') return set_matches(pattern, at, c, ignores_case);
  if (element == '\\' && at < pattern.size()) element = pattern[at++];
  return fold(element, ignores_case) == fold(c, ignores_case);
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text, bool ignores_case) {
  constexpr size_t npos = std::string_view::npos;
  size_t at = 0, star = npos, star_text = 0;  // after a mismatch the last star swallows one character more
  for (size_t i = 0; i < text.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = ++at;
      star_text = i;
      continue;
    }
    size_t next = at;
    if (at < pattern.size() && element_matches(pattern, next, text[i], ignores_case)) {
      at = next;
      ++i;
    } else if (star != npos) {
      at = star;
      i = ++star_text;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace tidemark::cacheserver
