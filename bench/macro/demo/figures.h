// Figures out of the counters that the programs export, and a queue of events between two threads.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "bench/macro/demo/demo_cluster.h"
#include "bench/macro/demo_summary.h"

namespace tidemark::bench {

// Rows the catalog service read from the database between two moments, by its own count: loads after a miss and
// bypasses.
double database_reads(const Counters& before, const Counters& after);

// From the nodes' histograms: commit (its stamp in the log) to applied at the node. A node that was killed in between
// begins its histogram anew: `killed` holds what it had counted just before.
LagFigures lag_between(const Counters& before, const std::map<std::string, MetricsText>& killed, const Counters& after);

class EventQueue {
 public:
  void put(std::string event);
  std::vector<std::string> take();

 private:
  std::mutex mutex_;
  std::vector<std::string> events_;
};

}  // namespace tidemark::bench
