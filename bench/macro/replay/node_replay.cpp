#include "bench/macro/replay/node_replay.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/parse.h"

namespace tidemark::bench {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr std::array kRespFigures = {"used_memory", "used_memory_rss", "maxmemory", "maxmemory_policy", "evicted_keys"};
constexpr std::array kMemcachedFigures = {"bytes", "limit_maxbytes", "curr_items", "evictions"};

bool is_wanted(std::string_view name, NodeProtocol protocol) {
  const auto has = [name](const auto& names) {
    for (const char* known : names) {
      if (name == known) return true;
    }
    return false;
  };
  return protocol == NodeProtocol::kResp ? has(kRespFigures) : has(kMemcachedFigures);
}

Result<int> open_socket(const NodeAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (const int failed = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found); failed != 0)
    return fail(ErrorCode::kInvalidArgument, fmt::format("host {}: {}", address.host, ::gai_strerror(failed)));
  int last_error = 0;
  int fd = -1;
  for (const addrinfo* at = found; at != nullptr && fd < 0; at = at->ai_next) {
    fd = ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ::connect(fd, at->ai_addr, at->ai_addrlen) == 0) break;
    last_error = errno;
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  ::freeaddrinfo(found);
  if (fd >= 0) return fd;
  return fail(ErrorCode::kUnavailable, fmt::format("{}:{}: {}", address.host, address.port, std::strerror(last_error)));
}

}  // namespace

Result<NodeReplay> NodeReplay::connect(const NodeAddress& address) {
  auto fd = open_socket(address);
  if (!fd) return std::unexpected(fd.error());
  NodeReplay replay(address.protocol);
  replay.socket_ = *fd;
  const int on = 1;
  ::setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval timeout{.tv_sec = kReplyTimeout.count() / 1'000'000, .tv_usec = 0};
  ::setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  return replay;
}

NodeReplay::NodeReplay(NodeReplay&& other) noexcept
    : protocol_(other.protocol_),
      socket_(std::exchange(other.socket_, -1)),
      out_(std::move(other.out_)),
      in_(std::move(other.in_)),
      read_(other.read_),
      value_(std::move(other.value_)) {}

NodeReplay::~NodeReplay() {
  if (socket_ >= 0) ::close(socket_);
}

Status NodeReplay::run(const Trace& trace, uint32_t value_bytes,
                       const std::function<bool(const ReplayCounts&)>& keep_on, ReplayCounts& counts) {
  bool is_set_under_way = false;
  for (const uint32_t number : trace.requests) {
    const std::string key = std::to_string(number);
    append_get(key);
    if (Status sent = send(); !sent) return sent;
    if (is_set_under_way) {
      if (Status set = read_set(counts); !set) return set;
    }
    auto hit = read_get();
    if (!hit) return std::unexpected(hit.error());
    ++counts.requests;
    counts.hits += *hit ? 1 : 0;
    is_set_under_way = !*hit;
    if (is_set_under_way) append_set(key, value_bytes != 0 ? value_bytes : trace.sizes[number]);
    if (!keep_on(counts)) break;
  }
  if (!is_set_under_way) return {};
  if (Status sent = send(); !sent) return sent;
  return read_set(counts);
}

Result<NodeFigures> NodeReplay::figures() {
  out_ += protocol_ == NodeProtocol::kResp ? "*1\r\n$4\r\nINFO\r\n" : "stats\r\n";
  if (Status sent = send(); !sent) return std::unexpected(sent.error());
  NodeFigures figures;
  size_t left = 0;
  if (protocol_ == NodeProtocol::kResp) {
    auto head = read_line();
    if (!head) return std::unexpected(head.error());
    auto bytes = parse_u64(std::string_view(*head).substr(head->empty() ? 0 : 1));
    if (!head->starts_with('$') || !bytes)
      return fail(ErrorCode::kInternal, fmt::format("INFO was answered {}", *head));
    left = *bytes + 2;
  }
  while (protocol_ == NodeProtocol::kMemcached || left > 0) {
    auto line = read_line();
    if (!line) return std::unexpected(line.error());
    if (protocol_ == NodeProtocol::kMemcached && *line == "END") break;
    if (protocol_ == NodeProtocol::kResp) left -= std::min(left, line->size() + 2);
    std::string_view text = *line;
    if (text.starts_with("STAT ")) text.remove_prefix(5);
    const size_t cut = text.find(protocol_ == NodeProtocol::kResp ? ':' : ' ');
    if (cut == std::string_view::npos || !is_wanted(text.substr(0, cut), protocol_)) continue;
    figures.emplace_back(text.substr(0, cut), text.substr(cut + 1));
  }
  return figures;
}

