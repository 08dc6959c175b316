// kill_point("order.reserved"): a place where a test lets the process die. Nothing at all in the programs we ship.
//
// Only in programs built for tests (TIDEMARK_TEST_KILL_POINTS; tests/CMakeLists.txt): when the environment says
// TIDEMARK_KILL_AT=order.reserved, the process is killed (SIGKILL: no destructor, no flush) when it gets there the
// first time; with TIDEMARK_KILL_AT=order.reserved:3 the third time. A file that calls it must be compiled into the
// killable program itself, not taken from a library. Threads: any.
#pragma once

#include <string_view>

#ifdef TIDEMARK_TEST_KILL_POINTS

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace tidemark::services {

inline void kill_point(std::string_view name) {
  static std::atomic<int> visits{0};
  const char* wanted = std::getenv("TIDEMARK_KILL_AT");
  if (wanted == nullptr) return;
  std::string_view place = wanted;
  int visit = 1;
  if (size_t colon = place.find(':'); colon != std::string_view::npos) {
    visit = std::atoi(wanted + colon + 1);
    place = place.substr(0, colon);
  }
  if (place == name && ++visits == visit) std::raise(SIGKILL);
}

}  // namespace tidemark::services

#else

namespace tidemark::services {
inline void kill_point(std::string_view) {}
}  // namespace tidemark::services

#endif
