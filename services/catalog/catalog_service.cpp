#include "services/catalog/catalog_service.h"

#include <atomic>

#include "services/catalog/answers.h"
#include "services/catalog/importer.h"
#include "services/catalog/listing.h"
#include "services/catalog/validation.h"

namespace tidemark::catalog {
namespace {

using services::CallTrace;
using services::GrpcCall;

void add_freshness_trailers(CallTrace& trace, const std::string& origin, int64_t staleness_ms) {
  trace.add_trailer("x-tidemark-origin", origin);
  trace.add_trailer("x-tidemark-staleness-ms", std::to_string(staleness_ms));
}

// One import: reads messages until its window is full, writes it, reads on. gRPC's flow control holds the caller back
// meanwhile, so memory stays bounded.
class ImportCall final : public grpc::ServerReadReactor<pb::ImportProductsRequest> {
 public:
  ImportCall(grpc::CallbackServerContext* context, pb::ImportProductsResponse* response,
             const services::CallSettings& settings, std::shared_ptr<ProductStore> store)
      : trace_(context, "ImportProducts", settings),
        response_(response),
        importer_(std::make_shared<Importer>(
            std::move(store), [this] { return trace_.time_left(); }, [this] { return is_cancelled_.load(); })) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return flush(/*is_last=*/true);
    if (request_.products_size() > kImportMessageProductsMax) {
      return finish({grpc::StatusCode::INVALID_ARGUMENT,
                     "products: " + std::to_string(request_.products_size()) + " are more than " +
                         std::to_string(kImportMessageProductsMax) + " in one message"});
    }
    importer_->add(request_);
    if (importer_->wants_flush())
      flush(/*is_last=*/false);
    else
      StartRead(&request_);
  }
  void OnCancel() override { is_cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  void flush(bool is_last) {
    importer_->flush([this, is_last](Status status) {
      if (!status) return finish(services::to_grpc_status(status.error()));
      if (!is_last) return StartRead(&request_);
      *response_ = importer_->summary();
      finish(grpc::Status::OK);
    });
  }

  void finish(const grpc::Status& status) {
    trace_.end(status);
    Finish(status);
  }

  CallTrace trace_;
  pb::ImportProductsResponse* response_;
  std::atomic<bool> is_cancelled_ = false;
  pb::ImportProductsRequest request_;
  std::shared_ptr<Importer> importer_;
};

class RefusedImport final : public grpc::ServerReadReactor<pb::ImportProductsRequest> {
 public:
  RefusedImport() {
    Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "the service answers as many calls as it may; try again later"});
  }
  void OnDone() override { delete this; }
};

// SetPrice and SetStock differ in one column.
template <typename Response>
grpc::ServerUnaryReactor* set_field(ProductStore& store, std::shared_ptr<GrpcCall> call, const std::string& sku,
                                    ProductField field, int64_t value, Response* response) {
  grpc::ServerUnaryReactor* reactor = call->reactor();
  Status checked = check_sku(sku);
  if (checked) checked = field == ProductField::kPrice ? check_price(value) : check_stock(value);
  if (!checked) {
    call->finish(checked.error());
    return reactor;
  }
  store.set_field(sku, field, value, {.timeout = call->time_left(), .session = call->session()},
                  [call, response](Result<pb::Product> product) {
                    if (!product) return call->finish(product.error());
                    *response->mutable_product() = std::move(*product);
                    add_freshness_trailers(call->trace(), "primary", 0);
                    call->finish(grpc::Status::OK);
                  });
  return reactor;
}

