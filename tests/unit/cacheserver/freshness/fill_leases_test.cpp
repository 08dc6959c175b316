#include "cacheserver/freshness/fill_leases.h"

#include <gtest/gtest.h>

#include "cacheserver/freshness/lease.h"

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

constexpr FreshnessIdentity kMe{0x9f86d081884c7d65, 3, 12};
constexpr Instant kStart{1000s};

TEST(LeaseId, RendersAndReadsBackWithinItsLimit) {
  LeaseId largest{{UINT64_MAX, UINT32_MAX, UINT32_MAX}, UINT64_MAX};
  EXPECT_EQ((LeaseId{kMe, 7}.to_string()), "9f86d081884c7d65.3.12.7");
  EXPECT_LE(largest.to_string().size(), kLeaseTextMax);
  EXPECT_EQ(LeaseId::parse(largest.to_string()), largest);
}

TEST(LeaseId, RefusesWhatItDidNotRender) {
  for (const char* text : {"", "x", "9f86d081884c7d65.3.12", "9f86d081884c7d65.3.12.7.1", "9f86.3.12.7",
                           "9f86d081884c7d65.4294967296.12.7", "9f86d081884c7d65.3.12.-7", "9f86d081884c7d65.3.12."}) {
    EXPECT_EQ(LeaseId::parse(text), std::nullopt) << text;
  }
}

TEST(FillLeases, GrantsOneLeasePerKeyAndANewNameEachTime) {
  FillLeases leases(kMe, {});
  auto first = leases.grant(1, 0, kStart);
  ASSERT_TRUE(first.lease);
  EXPECT_FALSE(leases.grant(1, 0, kStart + 1s).lease);
  EXPECT_TRUE(leases.grant(2, 0, kStart).lease);
  EXPECT_TRUE(leases.kill(1));
  auto second = leases.grant(1, 0, kStart + 1s);
  ASSERT_TRUE(second.lease);
  EXPECT_NE(first.lease, second.lease);
  EXPECT_FALSE(leases.is_current(1, *first.lease, kStart + 1s));
  EXPECT_TRUE(leases.is_current(1, *second.lease, kStart + 1s));
  EXPECT_FALSE(leases.is_current(2, *second.lease, kStart + 1s)) << "a lease is one key's";
}

TEST(FillLeases, EndAfterTenSeconds) {
  FillLeases leases(kMe, {});
  auto grant = leases.grant(1, 0, kStart);
  EXPECT_TRUE(leases.is_current(1, *grant.lease, kStart + 9999ms));
  EXPECT_FALSE(leases.is_current(1, *grant.lease, kStart + 10s));
  leases.expire(kStart + 10s, 10);
  EXPECT_EQ(leases.size(), 0u);
}

TEST(FillLeases, TellOthersToWaitAboutAsLongAsTheHolderHasTaken) {
  FillLeases leases(kMe, {});
  leases.grant(1, 0, kStart);
  EXPECT_EQ(leases.grant(1, 0, kStart).retry_after, 2ms);
  EXPECT_EQ(leases.grant(1, 0, kStart + 30ms).retry_after, 30ms);
  EXPECT_EQ(leases.grant(1, 0, kStart + 5s).retry_after, 100ms);
  EXPECT_EQ(leases.grant(1, 0, kStart + 9990ms).retry_after, 10ms) << "not beyond the lease's end";
}

TEST(FillLeases, OfOneShardDieTogether) {
  FillLeases leases(kMe, {});
  auto here = leases.grant(1, 0, kStart), there = leases.grant(2, 5, kStart);
  leases.kill_shard(0);
  EXPECT_FALSE(leases.is_current(1, *here.lease, kStart));
  EXPECT_FALSE(leases.is_leased(1, kStart));
  EXPECT_TRUE(leases.is_current(2, *there.lease, kStart));
  EXPECT_TRUE(leases.grant(1, 0, kStart).lease) << "leases granted afterwards live";
}

TEST(FillLeases, DieWhenTheWorkersIdentityChanges) {
  FillLeases leases(kMe, {});
  auto old = leases.grant(1, 0, kStart);
  leases.set_identity({kMe.incarnation, kMe.group_epoch, kMe.slots_version + 1});
  EXPECT_FALSE(leases.is_current(1, *old.lease, kStart));
  auto fresh = leases.grant(1, 0, kStart);
  ASSERT_TRUE(fresh.lease);
  EXPECT_EQ(fresh.lease->granted_by.slots_version, 13u);
}

TEST(FillLeases, AreBoundedTheOldestEndsEarly) {
  FillLeases leases(kMe, {.leases_max = 3});
  auto oldest = leases.grant(1, 0, kStart);
  for (uint64_t key = 2; key <= 4; ++key) leases.grant(key, 0, kStart + 1s);
  EXPECT_EQ(leases.size(), 3u);
  EXPECT_FALSE(leases.is_current(1, *oldest.lease, kStart + 1s));
  EXPECT_TRUE(leases.is_leased(4, kStart + 1s));
  EXPECT_EQ(leases.ended_early(), 1u);
}

}  // namespace
}  // namespace tidemark::cacheserver
