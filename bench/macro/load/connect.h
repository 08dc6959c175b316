// A TCP connection without Nagle's delay.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace tidemark::bench {

// The descriptor is the caller's to close. Blocking, close-on-exec.
Result<int> connect_to(const std::string& host, uint16_t port);

}  // namespace tidemark::bench
