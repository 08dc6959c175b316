#include "base/id/row_id_generator.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

namespace tidemark {
namespace {

constexpr int64_t kFrom = kRowIdEpochMs + 1000;
constexpr int64_t kUntil = kRowIdEpochMs + 5000;
using Outcome = RowIdGenerator::Outcome;

RowIdGenerator generator(int64_t from = kFrom, int64_t until = kUntil) {
  return RowIdGenerator(3, {.from = {from}, .until = {until}});
}

Outcome id(int64_t time, Bucket bucket, uint32_t sequence) {
  return make_row_id({.time = {time}, .bucket = bucket, .lane = 3, .sequence = sequence});
}

TEST(RowIdGenerator, NumbersTheIdsOfABucketWithinAMillisecond) {
  RowIdGenerator ids = generator();
  EXPECT_EQ(ids.next(7, {kFrom}), id(kFrom, 7, 0));
  EXPECT_EQ(ids.next(7, {kFrom}), id(kFrom, 7, 1));
  EXPECT_EQ(ids.next(7, {kFrom + 1}), id(kFrom + 1, 7, 0));
}

TEST(RowIdGenerator, CountsEachBucketByItself) {
  RowIdGenerator ids = generator();
  for (uint32_t sequence = 0; sequence < kRowIdSequences; ++sequence) {
    EXPECT_EQ(ids.next(7, {kFrom}), id(kFrom, 7, sequence));
    EXPECT_EQ(ids.next(8, {kFrom}), id(kFrom, 8, sequence));
  }
}

TEST(RowIdGenerator, WaitsOnceAMillisecondOfABucketIsFull) {
  RowIdGenerator ids = generator();
  for (uint32_t i = 0; i < kRowIdSequences; ++i) ids.next(7, {kFrom});
  EXPECT_EQ(ids.next(7, {kFrom}), Outcome(RowIdWait{1}));
  EXPECT_EQ(ids.next(8, {kFrom}), id(kFrom, 8, 0));
  EXPECT_EQ(ids.next(7, {kFrom + 1}), id(kFrom + 1, 7, 0));
}

TEST(RowIdGenerator, GoesOnInTheNewestMillisecondWhenTheClockGoesBackALittle) {
  for (int64_t back = 1; back <= kRowIdClockBackMsMax; ++back) {
    RowIdGenerator ids = generator();
    ids.next(7, {kFrom + 100});
    EXPECT_EQ(ids.next(7, {kFrom + 100 - back}), id(kFrom + 100, 7, 1)) << back;
    EXPECT_EQ(ids.next(8, {kFrom + 100 - back}), id(kFrom + 100, 8, 0)) << back;
  }
}

TEST(RowIdGenerator, WaitsForTheWholeWayWhenTheClockIsBackAndTheMillisecondFull) {
  RowIdGenerator ids = generator();
  for (uint32_t i = 0; i < kRowIdSequences; ++i) ids.next(7, {kFrom + 100});
  EXPECT_EQ(ids.next(7, {kFrom + 95}), Outcome(RowIdWait{6}));
}

TEST(RowIdGenerator, RefusesAClockThatWentBackFar) {
  RowIdGenerator ids = generator();
  ids.next(7, {kFrom + 100});
  EXPECT_EQ(ids.next(7, {kFrom + 94}), Outcome(RowIdClockBack{6}));
  EXPECT_EQ(ids.next(8, {kFrom - 3'600'000}), Outcome(RowIdClockBack{3'600'100}));  // whatever the bucket
  EXPECT_EQ(ids.next(7, {kFrom + 95}), id(kFrom + 100, 7, 1)) << "it goes on once the clock has caught up";
}

TEST(RowIdGenerator, MakesNoIdBeforeItsSpan) {
  RowIdGenerator ids = generator();
  EXPECT_EQ(ids.next(7, {kFrom - 7}), Outcome(RowIdClockBack{6}));
  EXPECT_EQ(ids.next(7, {0}), Outcome(RowIdClockBack{kFrom - 1}));
  EXPECT_EQ(ids.next(7, {kFrom - 3}), Outcome(RowIdWait{3}));
  EXPECT_EQ(ids.next(7, {kFrom}), id(kFrom, 7, 0));
}

TEST(RowIdGenerator, MakesNoIdAtTheEndOfItsSpanOrAfter) {
  RowIdGenerator ids = generator();
  EXPECT_EQ(ids.next(7, {kUntil - 1}), id(kUntil - 1, 7, 0));
  EXPECT_EQ(ids.next(7, {kUntil}), Outcome(RowIdLaneEnded{}));
  EXPECT_EQ(ids.next(7, {kUntil + 1}), Outcome(RowIdLaneEnded{}));
  EXPECT_EQ(ids.next(7, {kUntil - 1}), id(kUntil - 1, 7, 1)) << "a clock that comes back into the span is served";
}

TEST(RowIdGenerator, SaysThatTheLaneEndsRatherThanWaitForATimeItMayNotUse) {
  RowIdGenerator ids = generator();
  for (uint32_t i = 0; i < kRowIdSequences; ++i) ids.next(7, {kUntil - 1});
  EXPECT_EQ(ids.next(7, {kUntil - 1}), Outcome(RowIdLaneEnded{}));
}

TEST(RowIdGenerator, GoesOnAfterARenewalAndNeverShortensItsLease) {
  RowIdGenerator ids = generator();
  ids.extend({kUntil + 10});
  EXPECT_EQ(ids.next(7, {kUntil}), id(kUntil, 7, 0));
  ids.extend({kUntil - 10});
  EXPECT_EQ(ids.until(), UnixMillis{kUntil + 10});
}

TEST(RowIdGenerator, KnowsFromWhereNoIdWasMade) {
  RowIdGenerator ids = generator();
  EXPECT_EQ(ids.unused_from(), UnixMillis{kFrom});
  ids.next(7, {kFrom + 20});
  ids.next(8, {kFrom + 18});
  EXPECT_EQ(ids.unused_from(), UnixMillis{kFrom + 21});
}

TEST(RowIdGenerator, ARefusalOrAWaitUsesNoTimeUp) {
  RowIdGenerator ids = generator();
  ids.next(7, {kUntil});
  ids.next(7, {kFrom - 100});
  EXPECT_EQ(ids.unused_from(), UnixMillis{kFrom});
  EXPECT_EQ(ids.next(7, {kFrom}), id(kFrom, 7, 0));
}

TEST(RowIdGenerator, EndsWithTheBitsOfItsTime) {
  RowIdGenerator ids = generator(kRowIdTimeMaxMs - 1, INT64_MAX);
  EXPECT_EQ(ids.next(4095, {kRowIdTimeMaxMs}), id(kRowIdTimeMaxMs, 4095, 0));
  EXPECT_EQ(ids.next(4095, {kRowIdTimeMaxMs + 1}), Outcome(RowIdLaneEnded{}));
}

TEST(RowIdGenerator, ABeginBefore2025IsTheBeginOf2025) {
  RowIdGenerator ids = generator(0, kUntil);
  EXPECT_EQ(ids.next(0, {kRowIdEpochMs}), id(kRowIdEpochMs, 0, 0));
}

// Every walk of a clock (steps of -7 to +2 ms, 6 asks deep, after a full millisecond or not) over two buckets.
class ClockWalk {
 public:
  void walk(const RowIdGenerator& ids, int64_t now, int depth) {
    if (depth == 0) return void(++walks_);
    for (int64_t step : {-7, -6, -5, -1, 0, 1, 2}) {
      RowIdGenerator next = ids;
      std::map<Bucket, std::optional<RowId>> before = last_;
      for (Bucket bucket : {1, 1, 2}) take(next, bucket, now + step);
      walk(next, now + step, depth - 1);
      last_ = before;
    }
  }
  int walks() const { return walks_; }

