// --then add-shard: one more Postgres shard joins the running system, gets its share of the buckets by live moves, and
// leaves again, while the shop goes on.
//
// The same programs as a DBA would use: tidemark-shards add-shard, rebalance (with watch beside it), remove-shard. The
// rows are counted before, in the middle and after: as many on all shards together, and none on a shard that does not
// own its bucket.
// Threads: one. Limits: kJobTimeout for each job.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/macro/demo/demo_cluster.h"

namespace tidemark::bench {

struct ThirdShardFigures {
  struct Rebalance {
    uint64_t moves = 0, rows = 0, buckets = 0;  // buckets: on the new shard afterwards
    double seconds = 0, blocked_ms_max = 0;     // blocked: no shard took writes to a move's buckets
    uint64_t attempts_taken_back = 0;
  };
  uint32_t shard = 0;
  Rebalance to, away;
  std::map<std::string, uint64_t> rows_before, rows_between, rows_after;  // by table; only those that the load leaves
  uint64_t misplaced = 0;
  uint64_t requests = 0, errors = 0;
  double hit_ratio = 0;
  std::vector<std::string> violations() const;
  nlohmann::json to_json() const;
  std::string to_table() const;
};

class ThirdShard {
 public:
  static constexpr std::chrono::minutes kJobTimeout{10};

  ThirdShard(const DemoConfig& config, DemoCluster& cluster, ProgressLine& progress)
      : config_(config), cluster_(cluster), progress_(progress), id_(config.shards) {}

  Result<ThirdShardFigures> run();

 private:
  Status start_server();
  Status play();
  Status add();
  Status rebalance(const std::vector<std::string>& more, ThirdShardFigures::Rebalance& figures);
  Status remove();
  Status count_rows(std::map<std::string, uint64_t>& rows);
  Status end_shop();
  // Runs tidemark-shards to its end and gives what it printed; shows where the moves stand meanwhile, if asked.
  Result<std::string> run_tool(std::vector<std::string> arguments, bool watches);
  Result<ChildProcess> start_tool(std::vector<std::string> arguments) const;
  void show_moves();
  void show_shop();
  std::string shards_file() const { return (config_.directory / "shards-and-one-more.json").string(); }

  const DemoConfig& config_;
  DemoCluster& cluster_;
  ProgressLine& progress_;
  const uint32_t id_;
  std::optional<localcluster::LocalCluster> server_;
  std::optional<ChildProcess> shop_;
  std::string shop_line_;
  bool is_added_ = false;
  ThirdShardFigures figures_;
};

}  // namespace tidemark::bench
