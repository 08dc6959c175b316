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
  static constexpr uint64_t kKeysMax = 1'000'000'000;
  static constexpr uint32_t kSizePhasesMax = 100;
  static constexpr uint64_t kValueBytesMax = 64 << 20;

  std::string host = "127.0.0.1";  // an address of this machine
  uint16_t port = 6379;
  LoadProtocol protocol = LoadProtocol::kResp;
  uint32_t connections = 50;
  uint32_t depth = 1;            // requests under way per connection; closed loop: sent and awaited as one batch
  uint64_t keys = 1'000'000;     // 16 bytes each, chosen uniformly
  uint64_t first_key = 0;        // fill: begin with this one
  uint64_t value_bytes = 32;     // the least size
  uint64_t value_bytes_max = 0;  // sizes are uniform from value_bytes to this; 0: all have value_bytes
  uint32_t size_phases = 1;      // the range of sizes in so many slices, one after the other (LoadMix)
  double get_share = 1.0;        // of the requests; the others are SETs …
  double delete_share = 0;       // … or DELs
  double ttl_share = 0;          // of the SETs
  Duration ttl = std::chrono::seconds(60);
  Duration run = std::chrono::seconds(5);
  Duration warmup = std::chrono::seconds(1);
  uint64_t operations = 0;  // end after so many requests, whatever time they take, without warm-up; 0: after `run`
  double rate = 0;          // requests per second, open loop; 0: closed loop, as fast as the server answers
  bool fill = false;        // SET every key once, in order, and leave
  uint64_t seed = 1;
  uint32_t pid = 0;            // of the server: its CPU time is counted, its memory sampled; 0: not
  bool counts_live = false;    // keep account of what lives in the server (LiveModel)
  Duration sample_every{0};    // 0: no samples
  std::string replay{};        // a trace (read_or_make_trace) to replay instead: GET, and after a miss SET
  uint64_t uniform_bytes = 0;  // replay: every value has this size; 0: as the trace says
};

}  // namespace tidemark::bench
