#include "bench/macro/customers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace tidemark::bench {
namespace {

constexpr uint8_t kOk = 0, kNotFound = 5, kFailedPrecondition = 9, kUnavailable = 14;

std::vector<std::string> names() {
  std::vector<std::string> names;
  for (int i = 0; i < 400; ++i) names.push_back("product-" + std::to_string(i));
  return names;
}

// One customer, and a service that is asked nothing: each answer is made here.
class OneCustomer : public testing::Test {
 protected:
  Customers make(Customers::Options options) {
    options.count = 1;
    return Customers(options, names_, Goods(400));
  }
  static ShopEvent ok(const Customers::Call& call) {
    ShopEvent event = call.request;
    event.status = kOk;
    if (event.action == CustomerAction::kCreateSession) {
      event.session = "s" + std::to_string(event.customer_id);
      event.customer_id = 100;
    }
    if (event.action == CustomerAction::kPlaceOrder) event.orders = {{17, OrderStage::kPending, 1}};
    return event;
  }
  static ShopEvent failed(const Customers::Call& call, uint8_t status) {
    ShopEvent event = call.request;
    event.status = status;
    return event;
  }
  // Signed in, its session shown: what it does then.
  static std::optional<Customers::Call> sign_in(Customers& customers) {
    const auto create = customers.arrive();
    EXPECT_EQ(create->request.action, CustomerAction::kCreateSession);
    EXPECT_EQ(create->token, "");  // it wants one
    EXPECT_FALSE(create->request.has_carried_token);
    const auto show = customers.answered(ok(*create), "token-1");
    EXPECT_EQ(show->request.action, CustomerAction::kGetSession);
    EXPECT_EQ(show->token, "token-1");
    return customers.answered(ok(*show), "token-2");
  }
  static Customers::Options only(double Customers::Options::* share) {
    Customers::Options options;
    options.touch_share = options.place_share = options.get_share = options.list_share = options.cancel_share =
        options.revoke_share = options.double_click_share = 0;
    options.*share = 1;
    return options;
  }

  std::vector<std::string> names_ = names();
};

TEST_F(OneCustomer, IsBusyUntilItsVisitHasEnded) {
  Customers customers = make(only(&Customers::Options::touch_share));
  const auto touch = sign_in(customers);
  ASSERT_TRUE(touch);
  EXPECT_EQ(touch->request.action, CustomerAction::kTouchSession);
  EXPECT_FALSE(customers.arrive());
  EXPECT_FALSE(customers.answered(ok(*touch), ""));
  EXPECT_TRUE(customers.arrive());
}

TEST_F(OneCustomer, ReadsWhatItOrderedWithTheTokenOfTheOrder) {
  Customers customers = make(only(&Customers::Options::place_share));
  const auto place = sign_in(customers);
  ASSERT_EQ(place->request.action, CustomerAction::kPlaceOrder);
  EXPECT_FALSE(place->request.key.empty());
  EXPECT_FALSE(place->request.lines.empty());
  const auto read = customers.answered(ok(*place), "token-3");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->request.action == CustomerAction::kGetOrder || read->request.action == CustomerAction::kListOrders);
  EXPECT_EQ(read->token, "token-3");
  EXPECT_TRUE(read->request.has_carried_token);
}

TEST_F(OneCustomer, OrdersAgainWithTheSameKeyAfterGrowingPausesWhenNobodyAnswers) {
  Customers customers = make(only(&Customers::Options::place_share));
  auto place = sign_in(customers);
  const ShopEvent first = place->request;
  Duration pause{};
  for (uint32_t attempt = 1; attempt < Customers::kAttemptsMax; ++attempt) {
    place = customers.answered(failed(*place, kUnavailable), "");
    ASSERT_TRUE(place);
    EXPECT_EQ(place->request.key, first.key);
    EXPECT_EQ(place->request.lines, first.lines);
    EXPECT_EQ(place->request.attempt, attempt);
    EXPECT_GE(place->delay, pause);
    pause = place->delay;
  }
  EXPECT_EQ(pause, Customers::kPauseMax);
  EXPECT_FALSE(customers.answered(failed(*place, kUnavailable), ""));
  EXPECT_EQ(customers.given_up(), 1u);
}

TEST_F(OneCustomer, DoesNotInsistWhenSomethingIsSoldOut) {
  Customers customers = make(only(&Customers::Options::place_share));
  const auto place = sign_in(customers);
  EXPECT_FALSE(customers.answered(failed(*place, kFailedPrecondition), ""));
  EXPECT_EQ(customers.retries(), 0u);
}

