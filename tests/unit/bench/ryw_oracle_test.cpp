#include "bench/macro/ryw_oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::bench {
namespace {

using testing::HasSubstr;

constexpr uint8_t kOk = 0, kNotFound = 5;

ShopEvent order_event(CustomerAction action, std::vector<OrderSeen> orders) {
  ShopEvent event;
  event.action = action;
  event.customer = 3;
  event.orders = std::move(orders);
  event.status = kOk;
  event.has_carried_token = true;
  return event;
}
ShopEvent placed(int64_t id, int64_t version = 1) {
  return order_event(CustomerAction::kPlaceOrder, {{id, OrderStage::kPending, version}});
}
ShopEvent got(int64_t id, int64_t version) {
  ShopEvent event = order_event(CustomerAction::kGetOrder, {{id, OrderStage::kPending, version}});
  event.order_id = id;
  return event;
}
ShopEvent not_found(int64_t id) {
  ShopEvent event = got(id, 0);
  event.orders.clear();
  event.status = kNotFound;
  return event;
}
ShopEvent listed(std::vector<int64_t> ids, bool has_more) {
  std::vector<OrderSeen> orders;
  for (const int64_t id : ids) orders.push_back({id, OrderStage::kPending, 1});
  ShopEvent event = order_event(CustomerAction::kListOrders, std::move(orders));
  event.has_more = has_more;
  return event;
}
RywFigures after(std::initializer_list<ShopEvent> events) {
  RywOracle oracle;
  for (const ShopEvent& event : events) oracle.add(event);
  return oracle.figures();
}

TEST(RywOracle, IsContentWithWhatWasPlacedOrNewer) {
  const RywFigures figures = after({placed(17), got(17, 1), got(17, 2), listed({17}, false)});
  EXPECT_EQ(figures.reads, 3u);
  EXPECT_EQ(figures.violations, 1u);  // the list shows version 1 after 2 was read
}

TEST(RywOracle, FindsAnOrderThatItsCustomerCannotSee) {
  const RywFigures figures = after({placed(17), not_found(17)});
  EXPECT_EQ(figures.violations, 1u);
  EXPECT_THAT(figures.examples.front(), HasSubstr("order 17 not found"));
}

TEST(RywOracle, FindsAReadThatGoesBackInTime) {
  EXPECT_EQ(after({placed(17), got(17, 2), got(17, 1)}).violations, 1u);
  EXPECT_EQ(
      after({placed(17), order_event(CustomerAction::kCancelOrder, {{17, OrderStage::kCancelling, 3}}), got(17, 2)})
          .violations,
      1u);
}

TEST(RywOracle, FindsAnOrderThatIsMissingInTheListOfAll) {
  EXPECT_EQ(after({placed(17), placed(18), listed({17}, false)}).violations, 1u);
  EXPECT_EQ(after({placed(17), placed(18), listed({18, 17}, false)}).violations, 0u);
}

TEST(RywOracle, ExpectsOlderOrdersOnALaterPage) {
  EXPECT_EQ(after({placed(17), placed(18), placed(19), listed({19, 18}, true)}).violations, 0u);
  EXPECT_EQ(after({placed(17), placed(18), placed(19), listed({19, 17}, true)}).violations, 1u);
}

TEST(RywOracle, AsksNothingOfACallWithoutToken) {
  ShopEvent stranger = not_found(17);
  stranger.has_carried_token = false;
  EXPECT_EQ(after({placed(17), stranger}).reads, 0u);
}

TEST(RywOracle, ExpectsNothingOfAnotherCustomersOrder) {
  ShopEvent other = not_found(17);
  other.customer = 4;
  EXPECT_EQ(after({placed(17), other}).violations, 0u);
}

}  // namespace
}  // namespace tidemark::bench
