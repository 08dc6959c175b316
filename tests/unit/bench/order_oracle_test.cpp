#include "bench/macro/order_oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bench {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using Hold = ShopState::Hold;

constexpr uint8_t kOk = 0, kFailedPrecondition = 9, kUnavailable = 14;

ShopEvent place(const std::string& key, int64_t id, std::vector<OrderedLine> lines, uint8_t status = kOk) {
  ShopEvent event;
  event.action = CustomerAction::kPlaceOrder;
  event.customer = 1;
  event.customer_id = 100;
  event.key = key;
  event.lines = std::move(lines);
  event.status = status;
  if (status == kOk) event.orders = {{id, OrderStage::kPending, 1}};
  return event;
}

// Five hats: orders of three and two confirmed, nothing left.
class SoldOut : public testing::Test {
 protected:
  SoldOut() {
    oracle_.add(place("a", 17, {{"hat", 3}}));
    oracle_.add(place("b", 18, {{"hat", 2}}));
    state_.products = {{"hat", {.stock_at_first = 5, .stock_left = 0}}};
    add_order(17, "a", 3);
    add_order(18, "b", 2);
  }
  void add_order(int64_t id, const std::string& key, int64_t hats, OrderStage stage = OrderStage::kConfirmed,
                 Hold hold = Hold::kConfirmed) {
    state_.orders.push_back({.id = id, .customer_id = 100, .key = key, .stage = stage, .lines = {{"hat", hats}}});
    state_.reservations.push_back({.order_id = id, .sku = "hat", .quantity = hats, .hold = hold});
  }
  OrderFigures judged() const { return oracle_.judge(state_); }

  OrderOracle oracle_;
  ShopState state_;
};

TEST_F(SoldOut, IsRightWhenEverythingAddsUp) {
  const OrderFigures figures = judged();
  EXPECT_EQ(figures.placed, 2u);
  EXPECT_EQ(figures.lost + figures.oversold + figures.unbalanced + figures.unreserved + figures.unfinished +
                figures.replays_differ,
            0u);
  EXPECT_EQ(figures.sagas, (std::map<std::string, uint64_t>{{"confirmed", 2}}));
  EXPECT_THAT(figures.examples, IsEmpty());
}

TEST_F(SoldOut, FindsAnOrderMoreThanThereWas) {
  add_order(19, "c", 1);
  state_.products["hat"].stock_left = -1;  // as a service would leave it that does not look
  EXPECT_EQ(judged().oversold, 1u);
  EXPECT_EQ(judged().unbalanced, 0u);
}

TEST_F(SoldOut, FindsAnOversaleThatTheStockDoesNotShow) {
  add_order(19, "c", 1);
  EXPECT_EQ(judged().oversold, 1u);
  EXPECT_EQ(judged().unbalanced, 1u);
}

TEST_F(SoldOut, FindsAStockBelowZeroWithoutAnyOrder) {
  state_.products["hat"].stock_left = -2;
  EXPECT_EQ(judged().oversold, 2u);
}

TEST_F(SoldOut, FindsUnitsThatVanished) {
  state_.products["hat"].stock_at_first = 6;
  const OrderFigures figures = judged();
  EXPECT_EQ(figures.unbalanced, 1u);
  EXPECT_THAT(figures.examples, Contains(HasSubstr("hat: 6 at first, but 0 left and 5 reserved")));
}

TEST_F(SoldOut, CountsUnitsHeldForAnOrderThatNeverCameToBe) {
  state_.products["hat"].stock_at_first = 6;
  state_.reservations.push_back({.order_id = 99, .sku = "hat", .quantity = 1, .hold = Hold::kHeld});
  EXPECT_EQ(judged().unbalanced, 0u);
  EXPECT_EQ(judged().held_without_order, 1u);
}

TEST_F(SoldOut, FindsAnAcknowledgedOrderThatIsNotThere) {
  oracle_.add(place("c", 19, {{"hat", 1}}));
  EXPECT_EQ(judged().lost, 1u);
}

TEST_F(SoldOut, FindsAnAcknowledgedOrderThatIsThereTwiceOrWithOtherLines) {
  state_.orders.push_back(state_.orders.front());
  EXPECT_EQ(judged().lost, 1u);
  state_.orders.pop_back();
  state_.orders.front().lines = {{"hat", 2}};
  EXPECT_EQ(judged().lost, 1u);
}

TEST_F(SoldOut, FindsOneKeyThatGaveTwoOrders) {
  oracle_.add(place("a", 17, {{"hat", 3}}));
  EXPECT_EQ(judged().replays, 1u);
  EXPECT_EQ(judged().replays_differ, 0u);
  oracle_.add(place("a", 18, {{"hat", 3}}));
  EXPECT_EQ(judged().replays_differ, 1u);
}

TEST_F(SoldOut, FindsTwoOrdersOfOneKeyInTheDatabase) {
  state_.products["hat"].stock_at_first = 6;
  add_order(19, "a", 1);
  EXPECT_EQ(judged().replays_differ, 1u);
}

TEST_F(SoldOut, FindsASagaThatNeverEnded) {
  state_.orders.front().stage = OrderStage::kPending;
  EXPECT_EQ(judged().unfinished, 1u);
  EXPECT_EQ(judged().sagas.at("pending"), 1u);
}

TEST_F(SoldOut, FindsAConfirmedOrderWithoutItsGoodsAndAFailedOneThatKeepsThem) {
  state_.reservations.front().hold = Hold::kHeld;
  EXPECT_EQ(judged().unreserved, 1u);
  state_.reservations.front().hold = Hold::kConfirmed;
  state_.orders.front().stage = OrderStage::kFailed;
  EXPECT_EQ(judged().unreserved, 1u);
}

TEST_F(SoldOut, AllowsACancelledOrderWhoseGoodsCameBack) {
  state_.orders.front().stage = OrderStage::kCancelled;
  state_.reservations.front().hold = Hold::kGone;
  state_.products["hat"].stock_left = 3;
  const OrderFigures figures = judged();
  EXPECT_EQ(figures.oversold + figures.unbalanced + figures.unreserved, 0u);
}

TEST_F(SoldOut, CountsRefusalsAndKeysWithoutAnswer) {
  oracle_.add(place("c", 0, {{"hat", 1}}, kFailedPrecondition));
  oracle_.add(place("d", 0, {{"hat", 1}}, kUnavailable));
  EXPECT_EQ(judged().sold_out, 1u);
  EXPECT_EQ(judged().unanswered, 1u);
  EXPECT_EQ(judged().lost, 0u);
}

}  // namespace
}  // namespace tidemark::bench
