#include "cacheserver/eviction/density_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace tidemark::cacheserver {
namespace {

class DensityWheelTest : public testing::Test {
 protected:
  struct alignas(16) Place {
    ItemHead head;
  };
  ItemId evict() {
    const ItemId victim = wheel_.next_to_leave();
    if (victim != kNoItem) wheel_.remove(victim);
    return victim;
  }

  std::vector<Place> places_ = std::vector<Place>(6000);
  ItemLists lists_{{reinterpret_cast<std::byte*>(places_.data()), 4}, DensityWheel::kLists};
  DensityWheel wheel_{lists_, 0};
};

TEST_F(DensityWheelTest, AnEmptyOneNamesNothing) {
  EXPECT_EQ(evict(), kNoItem);
}

TEST_F(DensityWheelTest, OfEqualFrequencyTheLargestGoesFirst) {
  wheel_.insert(1, 1, 100);
  wheel_.insert(2, 1, 100'000);
  wheel_.insert(3, 1, 3'000);
  EXPECT_EQ(evict(), 2u);
  EXPECT_EQ(evict(), 3u);
  EXPECT_EQ(evict(), 1u);
}

TEST_F(DensityWheelTest, OfEqualSizeTheLeastFrequentAndThenTheOldestGoesFirst) {
  wheel_.insert(1, 9, 100);
  wheel_.insert(2, 1, 100);
  wheel_.insert(3, 1, 100);
  wheel_.insert(4, 4, 100);
  EXPECT_EQ(evict(), 2u);
  EXPECT_EQ(evict(), 3u);
  EXPECT_EQ(evict(), 4u);
  EXPECT_EQ(evict(), 1u);
}

TEST_F(DensityWheelTest, HitsRaiseTheFrequencyOfAnItem) {
  wheel_.insert(1, 1, 100);
  EXPECT_EQ(DensityWheel::frequency_of(places_[1].head), 1u);
  for (int i = 0; i < 3; ++i) wheel_.hit(1, 0, 100);
  EXPECT_EQ(DensityWheel::frequency_of(places_[1].head), 4u);
  for (int i = 0; i < 1000; ++i) wheel_.hit(1, 0, 100);
  EXPECT_EQ(DensityWheel::frequency_of(places_[1].head), DensityWheel::kFrequencySteps.back());
  EXPECT_EQ(wheel_.size(), 1u);
}

TEST_F(DensityWheelTest, AnItemNoLongerHitIsOvertaken) {
  wheel_.insert(1, 3, 1000);
  ItemId next = 2;
  for (; next < 10; ++next) {
    wheel_.insert(next, 1, 1000);
    if (evict() == 1u) break;
  }
  EXPECT_LT(next, 9u);
  EXPECT_GT(next, 3u);
}

TEST_F(DensityWheelTest, TheOrderIsRightToAFewPercent) {
  std::mt19937 random(7);
  std::vector<double> values(6000);
  for (ItemId id = 1; id < 6000; ++id) {
    const uint32_t frequency = 1 + random() % 15;
    const uint32_t bytes = 1u << (4 + random() % 16) | (random() & 0xf);
    values[id] = static_cast<double>(frequency) / bytes;
    wheel_.insert(id, frequency, bytes);
  }
  double largest_so_far = 0;
  for (int i = 0; i < 5999; ++i) {
    const double value = values[evict()];
    EXPECT_GT(value, largest_so_far * 0.93);
    largest_so_far = std::max(largest_so_far, value);
  }
}

TEST_F(DensityWheelTest, TheGreatestAndTheSmallestValueHaveTheirPlace) {
  wheel_.insert(1, 64, 1);
  wheel_.insert(2, 1, UINT32_MAX);
  wheel_.insert(3, 1, 0);
  EXPECT_EQ(evict(), 2u);
  EXPECT_EQ(evict(), 3u);
  EXPECT_EQ(evict(), 1u);
}

}  // namespace
}  // namespace tidemark::cacheserver
