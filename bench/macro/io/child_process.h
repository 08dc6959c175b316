// A program run by the demo: its standard output read line by line, its standard input written if wanted, ended by its
// pid.
//
// Threads: one. The destructor ends a child that still runs (SIGTERM, then SIGKILL after kEndTimeout) and reaps it.
// Limits: a line of kLineBytesMax, a longer one is cut. The child dies with its parent (PR_SET_PDEATHSIG).
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tidemark::bench {

class ChildProcess {
 public:
  static constexpr size_t kLineBytesMax = 1 << 20;
  static constexpr std::chrono::milliseconds kEndTimeout{5'000};

  struct Options {
    std::vector<std::string> arguments;    // the program first; looked up in PATH if it holds no slash
    std::vector<std::string> environment;  // "NAME=value", on top of ours
    std::filesystem::path error_log;       // standard error goes there; empty: to ours
    bool with_input = false;               // a pipe to its standard input; else /dev/null
  };
  static Result<ChildProcess> start(const Options& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  Status write(std::string_view text);
  void close_input();

  // The next line without its end; nothing after `timeout`, or once the child has closed its output (is_ended()).
  std::optional<std::string> read_line(std::chrono::milliseconds timeout);
  bool is_ended() const { return is_output_closed_; }

  void signal(int number) const;
  // Waits for it to end by itself; its exit code, or 128 + the signal that ended it. kDeadlineExceeded: it still runs.
  Result<int> wait(std::chrono::milliseconds timeout);
  int pid() const { return pid_; }

 private:
  ChildProcess() = default;

  int pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  bool is_output_closed_ = false;
  bool is_reaped_ = false;
  int status_ = 0;
  std::string buffer_;
};

}  // namespace tidemark::bench
