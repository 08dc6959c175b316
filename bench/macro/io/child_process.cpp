#include "bench/macro/io/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kReapInterval{5};

std::unexpected<Error> system_error(std::string_view what) {
  return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", what, std::strerror(errno)));
}

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const std::vector<char*>& arguments, const std::vector<char*>& environment, int input,
                         int output, int error, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  if (error >= 0) ::dup2(error, STDERR_FILENO);
  ::execvpe(arguments.front(), arguments.data(), environment.data());
  ::_exit(127);
}

std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> all = added;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view ours(*entry);
    const auto name = ours.substr(0, ours.find('=') + 1);
    const bool is_replaced =
        std::ranges::any_of(added, [&](const std::string& other) { return other.starts_with(name); });
    if (!is_replaced) all.emplace_back(ours);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

void close_if_open(int& fd) {
  if (fd >= 0) ::close(std::exchange(fd, -1));
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const Options& options) {
  if (options.arguments.empty()) return fail(ErrorCode::kInvalidArgument, "no program to start");
  int input[2] = {-1, -1}, output[2] = {-1, -1};
  int error = -1;
  if (options.with_input) {
    if (::pipe2(input, O_CLOEXEC) != 0) return system_error("pipe");
  } else {
    input[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
  if (::pipe2(output, O_CLOEXEC) != 0) return system_error("pipe");
  if (!options.error_log.empty()) {
    error = ::open(options.error_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (error < 0) return system_error(fmt::format("open {}", options.error_log.string()));
  }
  std::vector<std::string> arguments = options.arguments, environment = environment_with(options.environment);
  const std::vector<char*> argument_pointers = pointers(arguments), environment_pointers = pointers(environment);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(argument_pointers, environment_pointers, input[0], output[1], error, parent);
  close_if_open(input[0]);
  close_if_open(output[1]);
  close_if_open(error);
  if (pid < 0) return system_error(fmt::format("start {}", options.arguments.front()));
  ChildProcess child;
  child.pid_ = pid;
  child.input_ = input[1];
  child.output_ = output[0];
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      input_(std::exchange(other.input_, -1)),
      output_(std::exchange(other.output_, -1)),
      is_output_closed_(other.is_output_closed_),
      is_reaped_(other.is_reaped_),
      status_(other.status_),
      buffer_(std::move(other.buffer_)) {}

ChildProcess::~ChildProcess() {
  close_if_open(input_);
  if (pid_ > 0 && !is_reaped_) {
    signal(SIGTERM);
    if (!wait(kEndTimeout)) {
      signal(SIGKILL);
      (void)wait(kEndTimeout);
    }
  }
  close_if_open(output_);
}

Status ChildProcess::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::write(input_, text.data(), text.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return system_error(fmt::format("write to process {}", pid_));
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return {};
}

void ChildProcess::close_input() {
  close_if_open(input_);
}

std::optional<std::string> ChildProcess::read_line(milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (true) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos || buffer_.size() >= kLineBytesMax) {
      std::string line = buffer_.substr(0, std::min(end, kLineBytesMax));
      buffer_.erase(0, end == std::string::npos ? buffer_.size() : end + 1);
      return line;
    }
    if (is_output_closed_) {
      if (buffer_.empty()) return std::nullopt;
      return std::exchange(buffer_, {});
    }
    const auto left = std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(0));
    pollfd waiting{output_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    char bytes[16384];
    const ssize_t got = ::read(output_, bytes, sizeof(bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      is_output_closed_ = true;
    } else {
      buffer_.append(bytes, static_cast<size_t>(got));
    }
  }
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0 && !is_reaped_) ::kill(pid_, number);
}

Result<int> ChildProcess::wait(milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (!is_reaped_) {
    const pid_t ended = ::waitpid(pid_, &status_, WNOHANG);
    if (ended == pid_ || (ended < 0 && errno == ECHILD)) {
      is_reaped_ = true;
      break;
    }
    if (Clock::now() >= deadline) {
      return fail(ErrorCode::kDeadlineExceeded,
                  fmt::format("process {} still runs after {} ms", pid_, timeout.count()));
    }
    std::this_thread::sleep_for(kReapInterval);
  }
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

}  // namespace tidemark::bench
