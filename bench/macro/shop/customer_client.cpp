#include "bench/macro/shop/customer_client.h"

#include <functional>
#include <utility>

#include "bench/macro/shop/grpc_call.h"
#include "services/order/proto/order.grpc.pb.h"
#include "services/session/proto/session.grpc.pb.h"

namespace tidemark::bench {
namespace {

namespace sessions = session::v1;
namespace orders = order::v1;

constexpr size_t kMessageMax = 200;  // of an error, in the event

// What every event has from its call.
template <typename Request, typename Response>
ShopEvent& finish_event(GrpcCall<Request, Response>& call) {
  ShopEvent& event = *call.finished.event;
  event.status = call.finished.status;
  event.message = call.finished.message.substr(0, kMessageMax);
  event.start_us = call.finished.start_us;
  event.end_us = call.finished.end_us;
  return event;
}

OrderSeen seen(const orders::Order& order) {
  return {order.id(), parse_order_stage(orders::OrderState_Name(order.state())), order.row_version()};
}

template <typename Request, typename Response>
void take_freshness(ShopEvent& event, const GrpcCall<Request, Response>& call) {
  if (event.status == grpc::OK)
    set_freshness(event, call.response.freshness());
  else
    set_freshness_from_trailers(event, call.context);
}

void take(GrpcCall<sessions::CreateSessionRequest, sessions::CreateSessionResponse>& call) {
  ShopEvent& event = finish_event(call);
  if (event.status != grpc::OK) return;
  event.session = call.response.session().token();
  event.customer_id = call.response.session().customer_id();
  event.version = call.response.session().row_version();
}

void take(GrpcCall<sessions::GetSessionRequest, sessions::GetSessionResponse>& call) {
  ShopEvent& event = finish_event(call);
  take_freshness(event, call);
  if (event.status == grpc::OK) event.version = call.response.session().row_version();
}

void take(GrpcCall<sessions::TouchSessionRequest, sessions::TouchSessionResponse>& call) {
  ShopEvent& event = finish_event(call);
  if (event.status == grpc::OK && call.response.written()) event.version = call.response.session().row_version();
}

void take(GrpcCall<sessions::RevokeSessionRequest, sessions::RevokeSessionResponse>& call) {
  finish_event(call).was_revoked = call.response.revoked();
}

void take(GrpcCall<orders::PlaceOrderRequest, orders::PlaceOrderResponse>& call) {
  ShopEvent& event = finish_event(call);
  if (event.status != grpc::OK) return;
  event.is_replayed = call.response.replayed();
  event.orders = {seen(call.response.order())};
}

void take(GrpcCall<orders::GetOrderRequest, orders::GetOrderResponse>& call) {
  ShopEvent& event = finish_event(call);
  take_freshness(event, call);
  if (event.status == grpc::OK) event.orders = {seen(call.response.order())};
}

void take(GrpcCall<orders::ListOrdersRequest, orders::ListOrdersResponse>& call) {
  ShopEvent& event = finish_event(call);
  take_freshness(event, call);
  if (event.status != grpc::OK) return;
  for (const orders::Order& order : call.response.orders()) event.orders.push_back(seen(order));
  event.has_more = !call.response.next_page_token().empty();
}

void take(GrpcCall<orders::CancelOrderRequest, orders::CancelOrderResponse>& call) {
  ShopEvent& event = finish_event(call);
  if (event.status == grpc::OK) event.orders = {seen(call.response.order())};
}

class GrpcCustomerClient final : public CustomerClient {
 public:
  GrpcCustomerClient(const Options& options, Mailbox& mailbox)
      : options_(options),
        mailbox_(mailbox),
        session_channel_(connect(options.session_target)),
        order_channel_(connect(options.order_target)),
        sessions_(sessions::Sessions::NewStub(session_channel_)),
        orders_(orders::Orders::NewStub(order_channel_)) {}

  bool wait_until_connected(Duration timeout) override {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    return session_channel_->WaitForConnected(deadline) && order_channel_->WaitForConnected(deadline);
  }

  void start(uint64_t number, Instant due, Customers::Call wanted) override {
    number_ = number;
    due_ = due;
    if (is_order_action(wanted.request.action))
      start_order(wanted);
    else
      start_session(wanted);
  }

