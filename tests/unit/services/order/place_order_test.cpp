#include "services/order/place_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/services/order/fake_order_store.h"

namespace tidemark::order {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const int64_t kCustomer = make_row_id({.time = {kRowIdEpochMs + 1}, .bucket = 7});

class PlaceOrderTest : public testing::Test {
 protected:
  void SetUp() override {
    store_->stocks = {{"bash", 5}, {"zsh", 5}};
    store_->prices = {{"bash", 10}, {"zsh", 3}};
  }
  Result<Placed> place(std::vector<PlaceRequest::Line> lines = {{"bash", 2}, {"zsh", 1}},
                       const std::string& key = "k") {
    PlaceSettings settings{.now = [this] { return now_; },
                           .new_order_id = [this](Bucket bucket) -> Result<int64_t> {
                             if (id_error_) return std::unexpected(*id_error_);
                             return make_row_id({.time = {kRowIdEpochMs + 10 + ids_++}, .bucket = bucket});
                           }};
    std::optional<Result<Placed>> answer;
    PlaceOrder::start(store_, metrics_, settings, {kCustomer, key, std::move(lines)}, {.timeout = 2s},
                      [&](Result<Placed> placed) {
                        EXPECT_FALSE(answer) << "answered twice";
                        answer = std::move(placed);
                      });
    EXPECT_TRUE(answer) << "not answered";
    return answer ? *answer : fail(ErrorCode::kInternal, "not answered");
  }

  std::shared_ptr<FakeOrderStore> store_ = std::make_shared<FakeOrderStore>();
  std::shared_ptr<OrderMetrics> metrics_ = std::make_shared<OrderMetrics>(OrderMetrics::Side::kService);
  Instant now_{};
  int64_t ids_ = 0;
  std::optional<Error> id_error_;
};

TEST_F(PlaceOrderTest, AnOrderHasThePricesOfItsReservationsAndLiesInItsCustomersBucket) {
  auto placed = place();
  ASSERT_TRUE(placed) << placed.error().to_string();
  EXPECT_FALSE(placed->is_replay);
  EXPECT_EQ(placed->order.total_cents(), 23);
  EXPECT_EQ(placed->order.lines(1).price_cents(), 3);
  EXPECT_EQ(bucket_of_row_id(placed->order.id()), 7);
  EXPECT_EQ(store_->taken(), 3);
  EXPECT_EQ(metrics_->value("placed"), 1u);
}

TEST_F(PlaceOrderTest, AKeyThatHasAnOrderAnswersItAndReservesNothing) {
  auto first = place();
  auto again = place({{"zsh", 1}, {"bash", 2}});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->is_replay);
  EXPECT_TRUE(again->has_same_lines) << "in another order";
  EXPECT_EQ(again->order.id(), first->order.id());
  EXPECT_EQ(store_->reserves, 2);
  auto other = place({{"bash", 3}, {"zsh", 1}});
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->has_same_lines);
  EXPECT_EQ(metrics_->refused("other_lines"), 1u);
}

TEST_F(PlaceOrderTest, ARefusedLineIsNamedAndEveryLineIsReleased) {
  auto placed = place({{"bash", 2}, {"zsh", 6}});
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(placed.error().message, HasSubstr("\"zsh\": not enough in stock"));
  EXPECT_EQ(store_->taken(), 0);
  EXPECT_EQ(store_->stocks["bash"], 5);
  EXPECT_EQ(store_->released.size(), 2u) << "also the one that was not had: its request may have a twin on its way";
  EXPECT_EQ(store_->places, 0);
  EXPECT_EQ(metrics_->refused("out_of_stock"), 1u);
}

TEST_F(PlaceOrderTest, AnUntoldReservationIsAskedForAgainAndTakesStockOnce) {
  store_->reserve_errors = {{ErrorCode::kOutcomeUnknown, "the link broke"}};
  auto placed = place({{"bash", 2}});
  ASSERT_TRUE(placed) << placed.error().to_string();
  EXPECT_EQ(store_->reserves, 2);
  EXPECT_EQ(store_->stocks["bash"], 3);
}

