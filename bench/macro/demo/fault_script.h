// The planned faults of a run: a node is killed and returns, the replica stops replaying and goes on.
//
// Runs on its own thread, which alone uses the cluster while it runs. Times are parts of the measured run:
//   25 %: SIGKILL of node n2, started again after kFaultLength; the window closes a second after it is ready
//   60 % (or when the node is back): the replica's replay stops for kFaultLength
//   80 %, only as a plant: the primary crashes and is started again; errors until kCrashTail after it are excused
// Threads: start(), finish() by the owner. Limits: a start has LocalCluster's own time limit.
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
  static constexpr std::chrono::seconds kWindowTail{1};
  static constexpr std::chrono::seconds kCrashTail{5};

  struct Options {
    Duration run_length = std::chrono::seconds(60);
    std::string node = "n2";
    std::string replica = "s0-replica1";
    std::string primary = "s0-primary";
    bool crashes_primary = false;       // --plant lost
    std::vector<bool> node_slots;       // flags of the slots that node owns
    std::function<void()> before_kill;  // these are called on the script's thread
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