 private:
  static std::shared_ptr<grpc::Channel> connect(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  }

  template <typename Request, typename Response>
  GrpcCall<Request, Response>* make(const Customers::Call& wanted) {
    auto* call = new GrpcCall<Request, Response>;
    call->mailbox = &mailbox_;
    call->finished.number = number_;
    call->finished.kind = ShopOpKind::kVisit;
    call->finished.event = wanted.request;
    call->finished.due = due_;
    call->take_answer = [](GrpcCall<Request, Response>& ended) { take(ended); };
    call->begin(is_order_action(wanted.request.action) ? options_.order_deadline : options_.session_deadline,
                wanted.token);
    return call;
  }

  void start_session(const Customers::Call& wanted) {
    auto* stub = sessions_->async();
    const ShopEvent& asked = wanted.request;
    if (asked.action == CustomerAction::kCreateSession) {
      auto* call = make<sessions::CreateSessionRequest, sessions::CreateSessionResponse>(wanted);
      call->request.set_customer_id(asked.customer_id);
      (*call->request.mutable_attributes())["cart"] = "empty";
      stub->CreateSession(&call->context, &call->request, &call->response, call->ender());
    } else if (asked.action == CustomerAction::kGetSession) {
      auto* call = make<sessions::GetSessionRequest, sessions::GetSessionResponse>(wanted);
      call->request.set_token(asked.session);
      stub->GetSession(&call->context, &call->request, &call->response, call->ender());
    } else if (asked.action == CustomerAction::kTouchSession) {
      auto* call = make<sessions::TouchSessionRequest, sessions::TouchSessionResponse>(wanted);
      call->request.set_token(asked.session);
      stub->TouchSession(&call->context, &call->request, &call->response, call->ender());
    } else {
      auto* call = make<sessions::RevokeSessionRequest, sessions::RevokeSessionResponse>(wanted);
      call->request.set_token(asked.session);
      stub->RevokeSession(&call->context, &call->request, &call->response, call->ender());
    }
  }

  void start_order(const Customers::Call& wanted) {
    auto* stub = orders_->async();
    const ShopEvent& asked = wanted.request;
    if (asked.action == CustomerAction::kPlaceOrder) {
      auto* call = make<orders::PlaceOrderRequest, orders::PlaceOrderResponse>(wanted);
      call->request.set_customer_id(asked.customer_id);
      call->request.set_idempotency_key(asked.key);
      for (const OrderedLine& line : asked.lines) {
        auto* added = call->request.add_lines();
        added->set_sku(line.sku);
        added->set_quantity(line.quantity);
      }
      stub->PlaceOrder(&call->context, &call->request, &call->response, call->ender());
    } else if (asked.action == CustomerAction::kGetOrder) {
      auto* call = make<orders::GetOrderRequest, orders::GetOrderResponse>(wanted);
      call->request.set_order_id(asked.order_id);
      stub->GetOrder(&call->context, &call->request, &call->response, call->ender());
    } else if (asked.action == CustomerAction::kListOrders) {
      auto* call = make<orders::ListOrdersRequest, orders::ListOrdersResponse>(wanted);
      call->request.set_customer_id(asked.customer_id);
      call->request.set_page_size(kPageSize);
      stub->ListOrders(&call->context, &call->request, &call->response, call->ender());
    } else {
      auto* call = make<orders::CancelOrderRequest, orders::CancelOrderResponse>(wanted);
      call->request.set_order_id(asked.order_id);
      stub->CancelOrder(&call->context, &call->request, &call->response, call->ender());
    }
  }

  Options options_;
  Mailbox& mailbox_;
  std::shared_ptr<grpc::Channel> session_channel_, order_channel_;
  std::unique_ptr<sessions::Sessions::Stub> sessions_;
  std::unique_ptr<orders::Orders::Stub> orders_;
  uint64_t number_ = 0;  // of the call being started
  Instant due_{};
};

}  // namespace

std::unique_ptr<CustomerClient> CustomerClient::create(const Options& options, Mailbox& mailbox) {
  return std::make_unique<GrpcCustomerClient>(options, mailbox);
}

}  // namespace tidemark::bench
