// What tidemark-demo was asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/clock.h"

namespace tidemark::bench {

enum class Plant : uint8_t { kNone, kStale, kLost, kOversell };

struct DemoConfig {
  std::filesystem::path directory = "build/demo";
  std::filesystem::path source = ".";  // the repository's root: the service's schema and families are read there
  std::string packages;                // file with a package index; empty: `apt-cache dumpavail`
  Duration seconds = std::chrono::seconds(60);
  Duration warmup = std::chrono::seconds(10);
  Duration cold = std::chrono::seconds(2);
  Duration bypass = std::chrono::seconds(5);
  Duration deadline = std::chrono::milliseconds(500);
  uint64_t seed = 1;
  uint32_t shards = 2;
  uint32_t relays = 2;
  double visit_share = 0.12;  // of the arrivals: customers who sign in, order, look back
  double section_share = 0.01, search_share = 0.01;
  Duration order_deadline = std::chrono::seconds(2);
  double rate = 500;
  double writer_rate = 20;       // rows per second that psql changes
  uint32_t seasonal_count = 50;  // names that psql inserts and deletes
  bool keep = false;
  std::function<bool()> is_interrupted = [] { return false; };  // Ctrl-C: end everything in order, give no verdict
  Plant plant = Plant::kNone;
  std::string then;    // empty, or add-shard: after the demo, on the running system
  std::string outage;  // empty: the demo; else primary, replica, invalidator, node or all
  Duration outage_length = std::chrono::seconds(10);
};

}  // namespace tidemark::bench
