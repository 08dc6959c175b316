#include "cacheserver/eviction/segments.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace tidemark::cacheserver {
namespace {

class SegmentsTest : public testing::Test {
 protected:
  struct alignas(16) Place {
    ItemHead head;
  };
  void fill(ItemId first, ItemId last) {
    for (ItemId id = first; id <= last; ++id) segments_.insert(id, false);
  }
  ItemId evict() {
    const ItemId victim = segments_.choose_victim([this](ItemId id) { return frequencies_[id]; });
    if (victim != kNoItem) segments_.remove(victim);
    return victim;
  }

  std::vector<Place> places_ = std::vector<Place>(1000);
  ItemLists lists_{{reinterpret_cast<std::byte*>(places_.data()), 4}, Segments::kLists};
  Segments segments_{lists_, 0};
  std::map<ItemId, uint32_t> frequencies_;
};

TEST_F(SegmentsTest, ATrialOfEverythingIsAnLru) {
  segments_.set_rule(1, Admission::kFrequency);
  fill(1, 4);
  segments_.hit(1);
  segments_.hit(3);
  EXPECT_EQ(evict(), 2u);
  EXPECT_EQ(evict(), 4u);
  EXPECT_EQ(evict(), 1u);
  EXPECT_EQ(evict(), 3u);
  EXPECT_EQ(evict(), kNoItem);
}

TEST_F(SegmentsTest, AnItemNotHitOnTrialGoesBeforeTheMainPart) {
  segments_.set_rule(0.1, Admission::kSecondHit);
  fill(1, 100);  // 91..100 on trial
  EXPECT_EQ(evict(), 91u);
  segments_.insert(101, false);
  EXPECT_EQ(evict(), 92u);
}

TEST_F(SegmentsTest, AnItemHitOnTrialTakesThePlaceOfTheOldestOfTheMainPart) {
  segments_.set_rule(0.1, Admission::kSecondHit);
  fill(1, 100);
  segments_.hit(91);
  for (ItemId id = 92; id <= 100; ++id) {
    EXPECT_EQ(evict(), id);
    segments_.insert(id + 100, false);
  }
  EXPECT_EQ(evict(), 1u) << "91 passed its trial";
}

TEST_F(SegmentsTest, WhoWasSeenBeforeSkipsTheTrial) {
  segments_.set_rule(0.1, Admission::kSecondHit);
  fill(1, 100);
  EXPECT_EQ(evict(), 91u);
  segments_.insert(91, true);
  EXPECT_EQ(evict(), 1u) << "the trial has room, so the main part gives";
}

TEST_F(SegmentsTest, ByFrequencyTheMoreFrequentOfTwoStays) {
  segments_.set_rule(0.1, Admission::kFrequency);
  fill(1, 100);
  frequencies_[91] = 2;
  frequencies_[1] = 2;
  EXPECT_EQ(evict(), 91u);
  segments_.insert(91, false);
  frequencies_[92] = 3;
  EXPECT_EQ(evict(), 1u);
}

TEST_F(SegmentsTest, ProtectedItemsGoLast) {
  segments_.set_rule(0.01, Admission::kSecondHit);
  fill(1, 50);
  for (ItemId id = 1; id <= 20; ++id) segments_.hit(id);
  for (int i = 0; i < 30; ++i) EXPECT_GT(evict(), 20u);
}

TEST_F(SegmentsTest, ANewShareIsApproachedAFewItemsPerCall) {
  segments_.set_rule(0.5, Admission::kSecondHit);
  fill(1, 900);
  segments_.set_rule(0.1, Admission::kSecondHit);
  segments_.hit(900);
  EXPECT_EQ(evict(), 451u + Segments::kMovesPerCall);  // the oldest left on trial
}

}  // namespace
}  // namespace tidemark::cacheserver