 private:
  void take(RowIdGenerator& ids, Bucket bucket, int64_t now) {
    Outcome outcome = ids.next(bucket, {now});
    const auto* id = std::get_if<RowId>(&outcome);
    if (id == nullptr) return;
    ASSERT_GE(time_of_row_id(*id).value, kFrom);
    ASSERT_LT(time_of_row_id(*id).value, kFrom + 8);
    ASSERT_EQ(bucket_of_row_id(*id), bucket);
    ASSERT_LE(time_of_row_id(*id).value - now, kRowIdClockBackMsMax);
    if (last_[bucket]) ASSERT_GT(*id, *last_[bucket]) << "ids of a bucket ascend strictly";
    last_[bucket] = *id;
  }

  std::map<Bucket, std::optional<RowId>> last_;
  int walks_ = 0;
};

TEST(RowIdGenerator, NeverRepeatsAnIdOnAnyWalkOfTheClock) {
  ClockWalk walk;
  walk.walk(generator(kFrom, kFrom + 8), kFrom + 2, 4);
  RowIdGenerator nearly_full = generator(kFrom, kFrom + 8);
  for (uint32_t i = 0; i < kRowIdSequences - 2; ++i) nearly_full.next(1, {kFrom + 2});
  ClockWalk second;
  second.walk(nearly_full, kFrom + 2, 4);
  EXPECT_EQ(walk.walks() + second.walks(), 2 * 7 * 7 * 7 * 7);
}

}  // namespace
}  // namespace tidemark