TEST_F(PlaceOrderTest, AReservationThatStaysUntoldIsReleasedAndTheErrorIsTold) {
  const Error unknown{ErrorCode::kOutcomeUnknown, "the link broke"};
  store_->reserve_errors = {unknown, unknown, unknown};
  auto placed = place({{"bash", 2}});
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(store_->reserves, PlaceOrder::kAttemptsMax);
  EXPECT_EQ(store_->stocks["bash"], 5);
}

TEST_F(PlaceOrderTest, AShardThatCannotBeReachedIsNotAskedAgainButTheOthersAreReleased) {
  store_->reserve_errors = {{ErrorCode::kUnavailable, "connection refused"}};
  auto placed = place();
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store_->taken(), 0);
}

TEST_F(PlaceOrderTest, AnUntoldCommitIsAskedAgainWithTheSameIdAndFindsItself) {
  store_->place_errors = {{ErrorCode::kOutcomeUnknown, "the link broke"}};
  auto placed = place();
  ASSERT_TRUE(placed) << placed.error().to_string();
  EXPECT_FALSE(placed->is_replay) << "it is this very order";
  EXPECT_EQ(store_->orders.size(), 1u);
  EXPECT_EQ(store_->releases, 0);
}

TEST_F(PlaceOrderTest, WhereTheOrderMayHaveBeenWrittenNothingIsReleased) {
  const Error unknown{ErrorCode::kOutcomeUnknown, "the link broke"};
  store_->place_errors = {unknown, unknown, unknown};
  auto placed = place();
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_THAT(placed.error().message, HasSubstr("same key"));
  EXPECT_EQ(store_->releases, 0) << "the order is there, and its relay confirms it";
  EXPECT_EQ(store_->taken(), 3);
  auto again = place();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->is_replay);
  EXPECT_EQ(store_->taken(), 3);
}

TEST_F(PlaceOrderTest, AnUntoldCommitFollowedByARefusedOneIsStillUntold) {
  store_->place_errors = {{ErrorCode::kOutcomeUnknown, "the link broke"}, {ErrorCode::kUnavailable, "refused"}};
  auto placed = place();
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(store_->releases, 0) << "the first attempt has written the order";
}

TEST_F(PlaceOrderTest, WhereTheOrderCannotHaveBeenWrittenItsLinesAreReleased) {
  store_->place_errors = {{ErrorCode::kUnavailable, "connection refused"}};
  auto placed = place();
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(store_->taken(), 0);
}

TEST_F(PlaceOrderTest, WhoIsOvertakenByTheSameKeyReleasesItsOwnAndAnswersTheOther) {
  pb::Order other;
  other.set_id(make_row_id({.time = {kRowIdEpochMs + 5}, .bucket = 7}));
  for (const auto& [sku, quantity] : {std::pair{"bash", 2}, std::pair{"zsh", 1}}) {
    auto& line = *other.add_lines();
    line.set_sku(sku);
    line.set_quantity(quantity);
  }
  store_->overtaken_by = other;
  auto placed = place();
  ASSERT_TRUE(placed);
  EXPECT_TRUE(placed->is_replay);
  EXPECT_EQ(placed->order.id(), other.id());
  EXPECT_EQ(store_->taken(), 0) << "only the own ones: the fake holds no others";
  EXPECT_EQ(metrics_->value("placed"), 0u);
  EXPECT_EQ(metrics_->value("replayed"), 1u);
}

TEST_F(PlaceOrderTest, WithoutAnIdNothingIsReserved) {
  id_error_ = Error{ErrorCode::kUnavailable, "no lane"};
  auto placed = place();
  ASSERT_FALSE(placed);
  EXPECT_THAT(placed.error().message, HasSubstr("no lane"));
  EXPECT_EQ(store_->reserves, 0);
}

}  // namespace
}  // namespace tidemark::order
