#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "bench/macro/open_loop.h"
#include "bench/macro/shop_mix.h"
#include "bench/macro/zipf.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;

TEST(Random, GivesTheSameNumbersForTheSameSeedAndOthersForAnother) {
  Random a(7), b(7), c(8);
  const uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
}

TEST(Random, StaysBelowItsBound) {
  Random random(1);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.below(5));
  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2, 3, 4}));
}

// Every rank of a small law must come as often as 1/k^s says, within five standard deviations.
void expect_zipf(uint64_t n, double s) {
  constexpr int kDraws = 200'000;
  Random random(42);
  const Zipf zipf(n, s);
  std::vector<int> count(n + 1);
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t rank = zipf.sample(random);
    ASSERT_GE(rank, 1u);
    ASSERT_LE(rank, n);
    ++count[rank];
  }
  double sum = 0;
  for (uint64_t k = 1; k <= n; ++k) sum += std::pow(static_cast<double>(k), -s);
  for (uint64_t k = 1; k <= n; ++k) {
    const double p = std::pow(static_cast<double>(k), -s) / sum;
    EXPECT_NEAR(count[k], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 1)
        << "rank " << k << " of " << n << ", s " << s;
  }
}

TEST(Zipf, IsExactForExponentOne) {
  expect_zipf(30, 1.0);
}
TEST(Zipf, IsExactForOtherExponents) {
  expect_zipf(30, 0.5);
  expect_zipf(30, 1.2);
}
TEST(Zipf, OfOneRankIsAlwaysThatRank) {
  expect_zipf(1, 1.0);
}

TEST(Zipf, GivesTheFirstHundredOfSixtyThousandTheirShare) {
  Random random(3);
  const Zipf zipf(60'000, 1.0);
  int hot = 0;
  for (int i = 0; i < 100'000; ++i) hot += zipf.sample(random) <= 100;
  const double expected = (std::log(100.0) + 0.5772) / (std::log(60'000.0) + 0.5772);  // harmonic numbers
  EXPECT_NEAR(hot / 100'000.0, expected, 0.01);
}

TEST(OpenLoop, AnArrivalIsDueAtItsPlaceWhateverHappenedBefore) {
  const Instant start(milliseconds(500));
  const OpenLoop loop(start, 1000);
  EXPECT_EQ(loop.due_at(0), start);
  EXPECT_EQ(loop.due_at(2500), start + milliseconds(2500));
}

TEST(OpenLoop, CountsWhatIsDueAfterAStallOfItsCaller) {
  const Instant start(milliseconds(500));
  const OpenLoop loop(start, 1000);
  EXPECT_EQ(loop.due_before(start - milliseconds(1)), 0u);
  EXPECT_EQ(loop.due_before(start), 0u);
  EXPECT_EQ(loop.due_before(start + Duration(1)), 1u);
  EXPECT_EQ(loop.due_before(start + milliseconds(3000)), 3000u);
}

TEST(OpenLoop, CountsExactlyTheArrivalsWhoseTimeHasComeForUnevenRates) {
  const OpenLoop loop(Instant{}, 333.3);
  for (int64_t us = 0; us < 50'000; us += 37) {
    const uint64_t due = loop.due_before(Instant(Duration(us)));
    if (due > 0) EXPECT_LT(loop.due_at(due - 1), Instant(Duration(us)));
    EXPECT_GE(loop.due_at(due), Instant(Duration(us)));
  }
}

ShopMix::Options mix_options() {
  ShopMix::Options options;
  options.seed = 5;
  options.product_count = 1000;
  options.rare_count = 10;
  return options;
}

TEST(ShopMix, IsTheSameStreamForTheSameSeed) {
  ShopMix a(mix_options()), b(mix_options());
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(a.next(), b.next());
}

TEST(ShopMix, KeepsTheSharesItIsGiven) {
  ShopMix mix(mix_options());
  std::map<ShopOpKind, int> count;
  int rare = 0;
  for (int i = 0; i < 100'000; ++i) {
    const ShopOp op = mix.next();
    ++count[op.kind];
    if (op.kind == ShopOpKind::kGet && op.products.front() >= 990) ++rare;
  }
  EXPECT_NEAR(count[ShopOpKind::kBatchGet], 5000, 400);
  EXPECT_NEAR(count[ShopOpKind::kSetPrice], 1000, 200);
  EXPECT_NEAR(count[ShopOpKind::kSetStock], 1000, 200);
  EXPECT_NEAR(rare, 930, 200);
}

TEST(ShopMix, HasListsSearchesAndVisitsWhenItIsGivenShares) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("product-" + std::to_string(i));
  ShopMix::Options options = mix_options();
  options.section_share = 0.02;
  options.search_share = 0.03;
  options.visit_share = 0.1;
  ShopMix mix(options, &names);
  std::map<ShopOpKind, int> count;
  for (int i = 0; i < 100'000; ++i) {
    const ShopOp op = mix.next();
    ++count[op.kind];
    if (op.kind != ShopOpKind::kSearch) continue;
    ASSERT_GE(op.text.size(), ShopMix::kPrefixMin);
    ASSERT_LE(op.text.size(), ShopMix::kPrefixMax);
    ASSERT_TRUE(std::string("product-").starts_with(op.text));
  }
  EXPECT_NEAR(count[ShopOpKind::kListSection], 2000, 300);
  EXPECT_NEAR(count[ShopOpKind::kSearch], 3000, 300);
  EXPECT_NEAR(count[ShopOpKind::kVisit], 10'000, 600);
}

TEST(ShopMix, NeverSetsTheStockOfWhatOrdersSell) {
  ShopMix::Options options = mix_options();
  options.set_stock_share = 1;
  options.set_price_share = options.batch_share = 0;
  ShopMix mix(options);
  const Goods goods(990);
  int prices = 0;
  for (int i = 0; i < 10'000; ++i) {
    const ShopOp op = mix.next();
    if (op.kind == ShopOpKind::kSetStock) ASSERT_FALSE(goods.is_for_order(op.products.front()));
    if (op.kind == ShopOpKind::kSetPrice) ++prices;
  }
  EXPECT_GT(prices, 0);
}

TEST(ShopMix, NeverWritesANameThatMayNotExist) {
  ShopMix mix(mix_options());
  for (int i = 0; i < 100'000; ++i) {
    const ShopOp op = mix.next();
    if (op.kind == ShopOpKind::kSetPrice || op.kind == ShopOpKind::kSetStock) ASSERT_LT(op.products.front(), 990u);
  }
}

TEST(ShopMix, FillsABatchWithDistinctProducts) {
  ShopMix mix(mix_options());
  for (int i = 0; i < 10'000; ++i) {
    const ShopOp op = mix.next();
    if (op.kind != ShopOpKind::kBatchGet) continue;
    ASSERT_EQ(std::set<uint32_t>(op.products.begin(), op.products.end()).size(), op.products.size());
    ASSERT_EQ(op.products.size(), 20u);
  }
}

TEST(ShopMix, ASmallCatalogueGivesASmallerBatchInsteadOfSearchingForEver) {
  ShopMix::Options options = mix_options();
  options.product_count = 3;
  options.rare_count = 0;
  options.batch_share = 1;
  options.set_price_share = options.set_stock_share = 0;
  ShopMix mix(options);
  EXPECT_LE(mix.next().products.size(), 3u);
}

}  // namespace
}  // namespace tidemark::bench
