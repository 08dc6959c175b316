// The order service as its callers meet it, over two shards: placed, replayed, sold out, listed, cancelled; and a relay
// that dies between two steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/e2e/order/order_cluster.h"

namespace tidemark::order {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

class OrderE2e : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = std::make_unique<OrderCluster>(
        OrderCluster::Settings{.relays = 2,
                               .replicas = 1,
                               .order_arguments = {"--reservation-ttl", "5s"},
                               .relay_arguments = {"--lease", "1s", "--sweep-interval", "100ms"}});
    const Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  // Customers on either shard: shard 0 has the lower half of the buckets.
  static int64_t new_customer(uint16_t bucket = 7) { return OrderCluster::customer_in(bucket, ++customers_); }

  static bool ends_as(int64_t id, pb::OrderState state) {
    return wait_until([&] { return cluster_->get(id).state() == state; });
  }
  static std::vector<int64_t> list(int64_t customer, int page_size) {
    pb::ListOrdersRequest request;
    request.set_customer_id(customer);
    request.set_page_size(page_size);
    request.set_max_stale_ms(0);
    std::vector<int64_t> ids;
    do {
      grpc::ClientContext context;
      pb::ListOrdersResponse response;
      const grpc::Status status = cluster_->orders().ListOrders(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      for (const auto& order : response.orders()) ids.push_back(order.id());
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty() && ids.size() < 1000);
    return ids;
  }

  static inline std::unique_ptr<OrderCluster> cluster_;
  static inline uint32_t customers_ = 0;
};

TEST_F(OrderE2e, AnOrderOverBothShardsIsPlacedAndConfirmed) {
  cluster_->add_products({{"apple", 10}, {"pear", 10}, {"plum", 10}, {"fig", 10}});
  for (uint16_t bucket : {7, 4000}) {
    auto placed = cluster_->place(new_customer(bucket), "k", {{"apple", 1}, {"pear", 2}, {"plum", 3}, {"fig", 4}});
    ASSERT_TRUE(placed.status.ok()) << placed.status.error_message();
    EXPECT_EQ(placed.response.order().state(), pb::PENDING);
    EXPECT_EQ(placed.response.order().total_cents(), 1000);
    EXPECT_EQ(placed.response.order().lines(1).price_cents(), 100);
    EXPECT_TRUE(ends_as(placed.id(), pb::CONFIRMED));
  }
  EXPECT_EQ(cluster_->number("SELECT coalesce(sum(stock), 0) FROM catalog.product WHERE sku IN ('apple', 'fig')"), 10);
  // The parts lie on two shards, or this test would show less than it says.
  EXPECT_EQ(cluster_->rows("SELECT 1 FROM catalog.product WHERE sku IN ('apple','pear','plum','fig') LIMIT 1").size(),
            2u);
}

TEST_F(OrderE2e, TheSameKeyGivesTheSameOrderAlsoToManyAtOnce) {
  cluster_->add_products({{"twice", 100}});
  const int64_t customer = new_customer();
  std::vector<PlaceAnswer> answers(8);
  std::vector<std::thread> callers;
  cluster_->orders();
  for (auto& answer : answers) {
    callers.emplace_back([&] { answer = cluster_->place(customer, "same", {{"twice", 3}}); });
  }
  for (auto& caller : callers) caller.join();
  std::set<int64_t> ids;
  int replays = 0;
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    ids.insert(answer.id());
    replays += answer.response.replayed() ? 1 : 0;
  }
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(replays, 7);
  EXPECT_TRUE(cluster_->settle());
  EXPECT_EQ(cluster_->number("SELECT coalesce(sum(stock), 0) FROM catalog.product WHERE sku = 'twice'"), 97);
  auto other = cluster_->place(customer, "same", {{"twice", 4}});
  EXPECT_EQ(other.status.error_code(), grpc::StatusCode::ALREADY_EXISTS) << other.status.error_message();
}

