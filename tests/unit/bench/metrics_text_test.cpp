#include "bench/macro/metrics_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/macro/latency_recorder.h"

namespace tidemark::bench {
namespace {

constexpr std::string_view kText =
    "# HELP hits_total Hits.\n# TYPE hits_total counter\n"
    "hits_total{worker=\"0\"} 17\nhits_total{worker=\"1\",note=\"a \\\"b\\\", c\"} 3\nup 1 1732440000000\n"
    "lag_bucket{le=\"10\"} 90\nlag_bucket{le=\"50\"} 100\nlag_bucket{le=\"+Inf\"} 100\nlag_sum 1.5e3\n";

MetricsText parse(std::string_view text) {
  auto metrics = MetricsText::parse(text);
  EXPECT_TRUE(metrics.has_value());
  return *metrics;
}

TEST(MetricsText, SumsTheSamplesOfAName) {
  const auto metrics = parse(kText);
  EXPECT_EQ(metrics.sum("hits_total"), 20);
  EXPECT_EQ(metrics.sum("hits_total", {{"worker", "1"}}), 3);
  EXPECT_EQ(metrics.sum("up"), 1);
  EXPECT_EQ(metrics.sum("lag_sum"), 1500);
  EXPECT_EQ(metrics.sum("none"), 0);
  EXPECT_FALSE(metrics.has("none"));
}

TEST(MetricsText, ReadsQuotedLabelValues) {
  EXPECT_EQ(parse(kText).sum("hits_total", {{"note", "a \"b\", c"}}), 3);
}

TEST(MetricsText, RefusesALineThatIsNoSample) {
  EXPECT_FALSE(MetricsText::parse("hits_total{worker=\"0\" 17\n").has_value());
  EXPECT_FALSE(MetricsText::parse("hits_total seventeen\n").has_value());
}

TEST(MetricsText, FindsAQuantileInsideItsBucket) {
  const auto buckets = parse(kText).buckets("lag");
  EXPECT_DOUBLE_EQ(quantile_between({}, buckets, 0.45), 5);
  EXPECT_DOUBLE_EQ(quantile_between({}, buckets, 0.95), 30);
  EXPECT_DOUBLE_EQ(quantile_between({}, buckets, 1.0), 50);
}

TEST(MetricsText, AQuantileCountsOnlyWhatCameBetweenTwoReadings) {
  const auto buckets = parse(kText).buckets("lag");
  EXPECT_DOUBLE_EQ(quantile_between({{10, 90}, {50, 90}, {1.0 / 0.0, 90}}, buckets, 0.5), 30);
  EXPECT_DOUBLE_EQ(quantile_between(buckets, buckets, 0.5), 0);
}

TEST(MetricsText, FindsTheLowestOfSeveralSamples) {
  const auto metrics =
      MetricsText::parse("tide{worker=\"0\",shard=\"1\"} 7\ntide{worker=\"1\",shard=\"1\"} 3\ntide{shard=\"0\"} 1\n");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->lowest("tide", {{"shard", "1"}}), 3.0);
  EXPECT_EQ(metrics->lowest("tide", {{"shard", "2"}}), std::nullopt);
}

TEST(LatencyRecorder, GivesQuantilesInMillisecondsByLabel) {
  LatencyRecorder recorder;
  for (int i = 1; i <= 20; ++i) recorder.record("node", std::chrono::microseconds(i));
  recorder.record("primary", std::chrono::milliseconds(8));
  const auto json = recorder.to_json_ms();
  EXPECT_DOUBLE_EQ(json["node"]["p50"], 0.010);
  EXPECT_EQ(json["node"]["n"], 20);
  EXPECT_DOUBLE_EQ(json["primary"]["max"], 8.0);
  EXPECT_EQ(recorder.max(), std::chrono::milliseconds(8));
}

}  // namespace
}  // namespace tidemark::bench
