// Child processes: started with their log, known by pid and start time, ended by pid only.
//
// A pid alone names nobody for long: the kernel uses it again. So a process is (pid, start time of /proc/PID/stat), and
// whoever is there with another start time is not touched. Threads: one. I/O: /proc, signals.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tidemark::localcluster {

struct ProcessId {
  int pid = 0;
  uint64_t start_time = 0;  // clock ticks since boot
  bool operator==(const ProcessId&) const = default;
};

struct Command {
  std::vector<std::string> argv;
  std::filesystem::path log;                                     // stdout and stderr, appended
  std::vector<std::pair<std::string, std::string>> environment;  // on top of ours
};

// In a session of its own, so that a Ctrl-C meant for us does not reach it; it lives on when we end.
Result<ProcessId> spawn(const Command& command);
// Runs to its end. kInternal with the log's tail when it exits with another code than 0; kDeadlineExceeded: it was
// killed.
Status run_to_end(const Command& command, std::chrono::milliseconds timeout);

bool is_alive(const ProcessId& process);  // false for a zombie; reaps it if it is our child
ProcessId identify(int pid);              // start_time 0: there is none
std::vector<ProcessId> children_of(int pid);
Status send_signal(const ProcessId& process, int signal);
bool wait_for_end(const ProcessId& process, std::chrono::milliseconds timeout);

std::string tail_of(const std::filesystem::path& log, size_t bytes_max = 2000);
std::filesystem::path directory_of_this_program();

}  // namespace tidemark::localcluster
