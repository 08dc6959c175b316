// INVARIANT(condition, values...): stops the process, with the values, when our own reasoning was wrong.
//
// Never for anything a peer, a user or a disk can cause: those are Results. It stays on in release builds.
#pragma once

#include <fmt/format.h>

#include <string>

namespace tidemark {

[[noreturn]] void invariant_failed(const char* condition, const char* file, int line, const std::string& values);

template <typename... Values>
std::string invariant_values(const Values&... values) {
  std::string text;
  ((text += fmt::format(" {}", values)), ...);
  return text;
}

}  // namespace tidemark

#define INVARIANT(condition, ...)                                                         \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::tidemark::invariant_failed(#condition, __FILE__, __LINE__,                        \
                                   ::tidemark::invariant_values(__VA_ARGS__));            \
  } while (false)
