#include "cacheserver/freshness/tombstones.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

constexpr CommitDomain kHere{0, 1, 1};
constexpr Instant kStart{1000s};

TEST(HashIndex, AgreesWithAMapOverManyInsertionsAndRemovals) {
  HashIndex index;
  std::unordered_map<uint64_t, uint32_t> model;
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    uint64_t hash = (random() % 700) * 0x10000;  // all of one home cell while the table is small
    if (random() % 3 == 0) {
      index.erase(hash);
      model.erase(hash);
    } else {
      auto place = static_cast<uint32_t>(i);
      index.set(hash, place);
      model[hash] = place;
    }
    uint64_t asked = (random() % 700) * 0x10000;
    auto found = model.find(asked);
    ASSERT_EQ(index.find(asked), found == model.end() ? HashIndex::kNone : found->second);
    ASSERT_EQ(index.size(), model.size());
  }
}

TEST(Tombstones, RememberACommitPerKey) {
  Tombstones tombstones({});
  tombstones.add(7, kHere, {Lsn{0x200}, 725}, false, {}, kStart);
  const TombstoneRecord* record = tombstones.first(7);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->count, 1);
  EXPECT_EQ(record->newest[0], (Tombstone{Lsn{0x200}, 725}));
  EXPECT_EQ(tombstones.first(8), nullptr);
}

TEST(Tombstones, KeepFourNewestAndTheMaximaOfTheOthers) {
  Tombstones tombstones({});
  Xid xids[] = {730, 725, 728, 726, 727, 729};
  for (uint64_t i = 0; i < 6; ++i) tombstones.add(7, kHere, {Lsn{0x200 + i}, xids[i]}, false, {}, kStart);
  const TombstoneRecord& record = *tombstones.first(7);
  EXPECT_EQ(record.count, 4);
  EXPECT_EQ(record.newest[0].xid, 728u);
  EXPECT_EQ(record.newest[3].xid, 729u);
  ASSERT_TRUE(record.has_overflow);
  EXPECT_EQ(record.overflow, (Tombstone{Lsn{0x201}, 730})) << "greatest LSN and greatest xid, not one commit's";
  EXPECT_EQ(record.greatest_lsn(), Lsn{0x205});
}

TEST(Tombstones, MergeAWritersBoundWithTheStreamsExactEnd) {
  Tombstones tombstones({});
  tombstones.add(7, kHere, {Lsn{0x280}, 725}, true, {}, kStart);
  EXPECT_EQ(tombstones.hints(), 1u);
  tombstones.add(7, kHere, {Lsn{0x200}, 725}, false, {}, kStart);
  EXPECT_EQ(tombstones.first(7)->count, 1);
  EXPECT_EQ(tombstones.first(7)->newest[0].end_lsn, Lsn{0x200});
  EXPECT_EQ(tombstones.hints(), 0u);
  tombstones.add(7, kHere, {Lsn{0x290}, 725}, true, {}, kStart);  // the INVAL comes after the stream
  EXPECT_EQ(tombstones.first(7)->newest[0].end_lsn, Lsn{0x200});
  EXPECT_EQ(tombstones.hints(), 0u);
}

TEST(Tombstones, NoHintLowersAnEndThatTheStreamConfirmed) {
  Tombstones tombstones({});
  tombstones.add(7, kHere, {Lsn{0x300}, 725}, false, {}, kStart);
  tombstones.add(7, kHere, {Lsn{0x200}, 725}, true, {}, kStart);
  EXPECT_EQ(tombstones.first(7)->greatest_lsn(), Lsn{0x300});
  tombstones.add(7, kHere, {Lsn{0x180}, 726}, true, {}, kStart);
  tombstones.add(7, kHere, {Lsn{0x400}, 726}, false, {}, kStart);
  EXPECT_EQ(tombstones.first(7)->greatest_lsn(), Lsn{0x400}) << "the stream's end stands also against a lower hint";
}

TEST(Tombstones, KnowWhichCommitsTheStreamConfirmedWhileOthersArePushedOut) {
  Tombstones tombstones({});
  for (Xid xid = 1; xid <= 7; ++xid) {
    tombstones.add(7, kHere, {Lsn{0x100 * xid}, xid}, xid % 2 == 0, {}, kStart);
    for (Xid known = 1; known <= xid; ++known) {
      bool is_there = known + 4 > xid;
      EXPECT_EQ(tombstones.knows(7, kHere, known), is_there) << known << " of " << xid;
      EXPECT_EQ(tombstones.is_confirmed(7, kHere, known), is_there && known % 2 == 1) << known << " of " << xid;
    }
  }
  tombstones.add(7, kHere, {Lsn{0x800}, 8}, false, Lsn{0x500}, kStart);  // what the floor covers goes first
  EXPECT_FALSE(tombstones.knows(7, kHere, 5));
  EXPECT_TRUE(tombstones.knows(7, kHere, 6));
  EXPECT_FALSE(tombstones.is_confirmed(7, kHere, 6));
  EXPECT_TRUE(tombstones.is_confirmed(7, kHere, 7));
  EXPECT_TRUE(tombstones.is_confirmed(7, kHere, 8));
}

TEST(Tombstones, RememberTheStageOfTheStreamsNewestCommitOnly) {
  Tombstones tombstones({});
  tombstones.add(7, kHere, {Lsn{0x200}, 725}, false, {}, kStart, 99);
  EXPECT_EQ(tombstones.first(7)->staged_xid, 725u);
  EXPECT_EQ(tombstones.first(7)->stage, 99u);
  tombstones.add(7, kHere, {Lsn{0x300}, 726}, true, {}, kStart);
  EXPECT_EQ(tombstones.first(7)->staged_xid, 725u) << "a hint says nothing about stages";
  tombstones.add(7, kHere, {Lsn{0x2F0}, 726}, false, {}, kStart);
  EXPECT_EQ(tombstones.first(7)->staged_xid, 0u);
}