// ListSection and SearchProducts differ in what chooses the skus.
template <typename Request>
grpc::ServerUnaryReactor* list(std::shared_ptr<ProductStore> store, std::shared_ptr<GrpcCall> call,
                               const Request& request, bool is_cache_bypassed, pb::ListProductsResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->reactor();
  auto page = page_of(request);
  if (!page) {
    call->finish(page.error());
    return reactor;
  }
  auto options = read_options(call->time_left(), {}, is_cache_bypassed);
  options.session = call->session();
  show_page(std::move(store), std::move(*page), options, response, [call](Result<WorstFreshness> worst) {
    if (!worst) return call->finish(worst.error());
    add_freshness_trailers(call->trace(), worst->origin, worst->staleness_ms);
    call->finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace

CatalogService::CatalogService(std::shared_ptr<ProductStore> store, services::CallSettings call_settings,
                               CatalogOptions options)
    : store_(std::move(store)), call_settings_(std::move(call_settings)), options_(options) {}

grpc::ServerReadReactor<pb::ImportProductsRequest>* CatalogService::ImportProducts(
    grpc::CallbackServerContext* context, pb::ImportProductsResponse* response) {
  if (!call_settings_.metrics->begin()) return new RefusedImport();
  return new ImportCall(context, response, call_settings_, store_);
}

grpc::ServerUnaryReactor* CatalogService::GetProduct(grpc::CallbackServerContext* context,
                                                     const pb::GetProductRequest* request,
                                                     pb::GetProductResponse* response) {
  auto call = GrpcCall::begin(context, "GetProduct", call_settings_);
  if (!call->is_admitted()) return call->reactor();
  grpc::ServerUnaryReactor* reactor = call->reactor();
  Status checked = check_sku(request->sku());
  if (checked && request->has_max_stale_ms()) checked = check_max_stale(request->max_stale_ms());
  if (!checked) {
    call->finish(checked.error());
    return reactor;
  }
  auto max_stale = request->has_max_stale_ms() ? std::optional(request->max_stale_ms()) : std::nullopt;
  auto options = read_options(call->time_left(), max_stale, request->bypass_cache() || options_.is_cache_bypassed);
  options.session = call->session();
  store_->get(request->sku(), options, [call, response, sku = request->sku()](ProductAnswer answer) {
    if (!answer) return call->finish(answer.error());
    set_freshness(*answer, *response->mutable_freshness());
    add_freshness_trailers(call->trace(), response->freshness().origin(), response->freshness().staleness_ms());
    if (answer->is_absent())
      return call->finish(Error{ErrorCode::kNotFound, "sku: there is no product \"" + sku + "\""});
    *response->mutable_product() = answer->value();
    call->finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* CatalogService::BatchGetProducts(grpc::CallbackServerContext* context,
                                                           const pb::BatchGetProductsRequest* request,
                                                           pb::BatchGetProductsResponse* response) {
  auto call = GrpcCall::begin(context, "BatchGetProducts", call_settings_);
  if (!call->is_admitted()) return call->reactor();
  grpc::ServerUnaryReactor* reactor = call->reactor();
  if (Status checked = check_batch(*request); !checked) {
    call->finish(checked.error());
    return reactor;
  }
  auto max_stale = request->has_max_stale_ms() ? std::optional(request->max_stale_ms()) : std::nullopt;
  auto options = read_options(call->time_left(), max_stale, request->bypass_cache() || options_.is_cache_bypassed);
  options.session = call->session();
  std::vector<std::string> skus(request->skus().begin(), request->skus().end());
  store_->get_many(skus, options, [call, response, skus](std::vector<ProductAnswer> answers) {
    auto worst = fill_batch(skus, answers, *response);
    // Not one answer: the call itself has failed, with the first error.
    if (!worst) return call->finish(answers.at(0).error());
    add_freshness_trailers(call->trace(), worst->origin, worst->staleness_ms);
    call->finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* CatalogService::SetPrice(grpc::CallbackServerContext* context,
                                                   const pb::SetPriceRequest* request, pb::SetPriceResponse* response) {
  auto call = GrpcCall::begin(context, "SetPrice", call_settings_);
  if (!call->is_admitted()) return call->reactor();
  return set_field(*store_, std::move(call), request->sku(), ProductField::kPrice, request->price_cents(), response);
}

grpc::ServerUnaryReactor* CatalogService::SetStock(grpc::CallbackServerContext* context,
                                                   const pb::SetStockRequest* request, pb::SetStockResponse* response) {
  auto call = GrpcCall::begin(context, "SetStock", call_settings_);
  if (!call->is_admitted()) return call->reactor();
  return set_field(*store_, std::move(call), request->sku(), ProductField::kStock, request->stock(), response);
}

grpc::ServerUnaryReactor* CatalogService::ListSection(grpc::CallbackServerContext* context,
                                                      const pb::ListSectionRequest* request,
                                                      pb::ListProductsResponse* response) {
  auto call = GrpcCall::begin(context, "ListSection", call_settings_);
  if (!call->is_admitted()) return call->reactor();
  return list(store_, std::move(call), *request, options_.is_cache_bypassed, response);
}

grpc::ServerUnaryReactor* CatalogService::SearchProducts(grpc::CallbackServerContext* context,
                                                         const pb::SearchProductsRequest* request,
                                                         pb::ListProductsResponse* response) {
  auto call = GrpcCall::begin(context, "SearchProducts", call_settings_);
  if (!call->is_admitted()) return call->reactor();
  return list(store_, std::move(call), *request, options_.is_cache_bypassed, response);
}

}  // namespace tidemark::catalog
