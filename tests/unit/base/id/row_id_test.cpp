#include "base/id/row_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace tidemark {
namespace {

constexpr RowIdParts kSample{.time = {kRowIdEpochMs + 1}, .bucket = 2, .lane = 3, .sequence = 4};

TEST(RowId, StandsAsTimeBucketLaneSequence) {
  EXPECT_EQ(make_row_id(kSample), (1LL << 22) + (2LL << 10) + (3LL << 5) + 4);
}

TEST(RowId, GivesItsPartsBackAtEveryEdge) {
  for (int64_t time : {kRowIdEpochMs, kRowIdEpochMs + 1, kRowIdTimeMaxMs}) {
    for (uint32_t bucket : {0u, 1u, 4095u}) {
      for (uint32_t lane : {0u, 31u}) {
        for (uint32_t sequence : {0u, 31u}) {
          RowIdParts parts{{time}, static_cast<Bucket>(bucket), lane, sequence};
          RowId id = make_row_id(parts);
          EXPECT_GE(id, 0);
          EXPECT_EQ(parts_of_row_id(id), parts);
          EXPECT_EQ(bucket_of_row_id(id), bucket);
          EXPECT_EQ(time_of_row_id(id), UnixMillis{time});
        }
      }
    }
  }
}

TEST(RowId, AtItsLargestIsTheLargestBigint) {
  EXPECT_EQ(make_row_id({.time = {kRowIdTimeMaxMs}, .bucket = 4095, .lane = 31, .sequence = 31}), INT64_MAX);
}

TEST(RowId, LaterTimesAreLargerIds) {
  EXPECT_LT(make_row_id({.time = {kRowIdEpochMs + 1}, .bucket = 4095, .lane = 31, .sequence = 31}),
            make_row_id({.time = {kRowIdEpochMs + 2}, .bucket = 0, .lane = 0, .sequence = 0}));
}

TEST(RowId, FromOutsideMustBePositive) {
  EXPECT_TRUE(check_row_id(1, "order_id"));
  EXPECT_TRUE(check_row_id(INT64_MAX, "order_id"));
  for (int64_t number : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    Status status = check_row_id(number, "order_id");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(status.error().message, testing::StartsWith("order_id: " + std::to_string(number)));
  }
}

TEST(RowId, ARandomNumberReachesEveryBucketEvenly) {
  EXPECT_EQ(bucket_of_random(0), 0);
  EXPECT_EQ(bucket_of_random(UINT64_MAX), 4095);
  EXPECT_EQ(bucket_of_random(uint64_t{17} << 52), 17);
}

TEST(RowId, CarriesATagOfItsOwnBucket) {
  for (uint32_t bucket : {0u, 1u, 2047u, 4095u}) {
    std::set<Slot> slots;
    for (uint32_t sequence = 0; sequence < 8; ++sequence) {
      RowId id = make_row_id({{kRowIdEpochMs + 77}, static_cast<Bucket>(bucket), 5, sequence});
      Slot slot = slot_of_key("order:{" + std::string(tag_of_row_id(id)) + "}:" + std::to_string(id));
      EXPECT_EQ(bucket_of_slot(slot), bucket);
      slots.insert(slot);
    }
    EXPECT_EQ(slots.size(), kSlotsPerBucket) << "ids of a bucket should spread over its slots";
  }
}

TEST(RowId, TheFirstIdsOfMillisecondsSpreadOverTheSlotsToo) {
  std::set<std::string_view> tags;
  for (int64_t ms = 0; ms < 8; ++ms) tags.insert(tag_of_row_id(make_row_id({{kRowIdEpochMs + ms}, 9, 0, 0})));
  EXPECT_EQ(tags.size(), kSlotsPerBucket);
}

}  // namespace
}  // namespace tidemark