TEST(Tombstones, KeepDomainsApart) {
  Tombstones tombstones({});
  tombstones.add(7, kHere, {Lsn{0x200}, 725}, false, {}, kStart);
  tombstones.add(7, {9, 1, 2}, {Lsn{0x90000}, 31}, false, {}, kStart);
  const TombstoneRecord* newest = tombstones.first(7);
  ASSERT_NE(newest, nullptr);
  EXPECT_EQ(newest->domain.shard, 9);
  const TombstoneRecord* older = tombstones.next(*newest);
  ASSERT_NE(older, nullptr);
  EXPECT_EQ(older->domain, kHere);
  EXPECT_EQ(tombstones.next(*older), nullptr);
  EXPECT_EQ(tombstones.collect(9, 1, Lsn{0x90000}, kStart, 10), 1u);
  EXPECT_EQ(tombstones.first(7)->domain, kHere);
}

TEST(Tombstones, DoNotRecordWhatTheFloorCoversAnyway) {
  Tombstones tombstones({});
  tombstones.add(7, kHere, {Lsn{0x200}, 725}, false, Lsn{0x200}, kStart);
  EXPECT_EQ(tombstones.size(), 0u);
}

TEST(Tombstones, AreCollectedOldestFirstUpToTheFloorWithBoundedWork) {
  Tombstones tombstones({});
  for (uint64_t i = 0; i < 10; ++i) tombstones.add(i, kHere, {Lsn{0x200 + i}, 725 + i}, false, {}, kStart);
  EXPECT_EQ(tombstones.collect(0, 1, Lsn{0x205}, kStart + 61s, 4), 4u);
  EXPECT_EQ(tombstones.collect(0, 1, Lsn{0x205}, kStart + 61s, 100), 2u);
  EXPECT_EQ(tombstones.size(), 4u);
  EXPECT_EQ(tombstones.first(5), nullptr);
  EXPECT_NE(tombstones.first(6), nullptr);
}

TEST(Tombstones, FarAheadOfTheFloorDoNotHoldUpTheOthers) {
  Tombstones tombstones({});
  tombstones.add(1, kHere, {Lsn{0xFFFFFF}, 725}, true, {}, kStart);  // a writer's bound
  tombstones.add(2, kHere, {Lsn{0x200}, 726}, true, {}, kStart);
  EXPECT_EQ(tombstones.collect(0, 1, Lsn{0x300}, kStart + 59s, 10), 0u) << "too young to be looked at past it";
  EXPECT_EQ(tombstones.collect(0, 1, Lsn{0x300}, kStart + 61s, 10), 1u);
  EXPECT_EQ(tombstones.first(2), nullptr);
  EXPECT_NE(tombstones.first(1), nullptr);
  EXPECT_EQ(tombstones.collect(0, 1, Lsn{0xFFFFFF}, kStart + 130s, 10), 1u);
}

TEST(Tombstones, OfAnOlderDatabaseGoWhateverTheirPosition) {
  Tombstones tombstones({});
  tombstones.add(1, kHere, {Lsn{0xFFFFFF}, 725}, false, {}, kStart);
  EXPECT_EQ(tombstones.collect(0, 2, Lsn{0x10}, kStart, 10), 1u);
}

TEST(Tombstones, OverflowTheOldestInsteadOfForgettingIt) {
  Tombstones tombstones({.bytes_max = 1});
  ASSERT_EQ(tombstones.records_max(), 4u);
  for (uint64_t i = 0; i < 4; ++i) EXPECT_FALSE(tombstones.add(i, kHere, {Lsn{0x200 + i}, 725 + i}, false, {}, kStart));
  tombstones.add(0, kHere, {Lsn{0x300}, 800}, false, {}, kStart);  // key 0 is now the newest
  auto overflow = tombstones.add(9, kHere, {Lsn{0x400}, 900}, false, {}, kStart);
  ASSERT_TRUE(overflow);
  EXPECT_EQ(overflow->lsn, Lsn{0x201});
  EXPECT_EQ(tombstones.first(1), nullptr);
  EXPECT_NE(tombstones.first(0), nullptr);
  EXPECT_EQ(tombstones.size(), 4u);
  EXPECT_EQ(tombstones.overflows(), 1u);
}

TEST(Tombstones, KnownFromWritersAloneTakeAtMostHalf) {
  Tombstones tombstones({.bytes_max = 1});
  EXPECT_TRUE(tombstones.has_room_for_hints(2));
  tombstones.add(1, kHere, {Lsn{0x200}, 725}, true, {}, kStart);
  tombstones.add(2, kHere, {Lsn{0x200}, 725}, true, {}, kStart);
  EXPECT_FALSE(tombstones.has_room_for_hints(1));
  tombstones.add(1, kHere, {Lsn{0x180}, 725}, false, {}, kStart);  // confirmed
  EXPECT_TRUE(tombstones.has_room_for_hints(1));
}

TEST(Tombstones, StayWithinTheirMemoryUnderAFlood) {
  Tombstones tombstones({.bytes_max = 1 << 20});
  for (uint64_t i = 0; i < 50'000; ++i)
    tombstones.add(i * 0x9E3779B97F4A7C15, kHere, {Lsn{0x200 + i}, 725 + i}, false, {}, kStart);
  EXPECT_LE(tombstones.bytes(), size_t{1} << 20);
  EXPECT_EQ(tombstones.size(), tombstones.records_max());
}

}  // namespace
}  // namespace tidemark::cacheserver
