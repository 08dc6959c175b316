#include "bench/macro/io/http_get.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Socket {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
};

std::unexpected<Error> http_error(uint16_t port, std::string_view path, std::string_view what) {
  return fail(ErrorCode::kUnavailable, fmt::format("http://127.0.0.1:{}{}: {}", port, path, what));
}

}  // namespace

Result<std::string> http_get(uint16_t port, std::string_view path, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const Socket socket;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return http_error(port, path, std::strerror(errno));
  }
  const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);
  if (::send(socket.fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return http_error(port, path, std::strerror(errno));
  }
  std::string answer;
  while (answer.size() <= kBodyBytesMax) {
    const auto left = std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(0));
    pollfd waiting{socket.fd, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return http_error(port, path, "no answer in time");
    char bytes[16384];
    const ssize_t got = ::recv(socket.fd, bytes, sizeof(bytes), 0);
    if (got < 0) return http_error(port, path, std::strerror(errno));
    if (got == 0) break;
    answer.append(bytes, static_cast<size_t>(got));
  }
  const size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos || !answer.starts_with("HTTP/1.")) return http_error(port, path, "not an HTTP answer");
  if (answer.substr(9, 3) != "200") return http_error(port, path, answer.substr(0, answer.find("\r\n")));
  return answer.substr(body + 4);
}

Result<MetricsText> read_metrics(uint16_t port, milliseconds timeout) {
  const auto body = http_get(port, "/metrics", timeout);
  if (!body) return std::unexpected(body.error());
  return MetricsText::parse(*body);
}

}  // namespace tidemark::bench
