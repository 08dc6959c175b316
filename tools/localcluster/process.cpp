#include "tools/localcluster/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "base/parse.h"

namespace tidemark::localcluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto kPollInterval = 5ms;

struct Stat {
  char state = 'X';
  int parent = 0;
  uint64_t threads = 0;
  uint64_t start_time = 0;
};

// Fields of /proc/PID/stat; the second may hold spaces and brackets, so reading starts behind the last ')'.
std::optional<Stat> read_stat(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const size_t end = line.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(end + 1));
  Stat stat;
  rest >> stat.state >> stat.parent;
  std::string skipped;
  for (int field = 5; field < 20; ++field) rest >> skipped;
  rest >> stat.threads >> skipped >> stat.start_time;
  if (!rest) return std::nullopt;
  return stat;
}

std::vector<std::string> merged_environment(const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<std::string> out;
  for (char** at = environ; *at; ++at) {
    const std::string_view entry(*at);
    bool is_replaced = false;
    for (const auto& [name, value] : extra) is_replaced = is_replaced || entry.starts_with(name + "=");
    if (!is_replaced) out.emplace_back(entry);
  }
  for (const auto& [name, value] : extra) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Between fork and exec: nothing but system calls. Tells errno through the pipe if exec fails.
[[noreturn]] void become(char* const* argv, char* const* envp, int log, int input, int report) {
  ::setsid();
  ::dup2(input, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  if (report != 3) ::dup2(report, 3);
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ::close_range(4, ~0U, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execvpe(argv[0], argv, envp);
  const int error = errno;
  (void)!::write(3, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

ProcessId identify(int pid) {
  const auto stat = read_stat(pid);
  return {pid, stat ? stat->start_time : 0};
}

Result<ProcessId> spawn(const Command& command) {
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> environment = merged_environment(command.environment);
  const auto argv_pointers = pointers(argv);
  const auto environment_pointers = pointers(environment);
  const int log = ::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return fail(ErrorCode::kUnavailable, command.log.string() + ": " + std::strerror(errno));
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0)
    return fail(ErrorCode::kUnavailable, std::string("pipe: ") + std::strerror(errno));
  const pid_t pid = ::fork();
  if (pid == 0) become(argv_pointers.data(), environment_pointers.data(), log, input, report[1]);
  ::close(log);
  ::close(input);
  ::close(report[1]);
  int exec_error = 0;
  const ssize_t got = pid > 0 ? ::read(report[0], &exec_error, sizeof exec_error) : 0;
  ::close(report[0]);
  if (pid < 0) return fail(ErrorCode::kUnavailable, std::string("fork: ") + std::strerror(errno));
  if (got > 0) {
    ::waitpid(pid, nullptr, 0);
    return fail(ErrorCode::kNotFound, "cannot run " + argv[0] + ": " + std::strerror(exec_error));
  }
  return identify(pid);
}

Status run_to_end(const Command& command, std::chrono::milliseconds timeout) {
  const auto child = spawn(command);
  if (!child) return std::unexpected(child.error());
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  int status = 0;
  while (::waitpid(child->pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > give_up) {
      ::kill(child->pid, SIGKILL);
      ::waitpid(child->pid, &status, 0);
      return fail(ErrorCode::kDeadlineExceeded, fmt::format("{} did not end within {} ms; its last words: {}",
                                                            command.argv[0], timeout.count(), tail_of(command.log)));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorCode::kInternal,
              fmt::format("{} {}; its last words: {}", command.argv[0],
                          WIFEXITED(status) ? fmt::format("exited with {}", WEXITSTATUS(status))
                                            : fmt::format("was ended by signal {}", WTERMSIG(status)),
                          tail_of(command.log)));
}

bool is_alive(const ProcessId& process) {
  if (process.pid <= 0) return false;
  ::waitpid(process.pid, nullptr, WNOHANG);  // fails harmlessly when it is not our child
  const auto stat = read_stat(process.pid);
  if (!stat || stat->start_time != process.start_time || stat->state == 'X') return false;
  // The first thread of a killed program can be a zombie while others still hold its files: its ports are still taken.
  return stat->state != 'Z' || stat->threads > 1;
}

std::vector<ProcessId> children_of(int pid) {
  std::vector<ProcessId> children;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const auto child = parse_u64(at->path().filename().string());
    if (!child) continue;
    const auto stat = read_stat(static_cast<int>(*child));
    if (stat && stat->parent == pid) children.push_back({static_cast<int>(*child), stat->start_time});
  }
  return children;
}

Status send_signal(const ProcessId& process, int signal) {
  if (!is_alive(process))
    return fail(ErrorCode::kFailedPrecondition, fmt::format("process {} is not running", process.pid));
  if (::kill(process.pid, signal) != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("kill {}: {}", process.pid, std::strerror(errno)));
  return {};
}

bool wait_for_end(const ProcessId& process, std::chrono::milliseconds timeout) {
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  while (is_alive(process)) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

std::string tail_of(const fs::path& log, size_t bytes_max) {
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return "(no log at " + log.string() + ")";
  const auto size = static_cast<size_t>(file.tellg());
  const size_t from = size > bytes_max ? size - bytes_max : 0;
  file.seekg(static_cast<std::streamoff>(from));
  std::string text(size - from, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text + " (" + log.string() + ")";
}

fs::path directory_of_this_program() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace tidemark::localcluster
