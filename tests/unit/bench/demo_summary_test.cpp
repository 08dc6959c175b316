#include "bench/macro/demo_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace tidemark::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

DemoSummary healthy() {
  DemoSummary summary;
  summary.shop = {{"requests", 1000},      {"hit_ratio", 0.9},
                  {"hit_ratio_cold", 0.2}, {"rate", 100.0},
                  {"answers_dropped", 0},  {"latency_ms", {{"node", {{"p50", 0.5}, {"p99", 2.0}, {"n", 900}}}}}};
  summary.tally.checked = 1000;
  summary.tally.by_verdict[0] = 1000;
  summary.errors_in_window = {{"UNAVAILABLE", 3}};
  summary.seed = 7;
  return summary;
}

void add(DemoSummary& summary, Verdict verdict) {
  ++summary.tally.by_verdict[static_cast<size_t>(verdict)];
}

TEST(DemoSummary, ErrorsInsideTheWindowAloneAreNoFailure) {
  EXPECT_THAT(healthy().violations(), IsEmpty());
}

TEST(DemoSummary, FailsForEachKindOfWrongAnswer) {
  for (const Verdict verdict :
       {Verdict::kStale, Verdict::kPhantom, Verdict::kWrongContent, Verdict::kFromTheFuture, Verdict::kBoundMissing}) {
    DemoSummary summary = healthy();
    add(summary, verdict);
    EXPECT_EQ(summary.violations().size(), 1u) << to_string(verdict);
  }
}

TEST(DemoSummary, FailsForLostWritesAndErrorsThatNoFaultExcuses) {
  DemoSummary summary = healthy();
  summary.lost = 2;
  summary.errors_outside_window = {{"UNAVAILABLE", 1}};
  summary.errors_other_slots = 4;
  EXPECT_THAT(summary.violations(),
              ElementsAre(HasSubstr("2 acknowledged writes"), HasSubstr("1 requests failed outside"),
                          HasSubstr("4 requests failed inside")));
}

TEST(DemoSummary, FailsWhenNothingWasCheckedOrNotEverything) {
  DemoSummary summary = healthy();
  summary.tally.checked = 0;
  summary.shop["answers_dropped"] = 5;
  EXPECT_EQ(summary.violations().size(), 2u);
}

TEST(DemoSummary, TheDocumentHoldsThePromisedFields) {
  const auto json = healthy().to_json();
  for (const char* name : {"requests", "hit_ratio", "hit_ratio_cold", "latency_ms", "db_reads", "db_reads_bypass",
                           "invalidation_lag_ms", "answers_checked", "stale_beyond_bound", "errors_in_window",
                           "errors_outside_window", "errors_other_slots", "seed"}) {
    EXPECT_TRUE(json.contains(name)) << name;
  }
  EXPECT_EQ(json["latency_ms"]["node"]["p99"], 2.0);
  EXPECT_EQ(json["errors_in_window"]["UNAVAILABLE"], 3);
  EXPECT_EQ(json["errors_outside_window"], 0);
}

ShopFigures healthy_shop() {
  ShopFigures figures;
  figures.orders.placed = 100;
  figures.orders.sagas = {{"confirmed", 95}, {"cancelled", 5}};
  figures.service_statements = 900;
  figures.relay_statements = 600;
  figures.orders_measured = 100;
  figures.ryw.reads = 50;
  return figures;
}

TEST(DemoSummary, HasNothingAgainstAShopWhereEverythingAddsUp) {
  DemoSummary summary = healthy();
  summary.shop_figures = healthy_shop();
  EXPECT_THAT(summary.violations(), IsEmpty());
}

TEST(DemoSummary, FailsForEachKindOfWrongInTheShop) {
  const std::vector<std::function<void(ShopFigures&)>> wrongs = {
      [](ShopFigures& f) { f.orders.lost = 1; },
      [](ShopFigures& f) { f.orders.oversold = 1; },
      [](ShopFigures& f) { f.orders.unbalanced = 1; },
      [](ShopFigures& f) { f.orders.unreserved = 1; },
      [](ShopFigures& f) { f.orders.unfinished = 1; },
      [](ShopFigures& f) { f.orders.replays_differ = 1; },
      [](ShopFigures& f) { f.sessions.accepted_beyond_bound = 1; },
      [](ShopFigures& f) { f.sessions.bound_missing = 1; },
      [](ShopFigures& f) { f.sessions.lost = 1; },
      [](ShopFigures& f) { f.ryw.violations = 1; },
      [](ShopFigures& f) { f.orders.placed = 0; },
      [](ShopFigures& f) { f.ryw.reads = 0; },
  };
  for (size_t i = 0; i < wrongs.size(); ++i) {
    DemoSummary summary = healthy();
    summary.shop_figures = healthy_shop();
    wrongs[i](*summary.shop_figures);
    EXPECT_EQ(summary.violations().size(), 1u) << i;
  }
}

TEST(DemoSummary, FailsForARowOnTheWrongShardAndForCallsThatWereNotLogged) {
  DemoSummary summary = healthy();
  summary.misplaced_rows = 1;
  summary.shop["events_dropped"] = 2;
  EXPECT_EQ(summary.violations().size(), 2u);
}

TEST(DemoSummary, TheDocumentOfAShopHoldsThePromisedFields) {
  DemoSummary summary = healthy();
  summary.shop_figures = healthy_shop();
  summary.reads_by_server = {{"0/primary", 10}, {"0/replica", 30}, {"1/primary", 20}, {"1/replica", 40}};
  const auto json = summary.to_json();
  EXPECT_EQ(json["orders_placed"], 100);
  EXPECT_EQ(json["orders_lost"], 0);
  EXPECT_EQ(json["oversold"], 0);
  EXPECT_EQ(json["sagas"]["confirmed"], 95);
  EXPECT_EQ(json["read_your_writes_violations"], 0);
  EXPECT_EQ(json["database_statements_per_order"], 15.0);
  EXPECT_EQ(json["reads_by_replicas_share"], 0.7);
  const std::string table = summary.to_table();
  EXPECT_THAT(table, HasSubstr("10 / 30  (75.0 % by replica)"));
  EXPECT_THAT(table, HasSubstr("20 / 40  (66.7 % by replica)"));
  EXPECT_THAT(table, HasSubstr("100 / 0 / 0"));
}

TEST(DemoSummary, TheTableNamesWhatFailed) {
  DemoSummary summary = healthy();
  EXPECT_THAT(summary.to_table(), testing::Not(HasSubstr("FAILED")));
  add(summary, Verdict::kStale);
  EXPECT_THAT(summary.to_table(), HasSubstr("FAILED: 1 answers were older than the bound they carried"));
}

}  // namespace
}  // namespace tidemark::bench
