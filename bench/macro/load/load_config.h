// What tidemark-load was asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace tidemark::bench {

enum class LoadProtocol : uint8_t { kResp, kMemcached };

struct LoadConfig {
  static constexpr uint32_t kConnectionsMax = 1024;
  static constexpr uint32_t kDepthMax = 1024;

  std::string host = "127.0.0.1";  // an address of this machine
  uint16_t port = 6379;
  LoadProtocol protocol = LoadProtocol::kResp;
  uint32_t connections = 50;
  uint32_t depth = 1;         // requests under way per connection; closed loop: sent and awaited as one batch
  uint64_t keys = 1'000'000;  // 16 bytes each, chosen uniformly
  uint64_t value_bytes = 32;
  double get_share = 1.0;  // of the requests; the others are SETs
  Duration run = std::chrono::seconds(5);
  Duration warmup = std::chrono::seconds(1);
  double rate = 0;    // requests per second, open loop; 0: closed loop, as fast as the server answers
  bool fill = false;  // SET every key once, in order, and leave
  uint64_t seed = 1;
  uint32_t pid = 0;  // of the server: its CPU time is counted; 0: not
};

}  // namespace tidemark::bench
