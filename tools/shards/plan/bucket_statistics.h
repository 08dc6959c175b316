// What each bucket holds and how often it is written: rows and bytes by one query per table, writes by counting a
// shard's own changes for a few seconds.
//
// A table above `exact_bytes` is sampled (TABLESAMPLE SYSTEM), and its numbers are estimates. Writes come from a
// temporary logical slot on the publication `tidemark`: exact, but creating one waits for every transaction that runs,
// at most kSlotTimeout; without it the load is left out and a note says so. Reads are not seen: most are answered by
// the cache, and Postgres counts none per bucket. Threads: one. I/O: libpq, blocking.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "shardrouter/rebalance/planner.h"
#include "tools/shards/opened_shard.h"

namespace tidemark::shards {

struct StatisticsOptions {
  uint64_t exact_bytes = 1 << 30;          // larger tables are sampled down to about this
  std::chrono::milliseconds window{5000};  // of the count of writes; 0: none
};
inline constexpr const char* kSlotTimeout = "5s";
inline constexpr int kSlotChangesPerCall = 50'000;

struct Statistics {
  std::vector<shardrouter::BucketStats> buckets;  // 4,096, ascending
  std::vector<std::string> notes;
  bool has_load = false;
};
Result<Statistics> gather_statistics(std::vector<OpenedShard>& opened, const std::vector<BucketOwner>& map,
                                     const StatisticsOptions& options);

}  // namespace tidemark::shards
