// tidemark-shards plan: which buckets should move where, why, and where that ends. Changes nothing.
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

}  // namespace tidemark::shards
