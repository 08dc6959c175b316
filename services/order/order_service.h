// The orders' gRPC face: checks what comes in, places, shows and cancels, says how fresh an answer is.
//
// CancelOrder: a pending or confirmed order begins to be cancelled; one that is being cancelled or is cancelled already
// is answered as it is (asking twice is no mistake); a failed one is FAILED_PRECONDITION: there is nothing to cancel.
// gRPC callback API: calls arrive on gRPC's threads and are finished from the client library's loop; nothing blocks.
// Kill points: those of place_order.h, and order.cancelled.
#pragma once

#include <memory>

#include "services/order/order_store.h"
#include "services/order/place_order.h"
#include "services/order/proto/order.grpc.pb.h"
#include "services/platform/grpc_call.h"

namespace tidemark::order {

class OrderService final : public pb::Orders::CallbackService {
 public:
  OrderService(std::shared_ptr<OrderStore> store, services::CallSettings call_settings, PlaceSettings place_settings,
               std::shared_ptr<OrderMetrics> metrics);

  grpc::ServerUnaryReactor* PlaceOrder(grpc::CallbackServerContext* context, const pb::PlaceOrderRequest* request,
                                       pb::PlaceOrderResponse* response) override;
  grpc::ServerUnaryReactor* GetOrder(grpc::CallbackServerContext* context, const pb::GetOrderRequest* request,
                                     pb::GetOrderResponse* response) override;
  grpc::ServerUnaryReactor* ListOrders(grpc::CallbackServerContext* context, const pb::ListOrdersRequest* request,
                                       pb::ListOrdersResponse* response) override;
  grpc::ServerUnaryReactor* CancelOrder(grpc::CallbackServerContext* context, const pb::CancelOrderRequest* request,
                                        pb::CancelOrderResponse* response) override;

 private:
  std::shared_ptr<OrderStore> store_;
  services::CallSettings call_settings_;
  PlaceSettings place_settings_;
  std::shared_ptr<OrderMetrics> metrics_;
};

}  // namespace tidemark::order
