#include "bench/macro/shop/shop_client.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/invariant.h"
#include "base/io/system_clock.h"
#include "base/parse.h"
#include "bench/macro/product_content.h"
#include "services/catalog/proto/catalog.grpc.pb.h"

namespace tidemark::bench {
namespace {

namespace pb = catalog::v1;

int32_t bound_of(int64_t staleness_ms) {
  return staleness_ms < 0 ? kBoundMissing : static_cast<int32_t>(std::min<int64_t>(staleness_ms, INT32_MAX));
}

void set_product(RowAnswer& row, const pb::Product& product) {
  row.version = product.row_version();
  row.content = hash_of({product.version(), product.section(), product.description(), product.size_bytes(),
                         product.price_cents(), product.stock()});
}

void set_freshness(RowAnswer& row, const pb::Freshness& freshness) {
  row.origin = parse_origin(freshness.origin());
  row.bound_ms = bound_of(freshness.staleness_ms());
}

std::string_view trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  return found == trailers.end() ? std::string_view() : std::string_view(found->second.data(), found->second.size());
}

// A failed read has no message: where "there is no such row" came from, and how old that is, stands in the trailers.
void set_freshness_from_trailers(RowAnswer& row, const grpc::ClientContext& context) {
  row.origin = parse_origin(trailer(context, "x-tidemark-origin"));
  row.bound_ms = bound_of(parse_i64(trailer(context, "x-tidemark-staleness-ms")).value_or(-1));
}

// The rows of an answered call, or, for NOT_FOUND, of a proven absence.
void take_rows(FinishedCall& call, const grpc::ClientContext& context, const pb::GetProductResponse& response) {
  RowAnswer row{.product = call.products.front()};
  if (call.status == grpc::NOT_FOUND) {
    row.kind = RecordKind::kAbsent;
    set_freshness_from_trailers(row, context);
    call.status = grpc::OK;
  } else {
    set_product(row, response.product());
    set_freshness(row, response.freshness());
  }
  call.rows.push_back(row);
}

void take_rows(FinishedCall& call, const grpc::ClientContext&, const pb::BatchGetProductsResponse& response) {
  if (static_cast<size_t>(response.answers_size()) != call.products.size()) {
    call.status = grpc::INTERNAL;
    call.message = fmt::format("{} answers to {} skus", response.answers_size(), call.products.size());
    return;
  }
  for (int i = 0; i < response.answers_size(); ++i) {
    const auto& answer = response.answers(i);
    RowAnswer row{.product = call.products[static_cast<size_t>(i)]};
    if (answer.error_code() != 0) {
      row.kind = RecordKind::kError;
      row.error = static_cast<uint8_t>(answer.error_code());
      if (call.message.empty()) call.message = answer.error_message();
    } else {
      set_freshness(row, answer.freshness());
      if (answer.has_product()) {
        set_product(row, answer.product());
      } else {
        row.kind = RecordKind::kAbsent;
      }
    }
    call.rows.push_back(row);
  }
}

template <typename WriteResponse>
void take_rows(FinishedCall& call, const grpc::ClientContext&, const WriteResponse& response) {
  RowAnswer row{.product = call.products.front(), .kind = RecordKind::kWritten};
  set_product(row, response.product());
  call.rows.push_back(row);
}

bool has_rows(const FinishedCall& call) {
  return call.status == grpc::OK || (call.status == grpc::NOT_FOUND && call.kind == ShopOpKind::kGet);
}

// One call under way; it ends itself in its callback, on gRPC's thread.
template <typename Request, typename Response>
struct Call {
  grpc::ClientContext context;
  Request request;
  Response response;
  FinishedCall finished;
  Mailbox* mailbox = nullptr;

