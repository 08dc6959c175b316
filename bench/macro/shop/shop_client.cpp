#include "bench/macro/shop/shop_client.h"

#include <fmt/format.h>

#include <functional>
#include <unordered_map>
#include <utility>

#include "bench/macro/product_content.h"
#include "bench/macro/shop/grpc_call.h"
#include "services/catalog/proto/catalog.grpc.pb.h"

namespace tidemark::bench {
namespace {

namespace pb = catalog::v1;

void set_product(RowAnswer& row, const pb::Product& product) {
  row.version = product.row_version();
  row.content = hash_of({product.version(), product.section(), product.description(), product.size_bytes(),
                         product.price_cents(), product.stock()});
}

// The row of an answered call, or, for NOT_FOUND, of a proven absence.
void take_get(GrpcCall<pb::GetProductRequest, pb::GetProductResponse>& call) {
  FinishedCall& finished = call.finished;
  if (finished.status != grpc::OK && finished.status != grpc::NOT_FOUND) return;
  RowAnswer row{.product = finished.products.front()};
  if (finished.status == grpc::NOT_FOUND) {
    row.kind = RecordKind::kAbsent;
    set_freshness_from_trailers(row, call.context);
    finished.status = grpc::OK;
  } else {
    set_product(row, call.response.product());
    set_freshness(row, call.response.freshness());
    finished.section = call.response.product().section();
  }
  finished.rows.push_back(row);
}

void take_batch(GrpcCall<pb::BatchGetProductsRequest, pb::BatchGetProductsResponse>& call) {
  FinishedCall& finished = call.finished;
  if (finished.status != grpc::OK) return;
  if (static_cast<size_t>(call.response.answers_size()) != finished.products.size()) {
    finished.status = grpc::INTERNAL;
    finished.message = fmt::format("{} answers to {} skus", call.response.answers_size(), finished.products.size());
    return;
  }
  for (int i = 0; i < call.response.answers_size(); ++i) {
    const auto& answer = call.response.answers(i);
    RowAnswer row{.product = finished.products[static_cast<size_t>(i)]};
    if (answer.error_code() != 0) {
      row.kind = RecordKind::kError;
      row.error = static_cast<uint8_t>(answer.error_code());
      if (finished.message.empty()) finished.message = answer.error_message();
    } else {
      set_freshness(row, answer.freshness());
      if (answer.has_product()) {
        set_product(row, answer.product());
      } else {
        row.kind = RecordKind::kAbsent;
      }
    }
    finished.rows.push_back(row);
  }
}

template <typename Request, typename Response>
void take_written(GrpcCall<Request, Response>& call) {
  if (call.finished.status != grpc::OK) return;
  RowAnswer row{.product = call.finished.products.front(), .kind = RecordKind::kWritten};
  set_product(row, call.response.product());
  call.finished.rows.push_back(row);
}

class GrpcShopClient final : public ShopClient {
 public:
  GrpcShopClient(const Options& options, const std::vector<std::string>& names, Mailbox& mailbox)
      : options_(options), names_(names), mailbox_(mailbox) {
    for (uint32_t i = 0; i < names.size(); ++i) product_of_name_.emplace(names[i], i);
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

  void start(uint64_t number, Instant due, ShopOp op) override {
    auto* stub = stubs_[number % stubs_.size()]->async();
    const FinishedCall asked{.number = number, .kind = op.kind, .products = op.products, .due = due};
    switch (op.kind) {
      case ShopOpKind::kGet: {
        auto* call = make<pb::GetProductRequest, pb::GetProductResponse>(asked, take_get);
        call->request.set_sku(names_[op.products.front()]);
        call->request.set_bypass_cache(options_.is_cache_bypassed);
        return stub->GetProduct(&call->context, &call->request, &call->response, call->ender());
      }
      case ShopOpKind::kBatchGet: {
        auto* call = make<pb::BatchGetProductsRequest, pb::BatchGetProductsResponse>(asked, take_batch);
        for (const uint32_t product : op.products) call->request.add_skus(names_[product]);
        call->request.set_bypass_cache(options_.is_cache_bypassed);
        return stub->BatchGetProducts(&call->context, &call->request, &call->response, call->ender());
      }
      case ShopOpKind::kSetPrice: {
        auto* call = make<pb::SetPriceRequest, pb::SetPriceResponse>(
            asked, take_written<pb::SetPriceRequest, pb::SetPriceResponse>);
        call->request.set_sku(names_[op.products.front()]);
        call->request.set_price_cents(op.value);
        return stub->SetPrice(&call->context, &call->request, &call->response, call->ender());
      }
      case ShopOpKind::kSetStock: {
        auto* call = make<pb::SetStockRequest, pb::SetStockResponse>(
            asked, take_written<pb::SetStockRequest, pb::SetStockResponse>);
        call->request.set_sku(names_[op.products.front()]);
        call->request.set_stock(op.value);
        return stub->SetStock(&call->context, &call->request, &call->response, call->ender());
      }
      case ShopOpKind::kListSection: {
        auto* call =
            make<pb::ListSectionRequest, pb::ListProductsResponse>(asked, list_taker<pb::ListSectionRequest>());
        call->request.set_section(op.text);
        call->request.set_page_size(kPageSize);
        return stub->ListSection(&call->context, &call->request, &call->response, call->ender());
      }
      case ShopOpKind::kSearch: {
        auto* call =
            make<pb::SearchProductsRequest, pb::ListProductsResponse>(asked, list_taker<pb::SearchProductsRequest>());
        call->request.set_prefix(op.text);
        call->request.set_page_size(kPageSize);
        return stub->SearchProducts(&call->context, &call->request, &call->response, call->ender());
      }
      case ShopOpKind::kVisit:
        return;
    }
  }

 private:
  template <typename Request, typename Response>
  GrpcCall<Request, Response>* make(const FinishedCall& asked, std::function<void(GrpcCall<Request, Response>&)> take) {
    auto* call = new GrpcCall<Request, Response>;
    call->mailbox = &mailbox_;
    call->finished = asked;
    call->take_answer = std::move(take);
    call->begin(options_.deadline, std::nullopt);
    return call;
  }

  // Every row of a list carries the list's bound, that of its stalest row.
  template <typename Request>
  std::function<void(GrpcCall<Request, pb::ListProductsResponse>&)> list_taker() const {
    return [this](GrpcCall<Request, pb::ListProductsResponse>& call) {
      if (call.finished.status != grpc::OK) return;
      for (const pb::Product& product : call.response.products()) {
        const auto known = product_of_name_.find(product.sku());
        if (known == product_of_name_.end()) {
          call.finished.status = grpc::INTERNAL;
          call.finished.message = fmt::format("a list holds '{}', which nobody ever had", product.sku());
          call.finished.rows.clear();
          return;
        }
        RowAnswer row{.product = known->second};
        set_product(row, product);
        set_freshness(row, call.response.freshness());
        call.finished.rows.push_back(row);
      }
    };
  }

  Options options_;
  const std::vector<std::string>& names_;
  std::unordered_map<std::string_view, uint32_t> product_of_name_;
  Mailbox& mailbox_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<pb::Catalog::Stub>> stubs_;
};

}  // namespace

std::unique_ptr<ShopClient> ShopClient::create(const Options& options, const std::vector<std::string>& names,
                                               Mailbox& mailbox) {
  return std::make_unique<GrpcShopClient>(options, names, mailbox);
}

}  // namespace tidemark::bench
