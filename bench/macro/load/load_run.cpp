#include "bench/macro/load/load_run.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "base/io/system_clock.h"
#include "bench/macro/load/connect.h"
#include "bench/macro/load/server_process.h"
#include "bench/macro/load_mix.h"
#include "bench/macro/load_script.h"

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
  // The requests under way, oldest first; those that were due together stand together.
  struct Due {
    Instant at;
    uint64_t count = 0;
  };
  std::deque<Due> due;
  uint64_t under_way = 0;
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
  Load(const LoadConfig& config, const std::function<void(const LoadSample&)>& on_sample)
      : config_(config),
        on_sample_(on_sample),
        script_(config.protocol, std::max(config.value_bytes, config.value_bytes_max)),
        mix_(config),
        live_(config.counts_live ? config.keys : 0) {
    if (config.fill) requests_max_ = config.keys - config.first_key;
    if (config.operations > 0) requests_max_ += config.operations;
    if (requests_max_ == 0) requests_max_ = UINT64_MAX;
  }
  ~Load() {
    if (epoll_ >= 0) ::close(epoll_);
  }

  Result<LoadResult> run() {
    if (Status opened = open(); !opened) return std::unexpected(opened.error());
    started_ = steady_now();
    last_reply_ = started_;
    next_sample_ = started_ + config_.sample_every;
    if (config_.rate <= 0) {
      for (auto& connection : connections_) next_batch(*connection);
    }
    while (!is_over()) {
      if (config_.rate > 0) send_what_is_due();
      if (Status polled = poll(); !polled) return std::unexpected(polled.error());
      const Instant now = steady_now();
      if (config_.sample_every.count() > 0 && now >= next_sample_) sample(now);
      if (now - last_reply_ > kStallMax)
        return fail(ErrorCode::kUnavailable, fmt::format("no reply within {} s", kStallMax.count() / 1'000'000));
    }
    return finish();
  }

 private:
  Status open() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < config_.connections; ++i) {
      auto connection = std::make_unique<Connection>(config_.protocol);
      auto fd = connect_to(config_.host, config_.port);
      if (!fd) return std::unexpected(fd.error());
      connection->fd = *fd;
      epoll_event event{.events = EPOLLIN, .data = {.ptr = connection.get()}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd, &event);
      connections_.push_back(std::move(connection));
    }
    return {};
  }

  void append_request(Connection& connection, Instant now) {
    const LoadRequest request = mix_.next();
    ++requested_;
    switch (request.kind) {
      case LoadRequest::Kind::kGet:
        script_.append_get(request.key, connection.out);
        break;
      case LoadRequest::Kind::kSet:
        script_.append_set(request.key, request.value_bytes, request.ttl_ms, connection.out);
        break;
      case LoadRequest::Kind::kDelete:
        script_.append_delete(request.key, connection.out);
        break;
    }
    if (config_.counts_live) live_.apply(request, milliseconds_of(now));
  }

  uint64_t milliseconds_of(Instant now) const { return static_cast<uint64_t>((now - started_).count()) / 1000; }

  void next_batch(Connection& connection) {
    const uint64_t count = std::min<uint64_t>(config_.depth, requests_max_ - requested_);
    if (count == 0) return;
    const Instant now = steady_now();
    for (uint64_t i = 0; i < count; ++i) append_request(connection, now);
    connection.due.push_back({.at = now, .count = count});
    connection.under_way += count;
    send(connection);
  }

  void send_what_is_due() {
    const Instant now = steady_now();
    const double interval_us = 1e6 / config_.rate;
    while (true) {
      const Instant due = started_ + Duration(static_cast<int64_t>(static_cast<double>(scheduled_) * interval_us));
      if (due > now) break;
      Connection& connection = *connections_[scheduled_++ % connections_.size()];
      if (connection.under_way >= kBacklogMax) {
        ++shed_;
        continue;
      }
      append_request(connection, due);
      connection.due.push_back({.at = due, .count = 1});
      ++connection.under_way;
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
    if (replies > connection.under_way) return fail(ErrorCode::kUnavailable, "more replies than requests");
    take_off(connection, replies, now);
    if (config_.rate <= 0 && connection.under_way == 0) next_batch(connection);
    return {};
  }

  void take_off(Connection& connection, uint64_t replies, Instant now) {
    connection.under_way -= replies;
    replied_ += replies;
    while (replies > 0) {
      Connection::Due& oldest = connection.due.front();
      const uint64_t count = std::min(replies, oldest.count);
      if (is_measuring_) latency_us_.record((now - oldest.at).count(), count);
      replies -= count;
      oldest.count -= count;
      if (oldest.count == 0) connection.due.pop_front();
    }
  }

  void sample(Instant now) {
    next_sample_ += config_.sample_every;
    if (config_.counts_live) live_.expire(milliseconds_of(now));
    LoadSample sample{.at_s = static_cast<double>((now - started_).count()) * 1e-6,
                      .operations = replied_,
                      .live_items = live_.items(),
                      .live_bytes = live_.bytes()};
    if (config_.pid != 0) sample.rss_bytes = rss_bytes_of(config_.pid).value_or(0);
    samples_.push_back(sample);
    if (on_sample_) on_sample_(sample);
  }

  bool is_over() {
    if (requests_max_ != UINT64_MAX) {
      if (!is_measuring_) begin_measuring();
      return replied_ >= requests_max_;
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
    if (config_.sample_every.count() > 0) sample(steady_now());
    result.samples = std::move(samples_);
    for (const auto& connection : connections_) {
      result.hits += connection->replies.hits();
      result.misses += connection->replies.misses();
      result.errors += connection->replies.errors();
      if (result.first_error.empty()) result.first_error = connection->replies.first_error();
    }
    return result;
  }

  const LoadConfig& config_;
  const std::function<void(const LoadSample&)>& on_sample_;
  LoadScript script_;
  LoadMix mix_;
  LiveModel live_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  uint64_t requests_max_ = 0;
  uint64_t requested_ = 0, scheduled_ = 0, shed_ = 0;
  uint64_t replied_ = 0, replied_before_ = 0;
  Instant started_{}, measured_from_{}, last_reply_{}, next_sample_{};
  std::vector<LoadSample> samples_;
  bool is_measuring_ = false;
  double own_cpu_before_ = 0;
  Result<double> cpu_before_ = 0.0;
  Histogram latency_us_;
};

}  // namespace

Result<LoadResult> run_load(const LoadConfig& config, const std::function<void(const LoadSample&)>& on_sample) {
  return Load(config, on_sample).run();
}

}  // namespace tidemark::bench