  void end(const grpc::Status& status) {
    finished.end_us = io::unix_now_us();
    finished.ended = io::steady_now();
    finished.status = static_cast<uint8_t>(status.error_code());
    finished.message = status.error_message();
    if (has_rows(finished)) take_rows(finished, context, response);
    mailbox->put(std::move(finished));
    delete this;
  }
};

class GrpcShopClient final : public ShopClient {
 public:
  GrpcShopClient(const Options& options, const std::vector<std::string>& names, Mailbox& mailbox)
      : options_(options), names_(names), mailbox_(mailbox) {
    for (uint32_t i = 0; i < options.channels; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt("tidemark.channel", static_cast<int>(i));  // equal arguments would share one connection
      arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
      channels_.push_back(grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments));
      stubs_.push_back(pb::Catalog::NewStub(channels_.back()));
    }
  }

  bool wait_until_connected(Duration timeout) override {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    return std::ranges::all_of(channels_, [&](const auto& channel) { return channel->WaitForConnected(deadline); });
  }

  void start(uint64_t number, ShopOp op) override {
    switch (op.kind) {
      case ShopOpKind::kGet: {
        auto* call = make<pb::GetProductRequest, pb::GetProductResponse>(number, op);
        call->request.set_sku(names_[op.products.front()]);
        call->request.set_bypass_cache(options_.is_cache_bypassed);
        stub(number)->GetProduct(&call->context, &call->request, &call->response, ender(call));
        return;
      }
      case ShopOpKind::kBatchGet: {
        auto* call = make<pb::BatchGetProductsRequest, pb::BatchGetProductsResponse>(number, op);
        for (const uint32_t product : op.products) call->request.add_skus(names_[product]);
        call->request.set_bypass_cache(options_.is_cache_bypassed);
        stub(number)->BatchGetProducts(&call->context, &call->request, &call->response, ender(call));
        return;
      }
      case ShopOpKind::kSetPrice: {
        auto* call = make<pb::SetPriceRequest, pb::SetPriceResponse>(number, op);
        call->request.set_sku(names_[op.products.front()]);
        call->request.set_price_cents(op.value);
        stub(number)->SetPrice(&call->context, &call->request, &call->response, ender(call));
        return;
      }
      case ShopOpKind::kSetStock: {
        auto* call = make<pb::SetStockRequest, pb::SetStockResponse>(number, op);
        call->request.set_sku(names_[op.products.front()]);
        call->request.set_stock(op.value);
        stub(number)->SetStock(&call->context, &call->request, &call->response, ender(call));
        return;
      }
    }
  }

 private:
  template <typename Request, typename Response>
  Call<Request, Response>* make(uint64_t number, const ShopOp& op) {
    auto* call = new Call<Request, Response>;
    call->mailbox = &mailbox_;
    call->finished.number = number;
    call->finished.kind = op.kind;
    call->finished.products = op.products;
    call->context.set_deadline(std::chrono::system_clock::now() + options_.deadline);
    call->finished.start_us = io::unix_now_us();
    call->finished.started = io::steady_now();
    return call;
  }
  template <typename AnyCall>
  static std::function<void(grpc::Status)> ender(AnyCall* call) {
    return [call](const grpc::Status& status) { call->end(status); };
  }
  pb::Catalog::Stub::async_interface* stub(uint64_t number) { return stubs_[number % stubs_.size()]->async(); }

  Options options_;
  const std::vector<std::string>& names_;
  Mailbox& mailbox_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<pb::Catalog::Stub>> stubs_;
};

}  // namespace

void Mailbox::put(FinishedCall call) {
  size_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    waiting = calls_.size();
    if (waiting < wanted_) return;
  }
  arrived_.notify_one();
}

std::vector<FinishedCall> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(calls_, {});
}

void Mailbox::wait_until(std::chrono::steady_clock::time_point deadline, size_t count) {
  std::unique_lock lock(mutex_);
  wanted_ = count;
  arrived_.wait_until(lock, deadline, [&] { return calls_.size() >= count; });
}

std::unique_ptr<ShopClient> ShopClient::create(const Options& options, const std::vector<std::string>& names,
                                               Mailbox& mailbox) {
  return std::make_unique<GrpcShopClient>(options, names, mailbox);
}

}  // namespace tidemark::bench
