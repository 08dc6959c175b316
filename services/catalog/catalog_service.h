// The catalog's gRPC face: checks what comes in, asks the store, says where the answer came from and how old it can be.
//
// gRPC callback API: calls arrive on gRPC's threads and are finished from the client library's loop; nothing blocks.
#pragma once

#include <memory>

#include "services/catalog/product_store.h"
#include "services/catalog/proto/catalog.grpc.pb.h"
#include "services/platform/grpc_call.h"

namespace tidemark::catalog {

struct CatalogOptions {
  bool is_cache_bypassed = false;  // every read goes to the database: for comparison
};

class CatalogService final : public pb::Catalog::CallbackService {
 public:
  CatalogService(std::shared_ptr<ProductStore> store, services::CallSettings call_settings, CatalogOptions options);

  grpc::ServerReadReactor<pb::ImportProductsRequest>* ImportProducts(grpc::CallbackServerContext* context,
                                                                     pb::ImportProductsResponse* response) override;
  grpc::ServerUnaryReactor* GetProduct(grpc::CallbackServerContext* context, const pb::GetProductRequest* request,
                                       pb::GetProductResponse* response) override;
  grpc::ServerUnaryReactor* BatchGetProducts(grpc::CallbackServerContext* context,
                                             const pb::BatchGetProductsRequest* request,
                                             pb::BatchGetProductsResponse* response) override;
  grpc::ServerUnaryReactor* SetPrice(grpc::CallbackServerContext* context, const pb::SetPriceRequest* request,
                                     pb::SetPriceResponse* response) override;
  grpc::ServerUnaryReactor* SetStock(grpc::CallbackServerContext* context, const pb::SetStockRequest* request,
                                     pb::SetStockResponse* response) override;
  grpc::ServerUnaryReactor* ListSection(grpc::CallbackServerContext* context, const pb::ListSectionRequest* request,
                                        pb::ListProductsResponse* response) override;
  grpc::ServerUnaryReactor* SearchProducts(grpc::CallbackServerContext* context,
                                           const pb::SearchProductsRequest* request,
                                           pb::ListProductsResponse* response) override;

 private:
  std::shared_ptr<ProductStore> store_;
  services::CallSettings call_settings_;
  CatalogOptions options_;
};

}  // namespace tidemark::catalog
