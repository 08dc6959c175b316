// Sockets of a worker: the listening one, and what every client's gets.
//
// Threads: any. I/O: system calls.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace tidemark::cacheserver::io {

// A bound, listening socket.
struct Listener {
  int socket = -1;
  uint16_t port = 0;
};
// kUnavailable names the address. port 0: the system chooses.
Result<Listener> listen_on(const std::string& address, uint16_t port);

std::string system_error(const char* what);  // "socket: Too many open files"
std::string to_text(const sockaddr_storage& address);
std::string local_address_of(int socket);
void set_client_options(int socket);

}  // namespace tidemark::cacheserver::io
