#include "client/connection/circuit_breaker.h"

#include <gtest/gtest.h>

#include "client/connection/retry_budget.h"

namespace tidemark::client {
namespace {

using State = CircuitBreaker::State;
using std::chrono::milliseconds;

Instant at(int64_t ms) {
  return Instant(milliseconds(ms));
}

CircuitBreaker opened(int64_t ms = 0) {
  CircuitBreaker breaker({.failures_max = 2, .open_for = milliseconds(100), .open_for_max = milliseconds(300)});
  breaker.on_failure(at(ms));
  breaker.on_failure(at(ms));
  return breaker;
}

TEST(CircuitBreaker, OpensAfterFailuresInARow) {
  CircuitBreaker breaker({.failures_max = 2});
  breaker.on_failure(at(0));
  breaker.on_success();
  breaker.on_failure(at(1));
  EXPECT_TRUE(breaker.allow(at(1))) << "the success between them ended the row";
  breaker.on_failure(at(2));
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_FALSE(breaker.allow(at(3)));
}

TEST(CircuitBreaker, LetsOneProbeThroughWhenItsTimeIsOver) {
  auto breaker = opened();
  EXPECT_FALSE(breaker.allow(at(99)));
  EXPECT_TRUE(breaker.allow(at(100)));
  EXPECT_FALSE(breaker.allow(at(100))) << "one probe at a time";
  breaker.on_success();
  EXPECT_TRUE(breaker.allow(at(101)));
  EXPECT_TRUE(breaker.allow(at(101)));
}

TEST(CircuitBreaker, AFailedProbeDoublesTheTimeUpToItsLimit) {
  auto breaker = opened();
  ASSERT_TRUE(breaker.allow(at(100)));
  breaker.on_failure(at(100));
  EXPECT_FALSE(breaker.allow(at(299)));
  ASSERT_TRUE(breaker.allow(at(300)));
  breaker.on_failure(at(300));
  EXPECT_FALSE(breaker.allow(at(599)));
  EXPECT_TRUE(breaker.allow(at(600))) << "300 ms is the limit, not 400";
}

TEST(CircuitBreaker, SuccessForgetsTheDoubling) {
  auto breaker = opened();
  ASSERT_TRUE(breaker.allow(at(100)));
  breaker.on_failure(at(100));
  ASSERT_TRUE(breaker.allow(at(300)));
  breaker.on_success();
  breaker.on_failure(at(400));
  breaker.on_failure(at(400));
  EXPECT_TRUE(breaker.allow(at(500)));
}

TEST(CircuitBreaker, AProbeThatToldNothingFreesItsPlace) {
  auto breaker = opened();
  ASSERT_TRUE(breaker.allow(at(100)));
  breaker.on_neither();
  EXPECT_TRUE(breaker.allow(at(101)));
}

TEST(CircuitBreaker, FailuresFromBeforeItOpenedDoNotProlongIt) {
  auto breaker = opened();
  breaker.on_failure(at(50));
  EXPECT_TRUE(breaker.allow(at(100)));
}

TEST(RetryBudget, FiveRequestsPayForOneRetryAtAShareOfAFifth) {
  RetryBudget budget(0.2);
  for (int i = 0; i < static_cast<int>(RetryBudget::kBalanceStart); ++i) EXPECT_TRUE(budget.take_retry());
  EXPECT_FALSE(budget.take_retry());
  for (int i = 0; i < 6; ++i) budget.on_request();  // 6: five fifths are a hair below one in binary
  EXPECT_TRUE(budget.take_retry());
  EXPECT_FALSE(budget.take_retry());
}

TEST(RetryBudget, SavesOnlySoMuch) {
  RetryBudget budget(1);
  for (int i = 0; i < 1000; ++i) budget.on_request();
  int retries = 0;
  while (budget.take_retry()) ++retries;
  EXPECT_EQ(retries, static_cast<int>(RetryBudget::kBalanceMax));
}

}  // namespace
}  // namespace tidemark::client
