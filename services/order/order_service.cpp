#include "services/order/order_service.h"

#include <utility>

#include "services/catalog/answers.h"
#include "services/order/listing.h"
#include "services/order/validation.h"
#include "services/platform/kill_point.h"

namespace tidemark::order {
namespace {

using services::GrpcCall;
using Call = std::shared_ptr<GrpcCall>;

void add_freshness_trailers(GrpcCall& call, const std::string& origin, int64_t staleness_ms) {
  call.trace().add_trailer("x-tidemark-origin", origin);
  call.trace().add_trailer("x-tidemark-staleness-ms", std::to_string(staleness_ms));
}

PlaceRequest request_of(const pb::PlaceOrderRequest& request) {
  PlaceRequest out{.customer_id = request.customer_id(), .key = request.idempotency_key(), .lines = {}};
  for (const auto& line : request.lines()) out.lines.push_back({line.sku(), line.quantity()});
  return out;
}

Error no_order(int64_t id) {
  return {ErrorCode::kNotFound, "order_id: there is no order " + std::to_string(id)};
}

// An order that a replica does not know may have been placed a moment ago: whoever has its id has it from somewhere.
void find_order(Call call, std::shared_ptr<OrderStore> store, int64_t id, client::ReadOptions options,
                client::Callback<OrderAnswer> done) {
  OrderStore& from = *store;
  from.get(id, options, [call, store, id, options, done = std::move(done)](OrderAnswer answer) mutable {
    const bool is_sure = !answer || answer->has_value() || answer->origin() != client::Origin::kReplica;
    if (is_sure) return done(std::move(answer));
    options.timeout = call->time_left();
    options.is_cache_bypassed = true;
    options.may_use_replica = false;
    store->get(id, options, std::move(done));
  });
}

void answer_placed(GrpcCall& call, Result<Placed> placed, pb::PlaceOrderResponse& response) {
  if (!placed) return call.finish(placed.error());
  if (!placed->has_same_lines) {
    return call.finish(grpc::Status(
        grpc::StatusCode::ALREADY_EXISTS,
        "idempotency_key: it was used for order " + std::to_string(placed->order.id()) + ", which has other lines"));
  }
  *response.mutable_order() = std::move(placed->order);
  response.set_replayed(placed->is_replay);
  add_freshness_trailers(call, "primary", 0);
  call.finish(grpc::Status::OK);
}

void answer_cancelled(GrpcCall& call, int64_t order_id, Result<std::optional<CancelOutcome>> outcome,
                      OrderMetrics& metrics, pb::CancelOrderResponse& response) {
  if (!outcome) return call.finish(outcome.error());
  if (!*outcome) return call.finish(no_order(order_id));
  const pb::OrderState before = (*outcome)->before;
  if (before == pb::FAILED) {
    return call.finish(Error{ErrorCode::kFailedPrecondition, "order_id: order " + std::to_string(order_id) +
                                                                 " has failed: there is nothing to cancel"});
  }
  if (before == pb::PENDING || before == pb::CONFIRMED) metrics.count("cancelled");
  *response.mutable_order() = std::move((*outcome)->order);
  add_freshness_trailers(call, "primary", 0);
  call.finish(grpc::Status::OK);
}

client::ReadOptions read_options(const GrpcCall& call, std::optional<int64_t> max_stale_ms) {
  client::ReadOptions options = catalog::read_options(call.time_left(), max_stale_ms, false);
  options.session = call.session();
  return options;
}

}  // namespace

OrderService::OrderService(std::shared_ptr<OrderStore> store, services::CallSettings call_settings,
                           PlaceSettings place_settings, std::shared_ptr<OrderMetrics> metrics)
    : store_(std::move(store)),
      call_settings_(std::move(call_settings)),
      place_settings_(std::move(place_settings)),
      metrics_(std::move(metrics)) {}

grpc::ServerUnaryReactor* OrderService::PlaceOrder(grpc::CallbackServerContext* context,
                                                   const pb::PlaceOrderRequest* request,
                                                   pb::PlaceOrderResponse* response) {
  auto call = GrpcCall::begin(context, "PlaceOrder", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_place(*request); !checked) return call->finish(checked.error()), reactor;
  order::PlaceOrder::start(
      store_, metrics_, place_settings_, request_of(*request),
      {.timeout = call->time_left(), .session = call->session()},
      [call, response](Result<Placed> placed) { answer_placed(*call, std::move(placed), *response); });
  return reactor;
}

grpc::ServerUnaryReactor* OrderService::GetOrder(grpc::CallbackServerContext* context,
                                                 const pb::GetOrderRequest* request, pb::GetOrderResponse* response) {
  auto call = GrpcCall::begin(context, "GetOrder", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_get(*request); !checked) return call->finish(checked.error()), reactor;
  auto max_stale = request->has_max_stale_ms() ? std::optional(request->max_stale_ms()) : std::nullopt;
  find_order(call, store_, request->order_id(), read_options(*call, max_stale),
             [call, response, id = request->order_id()](OrderAnswer answer) {
               if (!answer) return call->finish(answer.error());
               pb::Freshness& freshness = *response->mutable_freshness();
               freshness.set_origin(std::string(client::to_string(answer->origin())));
               freshness.set_staleness_ms(answer->staleness_ms());
               add_freshness_trailers(*call, freshness.origin(), freshness.staleness_ms());
               if (answer->is_absent()) return call->finish(no_order(id));
               *response->mutable_order() = answer->value();
               call->finish(grpc::Status::OK);
             });
  return reactor;
}

grpc::ServerUnaryReactor* OrderService::ListOrders(grpc::CallbackServerContext* context,
                                                   const pb::ListOrdersRequest* request,
                                                   pb::ListOrdersResponse* response) {
  auto call = GrpcCall::begin(context, "ListOrders", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  auto page = page_of(*request);
  if (!page) return call->finish(page.error()), reactor;
  auto max_stale = request->has_max_stale_ms() ? std::optional(request->max_stale_ms()) : std::nullopt;
  show_page(store_, *page, read_options(*call, max_stale), response, [call](Result<catalog::WorstFreshness> worst) {
    if (!worst) return call->finish(worst.error());
    add_freshness_trailers(*call, worst->origin, worst->staleness_ms);
    call->finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* OrderService::CancelOrder(grpc::CallbackServerContext* context,
                                                    const pb::CancelOrderRequest* request,
                                                    pb::CancelOrderResponse* response) {
  auto call = GrpcCall::begin(context, "CancelOrder", call_settings_);
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (!call->is_admitted()) return reactor;
  if (Status checked = check_cancel(*request); !checked) return call->finish(checked.error()), reactor;
  store_->cancel(
      request->order_id(), {.timeout = call->time_left(), .session = call->session()},
      [call, response, id = request->order_id(), metrics = metrics_](Result<std::optional<CancelOutcome>> outcome) {
        services::kill_point("order.cancelled");
        answer_cancelled(*call, id, std::move(outcome), *metrics, *response);
      });
  return reactor;
}

}  // namespace tidemark::order
