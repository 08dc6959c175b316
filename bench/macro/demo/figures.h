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

// Requests to the catalog, of a shop's report: those that also come when no customers do.
double browsing_requests(const nlohmann::json& shop_report);

// Loads of rows by all services, by shard and role: "0/primary", "0/replica".
std::map<std::string, uint64_t> reads_by_server(uint32_t shards, const Counters& before, const Counters& after);

// The cost of orders in statements, by the services' own counts.
void count_order_statements(const Counters& before, const std::map<std::string, MetricsText>& killed,
                            const Counters& after, ShopFigures& figures);

// Readings of the nodes' histograms "commit (its stamp in the log) to applied at the node" at the ends of the stretches
// of a run; a node that was killed begins its histogram anew, its last reading stands among the ends.
class LagReadings {
 public:
  void begin_stretch(const std::map<std::string, MetricsText>& nodes) { add(nodes, -1); }
  void end_stretch(const std::map<std::string, MetricsText>& nodes) { add(nodes, 1); }
  LagFigures figures() const;

 private:
  void add(const std::map<std::string, MetricsText>& nodes, double sign);

  std::map<double, double> live_;  // cumulative counts by upper edge
  double replayed_ = 0;
};

class EventQueue {
 public:
  void put(std::string event);
  std::vector<std::string> take();

 private:
  std::mutex mutex_;
  std::vector<std::string> events_;
};

}  // namespace tidemark::bench
