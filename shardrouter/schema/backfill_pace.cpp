#include "shardrouter/schema/backfill_pace.h"

#include <algorithm>

namespace tidemark::shardrouter {

BackfillPace::BackfillPace(Limits limits)
    : limits_(limits), rows_max_(std::clamp(limits.rows_per_batch, kRowsMin, kRowsMax)) {
  if (limits_.busy_share <= 0 || limits_.busy_share > 1) limits_.busy_share = 0.5;
}

Duration BackfillPace::after(const Batch& batch) {
  // Only a full batch says that a longer one would have taken longer.
  if (batch.took > 2 * kBatchTime)
    rows_max_ = std::max(kRowsMin, rows_max_ / 2);
  else if (batch.took < kBatchTime / 2 && batch.rows >= rows_max_)
    rows_max_ = std::min(kRowsMax, rows_max_ + rows_max_ / 4);
  const double took = static_cast<double>(batch.took.count());
  double wait = took * (1 / limits_.busy_share - 1);
  if (limits_.rows_per_second > 0)
    wait = std::max(wait, static_cast<double>(batch.rows) * 1e6 / limits_.rows_per_second - took);
  return std::min(kWaitMax, Duration(static_cast<int64_t>(wait)));
}

}  // namespace tidemark::shardrouter