TEST_F(OrderE2e, WhatIsSoldOutIsNamedAndTheOtherLinesAreGivenBack) {
  cluster_->add_products({{"rare", 1}, {"common", 50}});
  auto refused = cluster_->place(new_customer(), "k", {{"common", 5}, {"rare", 2}});
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("\"rare\""));
  EXPECT_EQ(cluster_->number("SELECT coalesce(sum(stock), 0) FROM catalog.product WHERE sku = 'common'"), 50);
  auto unknown = cluster_->place(new_customer(), "k", {{"no-such-thing", 1}});
  EXPECT_EQ(unknown.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(OrderE2e, OfTheLastItemsOfAHotProductExactlySoManyAreSold) {
  cluster_->add_products({{"hot", 7}, {"side", 1000}});
  cluster_->orders();
  std::vector<PlaceAnswer> answers(24);
  std::vector<std::thread> callers;
  for (auto& answer : answers) {
    callers.emplace_back([&, customer = new_customer(static_cast<uint16_t>(100 * callers.size()))] {
      answer = cluster_->place(customer, "k", {{"hot", 1}, {"side", 1}});
    });
  }
  for (auto& caller : callers) caller.join();
  int sold = 0;
  for (const auto& answer : answers) {
    if (answer.status.ok())
      ++sold;
    else
      EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << answer.status.error_message();
  }
  EXPECT_EQ(sold, 7);
  EXPECT_TRUE(cluster_->settle());
  EXPECT_THAT(cluster_->audit(), IsEmpty());
}

TEST_F(OrderE2e, ACustomersOrdersAreListedNewestFirstPageByPage) {
  cluster_->add_products({{"many", 1000}});
  const int64_t customer = new_customer(2500);
  EXPECT_THAT(list(customer, 10), IsEmpty());
  std::vector<int64_t> placed;
  for (int i = 0; i < 110; ++i) {  // more than the key of the newest holds
    auto answer = cluster_->place(customer, "k" + std::to_string(i), {{"many", 1}});
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    placed.insert(placed.begin(), answer.id());
  }
  EXPECT_EQ(list(customer, 40), placed);
  EXPECT_EQ(list(customer, 100), placed);
}

TEST_F(OrderE2e, CancellingGivesTheStockBackAndMayBeRepeated) {
  cluster_->add_products({{"regret", 5}});
  auto placed = cluster_->place(new_customer(), "k", {{"regret", 5}});
  ASSERT_TRUE(placed.status.ok()) << placed.status.error_message();
  pb::Order order;
  ASSERT_TRUE(cluster_->cancel(placed.id(), &order).ok());
  EXPECT_EQ(order.state(), pb::CANCELLING);
  EXPECT_TRUE(cluster_->cancel(placed.id()).ok());
  EXPECT_TRUE(ends_as(placed.id(), pb::CANCELLED));
  EXPECT_TRUE(cluster_->cancel(placed.id(), &order).ok());
  EXPECT_EQ(order.state(), pb::CANCELLED);
  EXPECT_EQ(cluster_->number("SELECT coalesce(sum(stock), 0) FROM catalog.product WHERE sku = 'regret'"), 5);
  EXPECT_EQ(cluster_->cancel(placed.id() + 1).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(OrderE2e, AnOrderWhoseReservationExpiredAndWasSoldFailsAndItsOtherLinesAreGivenBack) {
  cluster_->add_products({{"late", 1}, {"along", 10}});
  for (const char* relay : {"relay1", "relay2"}) ASSERT_TRUE(cluster_->processes().pause(relay));
  auto placed = cluster_->place(new_customer(), "k", {{"late", 1}, {"along", 2}});
  ASSERT_TRUE(placed.status.ok()) << placed.status.error_message();
  // What the sweep would do, and somebody who is quicker.
  cluster_->execute("UPDATE catalog.reservation SET expires_at = now() - interval '1 s' WHERE state = 'held'");
  cluster_->execute("SELECT catalog.expire_reservations(1000)");
  cluster_->execute("UPDATE catalog.product SET stock = 0 WHERE sku = 'late'");
  for (const char* relay : {"relay1", "relay2"}) ASSERT_TRUE(cluster_->processes().resume(relay));
  EXPECT_TRUE(ends_as(placed.id(), pb::FAILED));
  EXPECT_THAT(cluster_->get(placed.id()).failure(), HasSubstr("\"late\""));
  EXPECT_EQ(cluster_->number("SELECT coalesce(sum(stock), 0) FROM catalog.product WHERE sku = 'along'"), 10);
  EXPECT_EQ(cluster_->cancel(placed.id()).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  cluster_->execute("UPDATE catalog.product SET stock = 1 WHERE sku = 'late'");
}

TEST_F(OrderE2e, AReadAfterAnAnswerIsAtLeastAsNewAndSoonComesFromTheNode) {
  cluster_->add_products({{"seen", 10}});
  auto placed = cluster_->place(new_customer(), "k", {{"seen", 1}});
  ASSERT_TRUE(placed.status.ok());
  ASSERT_TRUE(ends_as(placed.id(), pb::CONFIRMED));
  pb::GetOrderRequest request;
  request.set_order_id(placed.id());
  EXPECT_TRUE(wait_until([&] {
    grpc::ClientContext context;
    pb::GetOrderResponse response;
    const grpc::Status status = cluster_->orders().GetOrder(&context, request, &response);
    return status.ok() && response.freshness().origin() == "node" && response.order().state() == pb::CONFIRMED &&
           response.order().lines_size() == 1;
  }));
}

TEST_F(OrderE2e, ASagaWhoseRelayDiedIsEndedByAnother) {
  cluster_->add_products({{"orphan", 10}});
  cluster_->restart_with_kill_point("relay1", "relay.confirmed_first");
  cluster_->restart_with_kill_point("relay2", "relay.confirmed");
  auto placed = cluster_->place(new_customer(), "k", {{"orphan", 4}});
  ASSERT_TRUE(placed.status.ok()) << placed.status.error_message();
  // Whoever takes it first dies; when its lease has ended the other one does.
  EXPECT_TRUE(wait_until([&] { return !cluster_->is_running("relay1") && !cluster_->is_running("relay2"); }));
  EXPECT_EQ(cluster_->get(placed.id()).state(), pb::PENDING);
  cluster_->restart_with_kill_point("relay1", "");
  EXPECT_TRUE(ends_as(placed.id(), pb::CONFIRMED));
  cluster_->restart_with_kill_point("relay2", "");
  EXPECT_TRUE(cluster_->settle());
  EXPECT_THAT(cluster_->audit({placed.id()}), IsEmpty());
}

TEST_F(OrderE2e, BadRequestsAreRefusedByTheNameOfTheirField) {
  auto refused = [&](int64_t customer, const std::string& key, const std::vector<Line>& lines) {
    auto answer = cluster_->place(customer, key, lines);
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return answer.status.error_message();
  };
  const int64_t customer = new_customer();
  EXPECT_THAT(refused(0, "k", {{"a", 1}}), HasSubstr("customer_id"));
  EXPECT_THAT(refused(customer, "", {{"a", 1}}), HasSubstr("idempotency_key"));
  EXPECT_THAT(refused(customer, std::string(65, 'x'), {{"a", 1}}), HasSubstr("idempotency_key"));
  EXPECT_THAT(refused(customer, "k", {}), HasSubstr("lines"));
  EXPECT_THAT(refused(customer, "k", {{"a", 0}}), HasSubstr("lines[0].quantity"));
  EXPECT_THAT(refused(customer, "k", {{"a", 1}, {"a", 2}}), HasSubstr("lines[1].sku"));
  EXPECT_THAT(refused(customer, "k", {{"{a}", 1}}), HasSubstr("lines[0]"));
}

}  // namespace
}  // namespace tidemark::order
