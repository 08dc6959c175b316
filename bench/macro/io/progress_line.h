// One line that says where a long job stands: rewritten in place on a terminal, else printed every kLogInterval.
//
// Threads: one. Writes to standard error, so that standard output holds results only.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace tidemark::bench {

class ProgressLine {
 public:
  static constexpr std::chrono::seconds kLogInterval{5};

  ProgressLine();
  void show(std::string_view text);  // may be called as often as one likes
  void say(std::string_view text);   // a line that stays
  void clear();                      // on a terminal: takes the line away

 private:
  bool is_terminal_;
  bool has_line_ = false;
  std::chrono::steady_clock::time_point next_log_{};
};

}  // namespace tidemark::bench
