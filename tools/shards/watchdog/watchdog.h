// Watches every shard's moves and goes on with those that nobody drives: `tidemark-shards watchdog`, a standing
// program.
//
// A move's guardian lives on the tool's own machine. This one may run anywhere, and several may: the advisory lock of a
// move keeps them, guardians and tools to one at a time, and the loser leaves. It holds nothing of its own: it may be
// ended at any moment, and what it was doing is an abandoned move again.
// Threads: one per shard that looks (a shard that hangs delays no other), one per move that is driven, and run()'s own.
// Limits: the constants; a move that cannot be driven is tried again after kRetryFirst, doubling up to kRetryMax.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/io/log.h"
#include "base/io/metrics.h"
#include "base/result.h"
#include "shardrouter/rebalance/watchdog_rule.h"

namespace tidemark::shards {

struct WatchdogOptions {
  std::string shards_file;
  std::string topology;  // "file:DIR"; both are read again every kReadInterval, and for every move that is driven
  shardrouter::WatchdogLimits limits;
};

class Watchdog {
 public:
  static constexpr std::chrono::milliseconds kLookInterval{100};
  static constexpr std::chrono::seconds kReadInterval{5};
  static constexpr std::chrono::milliseconds kReconnectInterval{500};
  static constexpr std::chrono::milliseconds kAnswerLimit{2000};  // a shard that says nothing longer is asked anew
  static constexpr std::chrono::seconds kRetryFirst{1};
  static constexpr std::chrono::seconds kRetryMax{60};
  static constexpr size_t kDrivenMax = 8;  // moves at once; more wait their turn
  static constexpr std::chrono::seconds kStopLimit{2};

  static Result<std::unique_ptr<Watchdog>> start(WatchdogOptions options, io::Log log);
  virtual ~Watchdog() = default;

  // Decides every kLookInterval, until `is_stopping` says so. Then waits, at most kStopLimit, while a move that is
  // driven here is between its fence and its hand-over; the caller must end the process: moves may still be driven.
  virtual void run(const std::function<bool()>& is_stopping) = 0;
  virtual std::vector<io::MetricFamily> metrics() const = 0;  // from any thread
  virtual std::vector<std::string> unanswered() const = 0;    // shards that do not answer; from any thread
};

}  // namespace tidemark::shards
