#include "replication/wal/echo_clock.h"

#include <gtest/gtest.h>

namespace tidemark::replication {
namespace {

TEST(EchoClock, EchoesTheNewestStampThatArrivedBeforeTheSample) {
  EchoClock clock;
  clock.on_stamp(500);
  clock.on_sample_started(1);
  clock.on_stamp(600);
  clock.on_sample(1, {90});
  EXPECT_EQ(clock.take_echo({80}), 0u) << "the stream has not reached the sample";
  EXPECT_EQ(clock.take_echo({90}), 500u) << "600 arrived after the sample began";
  EXPECT_EQ(clock.take_echo({100}), 500u);
}

TEST(EchoClock, EchoesNothingWithoutASample) {
  EchoClock clock;
  clock.on_stamp(500);
  EXPECT_EQ(clock.take_echo({1000}), 0u);
}

TEST(EchoClock, ABusyWalsenderKeepsTheOldEcho) {
  // E8: keepalives go on for seconds while the position stands still.
  EchoClock clock;
  clock.on_stamp(100);
  clock.on_sample_started(1);
  clock.on_sample(1, {10});
  EXPECT_EQ(clock.take_echo({10}), 100u);
  for (uint64_t sample = 2; sample < 150; ++sample) {
    clock.on_stamp(100 * sample);
    clock.on_sample_started(sample);
    clock.on_sample(sample, {50});
    EXPECT_EQ(clock.take_echo({20}), 100u);
  }
  EXPECT_EQ(clock.take_echo({50}), 14900u);
}

TEST(EchoClock, AWorkerThatFellBackGetsNoEchoItHasNotEarned) {
  EchoClock clock;
  clock.on_stamp(100);
  clock.on_sample_started(1);
  clock.on_sample(1, {50});
  EXPECT_EQ(clock.take_echo({50}), 100u);
  EXPECT_EQ(clock.take_echo({40}), 0u);
  EXPECT_EQ(clock.take_echo({50}), 100u);
}

TEST(EchoClock, ASampleWithoutAnswerDoesNotBlockTheNext) {
  EchoClock clock;
  clock.on_stamp(100);
  clock.on_sample_started(1);
  clock.on_sample_started(2);
  clock.on_sample_lost(1);
  clock.on_sample(2, {50});
  EXPECT_EQ(clock.take_echo({50}), 100u);
}

TEST(EchoClock, AnotherProcessesStampsAreForgotten) {
  EchoClock clock;
  clock.on_stamp(100);
  clock.on_sample_started(1);
  clock.reset();
  clock.on_sample(1, {50});
  EXPECT_EQ(clock.take_echo({50}), 0u);
}

}  // namespace
}  // namespace tidemark::replication
