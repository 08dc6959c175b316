#include <gtest/gtest.h>

#include <algorithm>

#include "services/platform/log_limiter.h"
#include "services/platform/rpc_metrics.h"

namespace tidemark::services {
namespace {

constexpr Instant kStart{std::chrono::hours(1)};

TEST(LogLimiter, KeepsBackWhatIsTooMuchAndSaysHowMuchLater) {
  LogLimiter limiter;
  for (uint32_t i = 0; i < LogLimiter::kLinesPerSecondMax; ++i) ASSERT_EQ(limiter.admit(kStart), 0u);
  EXPECT_EQ(limiter.admit(kStart), std::nullopt);
  EXPECT_EQ(limiter.admit(kStart + std::chrono::milliseconds(999)), std::nullopt);
  EXPECT_EQ(limiter.admit(kStart + std::chrono::seconds(1)), 2u);
  EXPECT_EQ(limiter.admit(kStart + std::chrono::seconds(1)), 0u);
}

TEST(RpcMetrics, AdmitsUpToItsLimitAndCountsTheRest) {
  RpcMetrics metrics(2);
  EXPECT_TRUE(metrics.begin());
  EXPECT_TRUE(metrics.begin());
  EXPECT_FALSE(metrics.begin());
  metrics.end("Get", "OK", std::chrono::milliseconds(3));
  EXPECT_TRUE(metrics.begin());
  EXPECT_EQ(metrics.in_flight(), 2u);
  EXPECT_EQ(metrics.requests("Get", "OK"), 1u);
  auto families = metrics.snapshot();
  auto refused = std::ranges::find(families, "tidemark_service_refused_total", &io::MetricFamily::name);
  ASSERT_NE(refused, families.end());
  EXPECT_EQ(refused->samples.at(0).value, 1);
}

TEST(RpcMetrics, LatenciesFallIntoCumulativeBuckets) {
  RpcMetrics metrics(2);
  for (int ms : {1, 3, 300}) {
    ASSERT_TRUE(metrics.begin());
    metrics.end("Get", "OK", std::chrono::milliseconds(ms) - std::chrono::microseconds(100));
  }
  auto families = metrics.snapshot();
  auto latency = std::ranges::find(families, "tidemark_service_latency_seconds", &io::MetricFamily::name);
  ASSERT_NE(latency, families.end());
  const io::MetricSample& sample = latency->samples.at(0);
  EXPECT_EQ(sample.count, 3u);
  uint64_t at_10_ms = 0, at_5_s = 0;
  for (auto [bound, count] : sample.cumulative_buckets) {
    if (bound == 0.01) at_10_ms = count;
    if (bound == 5) at_5_s = count;
  }
  EXPECT_EQ(at_10_ms, 2u);
  EXPECT_EQ(at_5_s, 3u);
}

}  // namespace
}  // namespace tidemark::services
