#include "bench/macro/io/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace tidemark::bench {

ProgressLine::ProgressLine() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(std::string_view text) {
  if (is_terminal_) {
    fmt::print(stderr, "\r\x1b[K{}", text);
    std::fflush(stderr);
    has_line_ = true;
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (now < next_log_) return;
  next_log_ = now + kLogInterval;
  fmt::print(stderr, "{}\n", text);
}

void ProgressLine::say(std::string_view text) {
  clear();
  fmt::print(stderr, "{}\n", text);
}

void ProgressLine::clear() {
  if (has_line_) fmt::print(stderr, "\r\x1b[K");
  has_line_ = false;
}

}  // namespace tidemark::bench
