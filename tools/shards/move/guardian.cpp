#include "tools/shards/move/guardian.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

namespace tidemark::shards {
namespace {

using namespace std::chrono_literals;
constexpr int kTriesMax = 20;
constexpr auto kTryInterval = 500ms;

// True: the fence is up and nobody has shown himself for too long.
bool is_silent(std::optional<PgLink>& link, const MoveOptions& options) {
  if (!link) {
    auto opened = PgLink::connect("guardian", options.source.admin);
    if (!opened) return false;
    link.emplace(std::move(*opened));
  }
  const auto silent = link->value(
      "SELECT step = 'fenced' AND heartbeat < clock_timestamp() - $2::interval FROM shard.move WHERE move_id = $1",
      {options.move_id, fmt::format("{} ms", Mover::kSilentFencedMax.count())});
  if (!silent) link.reset();
  return silent && *silent == "t";
}

void drive(const MoveOptions& options) {
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    const auto report = Mover(options).run();
    if (report) {
      options.log("guardian: " + report->outcome);
      return;
    }
    options.log("guardian: " + report.error().message);
    std::this_thread::sleep_for(kTryInterval);
  }
}

[[noreturn]] void watch_over(MoveOptions options, int pipe) {
  ::setsid();                      // what ends the parent's terminal does not end us
  ::unsetenv("TIDEMARK_KILL_AT");  // meant for the parent, in tests
  std::optional<PgLink> link;
  while (true) {
    pollfd fd{pipe, POLLIN, 0};
    const int ready = ::poll(&fd, 1, Guardian::kPollMs);
    if (ready > 0) {
      char byte = 0;
      if (::read(pipe, &byte, 1) == 1) ::_exit(0);
      options.log("guardian: the process that drove the move is gone; going on");
      break;
    }
    if (is_silent(link, options)) {
      options.log("guardian: the process that drives the move is silent while writers wait; taking over");
      break;
    }
  }
  link.reset();
  drive(options);
  ::_exit(0);
}

}  // namespace

Result<Guardian> Guardian::start(const MoveOptions& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(ErrorCode::kUnavailable, std::string("pipe: ") + std::strerror(errno));
  const int pid = ::fork();
  if (pid < 0) return fail(ErrorCode::kUnavailable, std::string("fork: ") + std::strerror(errno));
  if (pid == 0) {
    ::close(ends[1]);
    watch_over(options, ends[0]);
  }
  ::close(ends[0]);
  ::signal(SIGPIPE, SIG_IGN);  // a guardian that is gone is no reason to die
  return Guardian(ends[1], pid);
}

void Guardian::dismiss() {
  if (pipe_ < 0) return;
  const char done = 'd';
  (void)!::write(pipe_, &done, 1);
  ::close(pipe_);
  pipe_ = -1;
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace tidemark::shards
