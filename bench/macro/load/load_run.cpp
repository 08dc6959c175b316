#include "bench/macro/load/load_run.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "base/io/system_clock.h"
#include "bench/macro/load_script.h"
#include "bench/macro/random.h"

namespace tidemark::bench {
namespace {

using io::steady_now;

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kBacklogMax = 4096;  // open loop: requests under way on one connection
constexpr int kEventsMax = 256;
constexpr Duration kStallMax = std::chrono::seconds(10);  // nothing at all came: the server is stuck

struct Connection {
  explicit Connection(LoadProtocol protocol) : replies(protocol) {}
  ~Connection() {
    if (fd >= 0) ::close(fd);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd = -1;
  std::string out;
  size_t sent = 0;
  bool wants_write = false;
  ReplyCounter replies;
  std::deque<Instant> due;  // of the requests under way, oldest first
};

double own_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Load {
 public:
  explicit Load(const LoadConfig& config)
      : config_(config), script_(config.protocol, config.value_bytes), random_(config.seed) {}
  ~Load() {
    if (epoll_ >= 0) ::close(epoll_);
  }

  Result<LoadResult> run() {
    if (Status opened = open(); !opened) return std::unexpected(opened.error());
    started_ = steady_now();
    last_reply_ = started_;
    if (config_.rate <= 0) {
      for (auto& connection : connections_) next_batch(*connection);
    }
    while (!is_over()) {
      if (config_.rate > 0) send_what_is_due();
      if (Status polled = poll(); !polled) return std::unexpected(polled.error());
      if (steady_now() - last_reply_ > kStallMax)
        return fail(ErrorCode::kUnavailable, fmt::format("no reply within {} s", kStallMax.count() / 1'000'000));
    }
    return finish();
  }

 private:
  Status open() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(config_.port);
    if (::inet_pton(AF_INET, config_.host.c_str(), &address.sin_addr) != 1)
      return fail(ErrorCode::kInvalidArgument, fmt::format("host: \"{}\" is not an IPv4 address", config_.host));
    for (uint32_t i = 0; i < config_.connections; ++i) {
      auto connection = std::make_unique<Connection>(config_.protocol);
      connection->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connection->fd < 0 || ::connect(connection->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return fail(ErrorCode::kUnavailable,
                    fmt::format("{}:{}: {}", config_.host, config_.port, std::strerror(errno)));
      const int on = 1;
      ::setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      epoll_event event{.events = EPOLLIN, .data = {.ptr = connection.get()}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd, &event);
      connections_.push_back(std::move(connection));
    }
    return {};
  }

  void append_request(Connection& connection, Instant due) {
    if (config_.fill) {
      script_.append_set(next_key_++, connection.out);
    } else if (config_.get_share >= 1 || random_.uniform() < config_.get_share) {
      script_.append_get(random_.below(config_.keys), connection.out);
    } else {
      script_.append_set(random_.below(config_.keys), connection.out);
    }
    connection.due.push_back(due);
  }

  void next_batch(Connection& connection) {
    const Instant now = steady_now();
    for (uint32_t i = 0; i < config_.depth; ++i) {
      if (config_.fill && next_key_ >= config_.keys) break;
      append_request(connection, now);
    }
    send(connection);
  }

  void send_what_is_due() {
    const Instant now = steady_now();
    const double interval_us = 1e6 / config_.rate;
    while (true) {
      const Instant due = started_ + Duration(static_cast<int64_t>(static_cast<double>(scheduled_) * interval_us));
      if (due > now) break;
      Connection& connection = *connections_[scheduled_++ % connections_.size()];
      if (connection.due.size() >= kBacklogMax) {
        ++shed_;
        continue;
      }
      append_request(connection, due);
    }
    for (auto& connection : connections_) {
      if (connection->sent < connection->out.size() && !connection->wants_write) send(*connection);
    }
  }

  void send(Connection& connection) {
    while (connection.sent < connection.out.size()) {
      const ssize_t count = ::send(connection.fd, connection.out.data() + connection.sent,
                                   connection.out.size() - connection.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0) break;
      connection.sent += static_cast<size_t>(count);
    }
    const bool is_all = connection.sent == connection.out.size();
    if (is_all) {
      connection.out.clear();
      connection.sent = 0;
    }
    if (connection.wants_write == !is_all) return;
    connection.wants_write = !is_all;
    epoll_event event{.events = is_all ? EPOLLIN : EPOLLIN | EPOLLOUT, .data = {.ptr = &connection}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  }

  Status poll() {
    std::array<epoll_event, kEventsMax> events;
    const int count = ::epoll_wait(epoll_, events.data(), kEventsMax, config_.rate > 0 ? wait_ms() : 100);
    for (int i = 0; i < count; ++i) {
      Connection& connection = *static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if ((events[static_cast<size_t>(i)].events & EPOLLOUT) != 0) send(connection);
      if ((events[static_cast<size_t>(i)].events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) continue;
      if (Status read = receive(connection); !read) return read;
    }
    return {};
  }

  // Below a millisecond the loop spins: a sleeping generator would be late itself.
  int wait_ms() const {
    const double next_us = static_cast<double>(scheduled_) * 1e6 / config_.rate;
    const double now_us = static_cast<double>((steady_now() - started_).count());
    return next_us - now_us > 2000 ? 1 : 0;
  }

  Status receive(Connection& connection) {
    const ssize_t count = ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (count <= 0) {
      return fail(ErrorCode::kUnavailable,
                  count == 0 ? "the server closed a connection" : std::string("recv: ") + std::strerror(errno));
    }
    const Instant now = steady_now();
    last_reply_ = now;
    const uint64_t replies = connection.replies.feed({buffer_.data(), static_cast<size_t>(count)});
    if (replies > connection.due.size()) return fail(ErrorCode::kUnavailable, "more replies than requests");
    for (uint64_t i = 0; i < replies; ++i) {
      if (is_measuring_) latency_us_.record((now - connection.due.front()).count());
      connection.due.pop_front();
    }
    replied_ += replies;
    if (config_.rate <= 0 && connection.due.empty()) next_batch(connection);
    return {};
  }

  bool is_over() {
    if (config_.fill) {
      if (!is_measuring_) begin_measuring();
      return replied_ >= config_.keys;
    }
    const Duration elapsed = steady_now() - started_;
    if (!is_measuring_ && elapsed >= config_.warmup) begin_measuring();
    return elapsed >= config_.warmup + config_.run;
  }

  void begin_measuring() {
    is_measuring_ = true;
    measured_from_ = steady_now();
    replied_before_ = replied_;
    own_cpu_before_ = own_cpu_seconds();
    if (config_.pid != 0) cpu_before_ = cpu_seconds_of(config_.pid);
  }

  Result<LoadResult> finish() {
    LoadResult result;
    if (config_.pid != 0) {
      const auto cpu = cpu_seconds_of(config_.pid);
      if (!cpu) return std::unexpected(cpu.error());
      if (!cpu_before_) return std::unexpected(cpu_before_.error());
      result.server_cpu_seconds = *cpu - *cpu_before_;
    }
    result.own_cpu_seconds = own_cpu_seconds() - own_cpu_before_;
    result.seconds = static_cast<double>((steady_now() - measured_from_).count()) * 1e-6;
    result.operations = replied_ - replied_before_;
    result.shed = shed_;
    result.latency_us = latency_us_;
    for (const auto& connection : connections_) {
      result.hits += connection->replies.hits();
      result.misses += connection->replies.misses();
      result.errors += connection->replies.errors();
      if (result.first_error.empty()) result.first_error = connection->replies.first_error();
    }
    return result;
  }

  const LoadConfig& config_;
  LoadScript script_;
  Random random_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  uint64_t next_key_ = 0, scheduled_ = 0, shed_ = 0;
  uint64_t replied_ = 0, replied_before_ = 0;
  Instant started_{}, measured_from_{}, last_reply_{};
  bool is_measuring_ = false;
  double own_cpu_before_ = 0;
  Result<double> cpu_before_ = 0.0;
  Histogram latency_us_;
};

}  // namespace

Result<LoadResult> run_load(const LoadConfig& config) {
  return Load(config).run();
}

}  // namespace tidemark::bench
