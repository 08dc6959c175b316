// Row ids: 63 bits that say when a row was made and in which bucket it lies.
//
//   0 | ms since 2025-01-01 (41) | bucket (12) | lane (5) | sequence (5)
//
//   good up to 2094; bucket_of_row_id(id) needs no look-up, so an id alone finds its shard and its cache node
//
// A *lane* belongs to one process at a time (lane_leases.h); a *sequence* counts the ids of one bucket within one
// millisecond. So (ms, bucket, lane, sequence) never repeats, though the makers never talk to each other. A new root
// gets a random bucket; children take their root's. The ids of one maker and bucket ascend.
// Source: Snowflake ids (Twitter, 2010), with the bucket inside and leased lanes for machine numbers.
// Threads: plain values. I/O: none.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "base/slot.h"

namespace tidemark {

using RowId = int64_t;  // a bigint; never negative

inline constexpr int64_t kRowIdEpochMs = 1'735'689'600'000;  // 2025-01-01T00:00:00Z as UnixMillis
inline constexpr uint32_t kRowIdSequenceBits = 5;
inline constexpr uint32_t kRowIdLaneBits = 5;
inline constexpr uint32_t kRowIdBucketBits = 12;
inline constexpr uint32_t kRowIdTimeBits = 41;
inline constexpr uint32_t kRowIdLanes = 1u << kRowIdLaneBits;          // 32
inline constexpr uint32_t kRowIdSequences = 1u << kRowIdSequenceBits;  // 32 per bucket, lane and millisecond
inline constexpr int64_t kRowIdTimeMaxMs = kRowIdEpochMs + (int64_t{1} << kRowIdTimeBits) - 1;  // as UnixMillis

static_assert(kBucketCount == 1u << kRowIdBucketBits);

struct RowIdParts {
  UnixMillis time{kRowIdEpochMs};
  Bucket bucket = 0;
  uint32_t lane = 0;
  uint32_t sequence = 0;
  bool operator==(const RowIdParts&) const = default;
};

RowId make_row_id(const RowIdParts& parts);  // every part within its bits
RowIdParts parts_of_row_id(RowId id);        // id >= 0

inline Bucket bucket_of_row_id(RowId id) {
  return static_cast<Bucket>((static_cast<uint64_t>(id) >> (kRowIdLaneBits + kRowIdSequenceBits)) & (kBucketCount - 1));
}
UnixMillis time_of_row_id(RowId id);

// For ids that come from outside: kInvalidArgument names the field if the number cannot be a row id. That a row with
// this id exists is another matter.
Status check_row_id(int64_t number, std::string_view field);

// The bucket of a new root: told a random number, so that tests may choose.
inline Bucket bucket_of_random(uint64_t random) {
  return static_cast<Bucket>(random >> (64 - kRowIdBucketBits));
}

// The tag that a row's keys carry between their braces: one of its bucket's four, so that the rows of a bucket spread
// over its four slots.
std::string_view tag_of_row_id(RowId id);

}  // namespace tidemark
