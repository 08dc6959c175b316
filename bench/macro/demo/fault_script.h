// The planned faults of a run, one after the other: each begins at its part of the measured run (or when the one before
// it has ended), lasts kFaultLength, and ends well before the next.
//
//   15 %: SIGKILL of node n2, started again; its window closes a second after it is ready. The only window there is
//   35 %: the replay of one replica stops, and goes on
//   55 %: SIGKILL of the invalidator, started again
//   75 %: SIGKILL of a relay in the middle of a saga (some order is under way), started again
//   75 %, instead, as a plant: a primary crashes and is started again; errors until kCrashTail after it are excused
//
// Runs on its own thread, which alone uses the cluster while it runs. Threads: start(), finish() by the owner. Limits:
// a start has LocalCluster's own time limit; kSagaWait for a saga to be under way.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bench/macro/fault_report.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

class FaultScript {
 public:
  static constexpr std::chrono::seconds kFaultLength{5};
  static constexpr std::chrono::milliseconds kSagaWait{500};
  static constexpr std::chrono::seconds kWindowTail{1};
  static constexpr std::chrono::seconds kCrashTail{5};
  static constexpr std::chrono::milliseconds kVolatileTime{500};

  struct Options {
    Duration run_length = std::chrono::seconds(60);
    std::string node = "n2";
    std::string replica = "s0-replica1";
    std::string invalidator = "invalidator";
    std::string relay;  // empty: there is none
    std::string primary = "s0-primary";
    bool crashes_primary = false;  // --plant lost
    std::vector<bool> node_slots;  // flags of the slots that node owns
    // These are called on the script's thread.
    std::function<void(const std::string& process)> before_kill;
    std::function<Status()> before_crash;  // kVolatileTime before the primary crashes
    std::function<void(const std::string& process)> after_start;
    std::function<bool()> is_saga_under_way;
    std::function<void(const std::string&)> on_event;
  };
  struct Outcome {
    std::vector<FaultWindow> windows;
    nlohmann::json events = nlohmann::json::array();
    Status status;  // of the last step that failed
  };

  // The cluster outlives the script and is left alone by others until finish().
  static std::unique_ptr<FaultScript> start(localcluster::LocalCluster& cluster, Options options);
  virtual ~FaultScript() = default;

  // Waits for the script's end. To be called once.
  virtual Outcome finish() = 0;
};

}  // namespace tidemark::bench