TEST_F(OneCustomer, SignedOutIsTriedOnceWithItsTokenAndThenByThievesBeforeItSignsInAnew) {
  Customers customers = make(only(&Customers::Options::revoke_share));
  const auto revoke = sign_in(customers);
  ASSERT_EQ(revoke->request.action, CustomerAction::kRevokeSession);
  const auto owner = customers.answered(ok(*revoke), "token-3");
  ASSERT_EQ(owner->request.action, CustomerAction::kGetSession);
  EXPECT_EQ(owner->token, "token-3");
  EXPECT_FALSE(customers.answered(failed(*owner, kNotFound), "token-4"));
  for (uint32_t i = 0; i < Customers::kStolenTries; ++i) {
    const auto thief = customers.arrive();
    ASSERT_EQ(thief->request.action, CustomerAction::kGetSession);
    EXPECT_EQ(thief->request.session, revoke->request.session);
    EXPECT_EQ(thief->token, std::nullopt);
    EXPECT_FALSE(thief->request.has_carried_token);
    EXPECT_FALSE(customers.answered(failed(*thief, kNotFound), "thief's"));
  }
  const auto again = customers.arrive();
  EXPECT_EQ(again->request.action, CustomerAction::kCreateSession);
  EXPECT_EQ(again->request.customer_id, 100);
  EXPECT_EQ(again->token, "token-4");  // the owner's last, never a thief's
}

TEST_F(OneCustomer, CancelsAnOrderOnceAndLooksAtItAfterwards) {
  Customers::Options options = only(&Customers::Options::place_share);
  options.place_share = options.cancel_share = 0.5;
  Customers customers = make(options);
  std::vector<int64_t> placed, cancelled;
  auto next = sign_in(customers);
  for (int i = 0; i < 200; ++i) {
    if (!next) next = customers.arrive();
    ShopEvent event = ok(*next);
    const CustomerAction action = event.action;
    if (action == CustomerAction::kPlaceOrder) {
      event.orders.front().id = i;
      placed.push_back(i);
    }
    next = customers.answered(event, "t");
    if (action != CustomerAction::kCancelOrder) continue;
    cancelled.push_back(event.order_id);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->request.action, CustomerAction::kGetOrder);
    EXPECT_EQ(next->request.order_id, event.order_id);
  }
  EXPECT_GT(cancelled.size(), 5u);
  EXPECT_EQ(std::set<int64_t>(cancelled.begin(), cancelled.end()).size(), cancelled.size());
  for (const int64_t order : cancelled) EXPECT_NE(std::ranges::find(placed, order), placed.end());
}

TEST(Customers, OrdersOnlyGoodsThatAreForOrderAndTheHotOnesMoreOften) {
  const auto all = names();
  const Goods goods(400);
  Customers customers({.count = 1000, .touch_share = 0, .place_share = 1, .double_click_share = 0}, all, goods);
  std::map<std::string, int> ordered;
  int lines = 0;
  for (int i = 0; i < 1000; ++i) {
    auto call = customers.arrive();
    if (!call || call->request.action != CustomerAction::kCreateSession) break;
    ShopEvent event = call->request;
    event.customer_id = 1;
    event.session = "s";
    call = customers.answered(event, "");
    call = customers.answered(call->request, "");
    ASSERT_EQ(call->request.action, CustomerAction::kPlaceOrder);
    std::set<std::string> skus;
    for (const OrderedLine& line : call->request.lines) {
      EXPECT_TRUE(skus.insert(line.sku).second);
      EXPECT_GE(line.quantity, 1);
      EXPECT_LE(line.quantity, Customers::kQuantityMax);
      ++ordered[line.sku];
      ++lines;
    }
  }
  ASSERT_GT(lines, 100);
  for (const auto& [sku, count] : ordered)
    EXPECT_TRUE(goods.is_for_order(static_cast<uint32_t>(std::stoi(sku.substr(8)))));
}

TEST(Goods, AreEveryTwentiethProductAndTheFirstOfThemAreHot) {
  const Goods goods(101);
  EXPECT_EQ(goods.count(), 6u);
  EXPECT_EQ(goods.hot_count(), 6u);
  EXPECT_TRUE(goods.is_for_order(100));
  EXPECT_FALSE(goods.is_for_order(120));
  EXPECT_FALSE(goods.is_for_order(19));
  Random random(1);
  EXPECT_EQ(Goods(1000).initial_stock(0, 40, random), 40);
  EXPECT_GE(Goods(1000).initial_stock(20 * Goods::kHotCount, 40, random), Goods::kStockMin);
}

}  // namespace
}  // namespace tidemark::bench
