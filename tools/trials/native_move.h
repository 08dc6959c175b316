// The same move with what Postgres has of its own: a publication with row filters, a subscription that copies and
// applies, and a script that fences, waits and hands over. What tools/chaos bucket-move compares itself with.
//
// The script does what one would write by hand, as quickly as it can: it fences only once the subscription keeps up,
// asks the source how far the subscriber is as often as it answers, and hands over at once. It compares nothing, does
// not look at standbys, cannot be interrupted and cannot go back. Threads: one. Limits: kNativeMoveLimit for each wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace tidemark::trials {

struct NativeMoveOptions {
  std::string source_admin, target_admin;  // conninfo of a superuser
  int source = 0, target = 1;              // shard ids
  int bucket_lo = 0, bucket_hi = 0;
  std::vector<std::string> tables;  // referenced ones first
};

struct NativeMoveReport {
  int64_t rows = 0;
  double copy_ms = 0;     // until every table's copy is merged into the stream
  double blocked_ms = 0;  // no shard took writes to the range
  double total_ms = 0;
};

constexpr std::chrono::seconds kNativeMoveLimit{120};

Result<NativeMoveReport> move_by_subscription(const NativeMoveOptions& options);

}  // namespace tidemark::trials
