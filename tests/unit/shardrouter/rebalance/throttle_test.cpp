#include "shardrouter/rebalance/throttle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

Instant at(Duration time) {
  return Instant(time + 1s);
}

TEST(Throttle, WithoutLimitsNothingWaits) {
  Throttle throttle({});
  EXPECT_EQ(throttle.delay_of(1 << 30, at(0s)), 0s);
  EXPECT_EQ(throttle.delay_of(1 << 30, at(0s)), 0s);
}

TEST(Throttle, KeepsToItsBytesPerSecond) {
  Throttle throttle({.bytes_per_second = 1'000'000});
  uint64_t sent = 0;
  Duration now = 0s;
  while (now < 10s) {
    const Duration delay = throttle.delay_of(64'000, at(now));
    if (delay == Duration{0})
      sent += 64'000;
    else
      now += delay;
  }
  EXPECT_GE(sent, 9'900'000u);
  EXPECT_LE(sent, 10'200'000u);
}

TEST(Throttle, SavesUpNoMoreThanItsBurst) {
  Throttle throttle({.bytes_per_second = 1'000'000});
  EXPECT_EQ(throttle.delay_of(1, at(0s)), 0s);
  EXPECT_EQ(throttle.delay_of(100'000, at(60s)), 0s);
  EXPECT_GT(throttle.delay_of(10'000, at(60s)), 0s);
}

TEST(Throttle, AChunkLargerThanTheBurstPassesAllTheSame) {
  Throttle throttle({.bytes_per_second = 1'000});
  EXPECT_EQ(throttle.delay_of(64'000, at(0s)), 0s);
  const Duration delay = throttle.delay_of(64'000, at(0s));
  EXPECT_NEAR(static_cast<double>(delay.count()), 64e6, 1e5);
  EXPECT_EQ(throttle.delay_of(64'000, at(delay)), 0s);
}

TEST(Throttle, WaitsForALaggingStandbyAndSaysSo) {
  Throttle throttle({.standby_lag_bytes_max = 1000});
  throttle.note_standby_lag(1001);
  EXPECT_GT(throttle.delay_of(1, at(0s)), 0s);
  EXPECT_THAT(throttle.reason(), HasSubstr("1001"));
  throttle.note_standby_lag(1000);
  EXPECT_EQ(throttle.delay_of(1, at(0s)), 0s);
  EXPECT_EQ(throttle.reason(), "");
}

TEST(Throttle, WaitsWhileCommitsAtTheSourceAreSlow) {
  Throttle throttle({.commit_p99_max = 20ms});
  for (int i = 0; i < 64; ++i) throttle.note_commit(1ms);
  EXPECT_EQ(throttle.delay_of(1, at(0s)), 0s);
  throttle.note_commit(50ms);
  EXPECT_EQ(throttle.commit_p99(), 50ms);
  EXPECT_GT(throttle.delay_of(1, at(0s)), 0s);
  EXPECT_THAT(throttle.reason(), HasSubstr("50.0 ms"));
  for (int i = 0; i < 64; ++i) throttle.note_commit(1ms);
  EXPECT_EQ(throttle.delay_of(1, at(0s)), 0s);
}

}  // namespace
}  // namespace tidemark::shardrouter
