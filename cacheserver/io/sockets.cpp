#include "cacheserver/io/sockets.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tidemark::cacheserver::io {
namespace {

constexpr int kListenBacklog = 511;
constexpr int kKeepAliveSeconds = 300;

uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return address.ss_family == AF_INET ? ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port)
                                      : ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
}

Result<Listener> fail_closing(int socket, std::string message) {
  ::close(socket);
  return fail(ErrorCode::kUnavailable, std::move(message));
}

}  // namespace

std::string system_error(const char* what) {
  return fmt::format("{}: {}", what, std::strerror(errno));
}

std::string to_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET) {
    const auto& ip4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &ip4.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(ip4.sin_port));
  }
  const auto& ip6 = reinterpret_cast<const sockaddr_in6&>(address);
  ::inet_ntop(AF_INET6, &ip6.sin6_addr, text, sizeof text);
  return fmt::format("[{}]:{}", text, ntohs(ip6.sin6_port));
}

std::string local_address_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return to_text(address);
}

void set_client_options(int socket) {
  const int on = 1, idle = kKeepAliveSeconds;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
}

Result<Listener> listen_on(const std::string& address, uint16_t port) {
  sockaddr_in ip4{};
  sockaddr_in6 ip6{};
  const sockaddr* target = nullptr;
  socklen_t size = 0;
  if (::inet_pton(AF_INET, address.c_str(), &ip4.sin_addr) == 1) {
    ip4.sin_family = AF_INET;
    ip4.sin_port = htons(port);
    target = reinterpret_cast<const sockaddr*>(&ip4);
    size = sizeof ip4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &ip6.sin6_addr) == 1) {
    ip6.sin6_family = AF_INET6;
    ip6.sin6_port = htons(port);
    target = reinterpret_cast<const sockaddr*>(&ip6);
    size = sizeof ip6;
  } else {
    return fail(ErrorCode::kInvalidArgument, fmt::format("--bind {}: give an IPv4 or IPv6 address", address));
  }
  int socket = ::socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return fail(ErrorCode::kUnavailable, system_error("socket"));
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket, target, size) != 0) {
    return fail_closing(socket, fmt::format("bind {}:{}: {}", address, port, std::strerror(errno)));
  }
  if (::listen(socket, kListenBacklog) != 0) {
    return fail_closing(socket, fmt::format("listen {}:{}: {}", address, port, std::strerror(errno)));
  }
  return Listener{.socket = socket, .port = port_of(socket)};
}

}  // namespace tidemark::cacheserver::io
