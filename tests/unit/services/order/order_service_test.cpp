#include "services/order/order_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "base/io/system_clock.h"
#include "tests/unit/services/order/fake_order_store.h"

namespace tidemark::order {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::StartsWith;

const int64_t kCustomer = make_row_id({.time = {kRowIdEpochMs + 1}, .bucket = 7});

class OrderServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    store_->stocks = {{"bash", 5}};
    PlaceSettings settings{.now = io::steady_now, .new_order_id = [this](Bucket bucket) -> Result<int64_t> {
                             return make_row_id({.time = {kRowIdEpochMs + 10 + ids_++}, .bucket = bucket});
                           }};
    service_ = std::make_unique<OrderService>(
        store_, services::CallSettings{.deadline_default = std::chrono::seconds(5), .metrics = &rpc_metrics_}, settings,
        metrics_);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Orders::NewStub(server_->InProcessChannel({}));
  }
  grpc::Status place(int64_t quantity, const std::string& key = "k") {
    pb::PlaceOrderRequest request;
    request.set_customer_id(kCustomer);
    request.set_idempotency_key(key);
    auto& line = *request.add_lines();
    line.set_sku("bash");
    line.set_quantity(quantity);
    grpc::ClientContext context;
    return stub_->PlaceOrder(&context, request, &placed_);
  }
  grpc::Status cancel(int64_t id) {
    pb::CancelOrderRequest request;
    request.set_order_id(id);
    grpc::ClientContext context;
    return stub_->CancelOrder(&context, request, &cancelled_);
  }
  grpc::Status get(int64_t id) {
    pb::GetOrderRequest request;
    request.set_order_id(id);
    grpc::ClientContext context;
    return stub_->GetOrder(&context, request, &got_);
  }
  void set_state(pb::OrderState state) { store_->orders[{kCustomer, "k"}].set_state(state); }

  std::shared_ptr<FakeOrderStore> store_ = std::make_shared<FakeOrderStore>();
  std::shared_ptr<OrderMetrics> metrics_ = std::make_shared<OrderMetrics>(OrderMetrics::Side::kService);
  services::RpcMetrics rpc_metrics_{100};
  int64_t ids_ = 0;
  std::unique_ptr<OrderService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Orders::Stub> stub_;
  pb::PlaceOrderResponse placed_;
  pb::CancelOrderResponse cancelled_;
  pb::GetOrderResponse got_;
};

TEST_F(OrderServiceTest, AKeyIsReplayedAndRefusedForOtherLines) {
  ASSERT_TRUE(place(2).ok());
  EXPECT_FALSE(placed_.replayed());
  const int64_t id = placed_.order().id();
  ASSERT_TRUE(place(2).ok());
  EXPECT_TRUE(placed_.replayed());
  EXPECT_EQ(placed_.order().id(), id);
  const grpc::Status other = place(3);
  EXPECT_EQ(other.error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(other.error_message(), StartsWith("idempotency_key: "));
  EXPECT_EQ(rpc_metrics_.requests("PlaceOrder", "ALREADY_EXISTS"), 1u);
}

TEST_F(OrderServiceTest, WhatIsNotInStockIsNamed) {
  const grpc::Status refused = place(6);
  EXPECT_EQ(refused.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(), HasSubstr("sku \"bash\""));
}

TEST_F(OrderServiceTest, AnUntoldOutcomeSaysThatItMayHaveBeenDone) {
  const Error unknown{ErrorCode::kOutcomeUnknown, "the link broke"};
  store_->place_errors = {unknown, unknown, unknown};
  const grpc::Status untold = place(2);
  EXPECT_EQ(untold.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(untold.error_message(), HasSubstr("may or may not have been done"));
  ASSERT_TRUE(place(2).ok());
  EXPECT_TRUE(placed_.replayed());
}

TEST_F(OrderServiceTest, CancelBeginsOnceAndThenAnswersTheOrderAsItIs) {
  ASSERT_TRUE(place(2).ok());
  const int64_t id = placed_.order().id();
  set_state(pb::CONFIRMED);
  ASSERT_TRUE(cancel(id).ok());
  EXPECT_EQ(cancelled_.order().state(), pb::CANCELLING);
  ASSERT_TRUE(cancel(id).ok());
  set_state(pb::CANCELLED);
  ASSERT_TRUE(cancel(id).ok());
  EXPECT_EQ(cancelled_.order().state(), pb::CANCELLED);
  EXPECT_EQ(metrics_->value("cancelled"), 1u);
  set_state(pb::FAILED);
  EXPECT_EQ(cancel(id).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(cancel(id + 1).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(cancel(0).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(OrderServiceTest, AnOrderIsShownWithItsFreshness) {
  ASSERT_TRUE(place(2).ok());
  ASSERT_TRUE(get(placed_.order().id()).ok());
  EXPECT_EQ(got_.order().lines(0).quantity(), 2);
  EXPECT_EQ(got_.freshness().origin(), "node");
  EXPECT_EQ(got_.freshness().staleness_ms(), 3);
}

TEST_F(OrderServiceTest, AnOrderThatAReplicaDoesNotKnowIsAskedOfThePrimary) {
  ASSERT_TRUE(place(2).ok());
  store_->does_replica_lag = true;
  ASSERT_TRUE(get(placed_.order().id()).ok());
  EXPECT_EQ(got_.freshness().origin(), "primary");
  EXPECT_EQ(get(placed_.order().id() + 1).error_code(), StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace tidemark::order