void NodeReplay::append_get(const std::string& key) {
  if (protocol_ == NodeProtocol::kResp) {
    fmt::format_to(std::back_inserter(out_), "*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", key.size(), key);
  } else {
    fmt::format_to(std::back_inserter(out_), "get {}\r\n", key);
  }
}

void NodeReplay::append_set(const std::string& key, uint32_t bytes) {
  if (value_.size() < bytes) value_.resize(bytes, 'v');
  if (protocol_ == NodeProtocol::kResp) {
    fmt::format_to(std::back_inserter(out_), "*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n${}\r\n", key.size(), key, bytes);
  } else {
    fmt::format_to(std::back_inserter(out_), "set {} 0 0 {}\r\n", key, bytes);
  }
  out_.append(value_, 0, bytes);
  out_ += "\r\n";
}

Result<bool> NodeReplay::read_get() {
  auto head = read_line();
  if (!head) return std::unexpected(head.error());
  if (protocol_ == NodeProtocol::kMemcached) {
    if (*head == "END") return false;
    const size_t space = head->rfind(' ');
    auto bytes = parse_u64(std::string_view(*head).substr(space + 1));
    if (!head->starts_with("VALUE ") || !bytes)
      return fail(ErrorCode::kInternal, fmt::format("get was answered \"{}\"", *head));
    if (Status skipped = skip(*bytes + 2 + std::strlen("END\r\n")); !skipped) return std::unexpected(skipped.error());
    return true;
  }
  if (*head == "$-1" || *head == "_") return false;
  auto bytes = parse_u64(std::string_view(*head).substr(head->empty() ? 0 : 1));
  if (!head->starts_with('$') || !bytes)
    return fail(ErrorCode::kInternal, fmt::format("GET was answered \"{}\"", *head));
  if (Status skipped = skip(*bytes + 2); !skipped) return std::unexpected(skipped.error());
  return true;
}

Status NodeReplay::read_set(ReplayCounts& counts) {
  auto reply = read_line();
  if (!reply) return std::unexpected(reply.error());
  if (*reply == "+OK" || *reply == "STORED") return {};
  if (counts.refused++ == 0) counts.first_refusal = *reply;
  return {};
}

Status NodeReplay::send() {
  std::string_view left = out_;
  while (!left.empty()) {
    const ssize_t sent = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(ErrorCode::kUnavailable, fmt::format("sending: {}", std::strerror(errno)));
    left.remove_prefix(static_cast<size_t>(sent));
  }
  out_.clear();
  return {};
}

Status NodeReplay::fill() {
  if (read_ == in_.size()) {
    in_.clear();
    read_ = 0;
  }
  const size_t before = in_.size();
  in_.resize(before + kReadBytes);
  ssize_t got = -1;
  do {
    got = ::recv(socket_, in_.data() + before, kReadBytes, 0);
  } while (got < 0 && errno == EINTR);
  in_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got > 0) return {};
  if (got == 0) return fail(ErrorCode::kUnavailable, "the server closed the connection");
  if (errno == EAGAIN)
    return fail(ErrorCode::kDeadlineExceeded, fmt::format("no reply within {} s", kReplyTimeout.count() / 1'000'000));
  return fail(ErrorCode::kUnavailable, fmt::format("receiving: {}", std::strerror(errno)));
}

Result<std::string> NodeReplay::read_line() {
  for (size_t from = read_;;) {
    const size_t end = in_.find("\r\n", from);
    if (end != std::string::npos) {
      std::string line = in_.substr(read_, end - read_);
      read_ = end + 2;
      return line;
    }
    if (Status filled = fill(); !filled) return std::unexpected(filled.error());
    from = read_;
  }
}

Status NodeReplay::skip(size_t bytes) {
  for (;;) {
    const size_t here = std::min(bytes, in_.size() - read_);
    read_ += here;
    bytes -= here;
    if (bytes == 0) return {};
    if (Status filled = fill(); !filled) return filled;
  }
}

}  // namespace tidemark::bench
