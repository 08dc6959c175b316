// `tidemark-shards watchdog`: a standing program that goes on with moves nobody drives, until SIGTERM.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/io/options.h"

namespace tidemark::shards {

struct WatchdogArguments {
  std::string shards_file;
  std::string topology;
  std::string abandoned = "give-up";
  Duration abandoned_after = std::chrono::seconds(60);
  uint16_t metrics_port = 0;
  std::string ready_file;
};

void declare(io::Options& verb, WatchdogArguments& given);
int run_watchdog(const WatchdogArguments& given);  // the exit code

}  // namespace tidemark::shards
