#include "base/histogram.h"

#include <gtest/gtest.h>

namespace tidemark {
namespace {

TEST(Histogram, GivesExactQuantilesOfSmallValues) {
  Histogram histogram;
  for (int i = 1; i <= 100; ++i) histogram.record(i);
  EXPECT_EQ(histogram.count(), 100u);
  EXPECT_EQ(histogram.sum(), 5050u);
  EXPECT_EQ(histogram.min(), 1u);
  EXPECT_EQ(histogram.max(), 100u);
  EXPECT_EQ(histogram.quantile(0.25), 25u);
  EXPECT_EQ(histogram.quantile(0.5), 50u);
  EXPECT_EQ(histogram.quantile(0.99), 99u);
  EXPECT_EQ(histogram.quantile(0.0), 1u);
  EXPECT_EQ(histogram.quantile(1.0), 100u);
}

TEST(Histogram, KeepsEveryQuantileWithinThreePointTwoPercentAbove) {
  for (uint64_t value = 1; value < Histogram::kValueMax; value = value * 5 / 3 + 1) {
    Histogram histogram;
    histogram.record(static_cast<int64_t>(value));
    histogram.record(static_cast<int64_t>(Histogram::kValueMax));
    uint64_t found = histogram.quantile(0.5);
    EXPECT_GE(found, value);
    EXPECT_LE(static_cast<double>(found), static_cast<double>(value) * 1.032);
  }
}

TEST(Histogram, CountsNegativeValuesAsZeroAndHugeOnesAsTheLargest) {
  Histogram histogram;
  histogram.record(-5);
  histogram.record(INT64_MAX);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), Histogram::kValueMax);
  EXPECT_EQ(histogram.count_at_most(Histogram::kValueMax), 2u);
}

TEST(Histogram, IsEmptyAtFirstAndAfterClear) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.99), 0u);
  EXPECT_EQ(histogram.mean(), 0.0);
  histogram.record(7);
  histogram.clear();
  EXPECT_EQ(histogram, Histogram());
}

TEST(Histogram, MergesAsIfAllWereRecordedInOne) {
  Histogram left, right, both;
  for (int i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? left : right).record(i * 37);
    both.record(i * 37);
  }
  left.merge(right);
  left.merge(Histogram());
  EXPECT_EQ(left, both);
}

TEST(Histogram, CountsWholeBucketsUpToAValue) {
  Histogram histogram;
  for (int i = 0; i < 10; ++i) histogram.record(i * 1000);
  EXPECT_EQ(histogram.count_at_most(0), 1u);
  EXPECT_EQ(histogram.count_at_most(5119), 6u);
}

TEST(Histogram, SurvivesItsBuckets) {
  Histogram histogram;
  for (int i = 1; i < 100'000; i = i * 3 / 2 + 1) histogram.record(i, static_cast<uint64_t>(i % 4));
  auto again = Histogram::from_buckets(histogram.buckets());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->buckets(), histogram.buckets());
  EXPECT_EQ(again->count(), histogram.count());
}

TEST(Histogram, RefusesBucketsThatAreNotItsOwn) {
  HistogramBucket between[] = {{65, 1}};  // 64 and 65 share a bucket
  auto wrong_edge = Histogram::from_buckets(between);
  ASSERT_FALSE(wrong_edge.has_value());
  EXPECT_EQ(wrong_edge.error().message, "histogram: 65 is not the lower edge of a bucket");
  HistogramBucket falling[] = {{7, 1}, {3, 1}};
  ASSERT_FALSE(Histogram::from_buckets(falling).has_value());
}

}  // namespace
}  // namespace tidemark
