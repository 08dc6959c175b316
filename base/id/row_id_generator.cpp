#include "base/id/row_id_generator.h"

#include <algorithm>

#include "base/invariant.h"

namespace tidemark {
namespace {

int64_t within_bits(UnixMillis until) {
  return std::min(until.value, kRowIdTimeMaxMs + 1);
}

}  // namespace

RowIdGenerator::RowIdGenerator(uint32_t lane, RowIdSpan span)
    : lane_(lane), newest_(std::max(span.from.value, kRowIdEpochMs) - 1), until_(within_bits(span.until)) {
  INVARIANT(lane < kRowIdLanes, lane);
  next_place_.fill((newest_ + 1) * kRowIdSequences);
}

RowIdGenerator::Outcome RowIdGenerator::next(Bucket bucket, UnixMillis now) {
  INVARIANT(bucket < kBucketCount, bucket);
  if (newest_ - now.value > kRowIdClockBackMsMax) return RowIdClockBack{newest_ - now.value};
  const int64_t time = std::max(now.value, newest_);
  const int64_t place = std::max(time * kRowIdSequences, next_place_[bucket]);
  const int64_t place_time = place / kRowIdSequences;
  if (std::max(time, place_time) >= until_) return RowIdLaneEnded{};
  if (place_time > time) return RowIdWait{place_time - now.value};
  newest_ = time;
  next_place_[bucket] = place + 1;
  return make_row_id(
      {.time = {time}, .bucket = bucket, .lane = lane_, .sequence = static_cast<uint32_t>(place % kRowIdSequences)});
}

void RowIdGenerator::extend(UnixMillis until) {
  until_ = std::max(until_, within_bits(until));
}

}  // namespace tidemark
