#include "bench/macro/load/replay_run.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_set>

#include "base/io/system_clock.h"
#include "bench/macro/load/connect.h"
#include "bench/macro/load/server_process.h"
#include "bench/macro/load_script.h"

namespace tidemark::bench {
namespace {

constexpr size_t kBatch = 512;
constexpr uint64_t kBatchBytesMax = 1 << 20;  // of values: a server's buffers shall not count as its cache
constexpr size_t kReadBytes = 256 << 10;
constexpr timeval kSilenceMax{.tv_sec = 30, .tv_usec = 0};  // the server is stuck

class Replay {
 public:
  Replay(const LoadConfig& config, const Trace& trace, uint64_t value_bytes_max)
      : config_(config), trace_(trace), script_(config.protocol, value_bytes_max), replies_(config.protocol) {}
  ~Replay() {
    if (fd_ >= 0) ::close(fd_);
  }

  Result<ReplayResult> run() {
    auto fd = connect_to(config_.host, config_.port);
    if (!fd) return std::unexpected(fd.error());
    fd_ = *fd;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kSilenceMax, sizeof kSilenceMax);
    const Instant started = io::steady_now();
    for (size_t from = 0; from < trace_.requests.size();) {
      const size_t end = batch_end(from);
      if (Status done = replay(from, end); !done) return std::unexpected(done.error());
      from = end;
    }
    result_.requests = trace_.requests.size();
    result_.seconds = static_cast<double>((io::steady_now() - started).count()) * 1e-6;
    if (config_.pid != 0) result_.rss_bytes = rss_bytes_of(config_.pid).value_or(0);
    return result_;
  }

 private:
  size_t batch_end(size_t from) const {
    size_t end = from + 1;
    uint64_t bytes = size_of(trace_.requests[from]);
    while (end < trace_.requests.size() && end - from < kBatch) {
      bytes += size_of(trace_.requests[end]);
      if (bytes > kBatchBytesMax) break;
      ++end;
    }
    return end;
  }

  // First every key of the batch is asked for once; then what missed is set, and after that the keys that came again
  // are asked for again, so that they find what the first request brought.
  Status replay(size_t from, size_t end) {
    again_.clear();
    first_.clear();
    out_.clear();
    for (size_t i = from; i < end; ++i) (seen_.insert(trace_.requests[i]).second ? first_ : again_).push_back(i);
    seen_.clear();
    for (size_t i : first_) script_.append_get(trace_.requests[i], out_);
    if (Status asked = exchange(first_.size()); !asked) return asked;
    if (replies_.errors() > 0)
      return fail(ErrorCode::kUnavailable, "a GET was answered with \"" + replies_.first_error() + "\"");
    out_.clear();
    const size_t misses = count_and_set();
    // Behind the SETs, so that all of them have been read before the first value is answered: nobody waits for a peer
    // that waits itself.
    for (size_t i : again_) script_.append_get(trace_.requests[i], out_);
    if (Status set = exchange(misses + again_.size()); !set) return set;
    for (size_t i = 0; i < again_.size() && i < lookups_.size(); ++i) count(trace_.requests[again_[i]], lookups_[i]);
    result_.refused += replies_.errors();
    return {};
  }

  size_t count_and_set() {
    size_t misses = 0;
    for (size_t i = 0; i < first_.size(); ++i) {
      const uint32_t key = trace_.requests[first_[i]];
      count(key, lookups_[i]);
      if (lookups_[i] == Lookup::kHit) continue;
      script_.append_set(key, size_of(key), 0, out_);
      ++misses;
    }
    return misses;
  }

  void count(uint32_t key, Lookup outcome) {
    result_.bytes += size_of(key);
    if (outcome == Lookup::kMiss) return;
    ++result_.hits;
    result_.hit_bytes += size_of(key);
  }

  uint64_t size_of(uint32_t key) const { return config_.uniform_bytes > 0 ? config_.uniform_bytes : trace_.sizes[key]; }

  // Requests and replies are never both large: GETs are short, and so are the answers to SETs.
  Status exchange(uint64_t replies_due) {
    lookups_.clear();
    replies_ = ReplyCounter(config_.protocol);
    replies_.note_lookups_in(&lookups_);
    for (size_t sent = 0; sent < out_.size();) {
      const ssize_t count = ::send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail(ErrorCode::kUnavailable, std::string("send: ") + std::strerror(errno));
      sent += static_cast<size_t>(count);
    }
    while (replies_due > 0) {
      const ssize_t count = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        return fail(ErrorCode::kUnavailable,
                    count == 0 ? "the server closed the connection" : std::string("recv: ") + std::strerror(errno));
      }
      const uint64_t replies = replies_.feed({buffer_.data(), static_cast<size_t>(count)});
      if (replies > replies_due) return fail(ErrorCode::kUnavailable, "more replies than requests");
      replies_due -= replies;
    }
    return {};
  }

  const LoadConfig& config_;
  const Trace& trace_;
  LoadScript script_;
  ReplyCounter replies_;
  std::vector<Lookup> lookups_;
  std::vector<size_t> first_, again_;  // places in the trace
  std::unordered_set<uint32_t> seen_;
  int fd_ = -1;
  std::string out_;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  ReplayResult result_;
};

}  // namespace

Result<ReplayResult> run_replay(const LoadConfig& config, const Trace& trace) {
  uint64_t largest = config.uniform_bytes;
  for (uint32_t size : trace.sizes) largest = std::max<uint64_t>(largest, size);
  if (largest > LoadConfig::kValueBytesMax)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the trace has a value of {} bytes; at most {}", largest, LoadConfig::kValueBytesMax));
  return Replay(config, trace, largest).run();
}

}  // namespace tidemark::bench
