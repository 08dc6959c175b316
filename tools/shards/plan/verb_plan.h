// tidemark-shards plan: which buckets should move where, why, and where that ends. Changes nothing.
// tidemark-shards rebalance: makes such a plan and its moves, one after the other. Interrupted, it may be run again:
// what is moved stays moved, and the rest is planned anew. It begins nothing while another move is under way.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/io/options.h"
#include "base/result.h"

namespace tidemark::shards {

struct PlanArguments {
  std::string shards_file;
  std::string topology;
  std::vector<std::string> weights;  // "2=0.5"
  double tolerance_percent = 5;
  uint32_t buckets_per_move = 64;
  Duration window = std::chrono::seconds(5);
  uint64_t exact_bytes = 1 << 30;
  std::string format = "table";
};
void declare(io::Options& verb, PlanArguments& arguments);
Status run_plan(const PlanArguments& arguments);

// tidemark-shards split-hot: moves the buckets away that take most of the busiest shard's writes, hottest first.
struct SplitHotArguments {
  PlanArguments plan;
  uint32_t buckets_max = 8;
  std::string from, to;  // shard ids; empty: the busiest, the least busy
  uint64_t bytes_per_second = 0;
  bool is_dry_run = false;
};
void declare(io::Options& verb, SplitHotArguments& arguments);
Result<bool> run_split_hot(const SplitHotArguments& arguments);  // false: a move was aborted, and the rest left

struct RebalanceArguments {
  PlanArguments plan;
  uint32_t moves_max = 4096;
  uint64_t bytes_per_second = 0;
  bool is_dry_run = false;
};
void declare(io::Options& verb, RebalanceArguments& arguments);
Result<bool> run_rebalance(const RebalanceArguments& arguments);  // false: a move was aborted, and the rest left

}  // namespace tidemark::shards
