// Makes row ids in one lane, from the time it is told.
//
//   RowIdGenerator ids(lane, {.from = {1000}, .until = {5000}});   // UnixMillis, shortened
//   ids.next(7, {1000})   ->  RowId          time 1000, sequence 0
//   ids.next(7, {1000})   ->  RowId          time 1000, sequence 1; after 32 of them: RowIdWait{1}
//   ids.next(7, {998})    ->  RowId          the clock went back by 2: time 1000 still, sequence 2
//   ids.next(7, {994})    ->  RowIdClockBack{6}   more than kRowIdClockBackMsMax
//   ids.next(7, {5000})   ->  RowIdLaneEnded
//
// The lease is an interval of id times, [from, until): whoever has the lane next begins at `until` or later. So two
// holders can never make the same id, whatever their clocks say; a clock that is wrong costs ids, not uniqueness.
// The sequence counts per bucket, not per generator: no more is needed for uniqueness, and 32 ids per millisecond would
// make a bulk load wait, 32 per millisecond and bucket do not (price: 32 KiB). A clock that goes back a little is met
// by going on in the newest millisecond rather than by waiting: sequence numbers keep the ids apart there as well.
// Invariants: ids of one bucket ascend strictly; every id's time lies in [from, until).
// Threads: one at a time (RowIdSource, base/io, adds the lock, the clock and the lease). I/O: none.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>

#include "base/id/row_id.h"

namespace tidemark {

inline constexpr int64_t kRowIdClockBackMsMax = 5;

struct RowIdSpan {
  UnixMillis from;   // first millisecond that may be used
  UnixMillis until;  // first that may not
  bool operator==(const RowIdSpan&) const = default;
};

struct RowIdWait {
  int64_t for_ms = 0;  // no id is free before this time has passed
  bool operator==(const RowIdWait&) const = default;
};
struct RowIdClockBack {
  int64_t by_ms = 0;
  bool operator==(const RowIdClockBack&) const = default;
};
struct RowIdLaneEnded {
  bool operator==(const RowIdLaneEnded&) const = default;
};

class RowIdGenerator {
 public:
  using Outcome = std::variant<RowId, RowIdWait, RowIdClockBack, RowIdLaneEnded>;

  RowIdGenerator(uint32_t lane, RowIdSpan span);

  Outcome next(Bucket bucket, UnixMillis now);

  // The lease was renewed. `until` never goes back.
  void extend(UnixMillis until);

  uint32_t lane() const { return lane_; }
  UnixMillis until() const { return {until_}; }
  // No id of a time from here on was made: where the lane's next holder may begin after this one has ended.
  UnixMillis unused_from() const { return {newest_ + 1}; }

 private:
  uint32_t lane_;
  int64_t newest_;  // newest millisecond with an id in any bucket; before the first id the one before `from`
  int64_t until_;
  std::array<int64_t, kBucketCount> next_place_{};  // per bucket: time * 32 + sequence of the next id that is free
};

}  // namespace tidemark
