#include "services/catalog/catalog_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "tests/unit/services/fake_store.h"

namespace tidemark::catalog {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::StartsWith;

class CatalogServiceTest : public testing::Test {
 protected:
  void start(size_t requests_max = 100, CatalogOptions options = {}) {
    metrics_ = std::make_unique<services::RpcMetrics>(requests_max);
    service_ = std::make_unique<CatalogService>(
        store_, services::CallSettings{.deadline_default = std::chrono::seconds(5), .metrics = metrics_.get()},
        options);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Catalog::NewStub(server_->InProcessChannel({}));
  }
  void SetUp() override {
    pb::Product bash;
    bash.set_sku("bash");
    bash.set_price_cents(100);
    bash.set_row_version(3);
    store_->products["bash"] = bash;
  }

  grpc::Status get(const std::string& sku, std::optional<int64_t> max_stale = {}, bool bypass = false) {
    pb::GetProductRequest request;
    request.set_sku(sku);
    if (max_stale) request.set_max_stale_ms(*max_stale);
    request.set_bypass_cache(bypass);
    context_ = std::make_unique<grpc::ClientContext>();
    context_->AddMetadata("x-correlation-id", "c-7");
    return stub_->GetProduct(context_.get(), request, &got_);
  }
  std::string trailer(const std::string& name) {
    auto found = context_->GetServerTrailingMetadata().find(name);
    return found == context_->GetServerTrailingMetadata().end()
               ? "none"
               : std::string(found->second.data(), found->second.size());
  }

  std::shared_ptr<FakeStore> store_ = std::make_shared<FakeStore>();
  std::unique_ptr<services::RpcMetrics> metrics_;
  std::unique_ptr<CatalogService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Catalog::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  pb::GetProductResponse got_;
};

TEST_F(CatalogServiceTest, AnswersAProductWithItsFreshnessInTrailers) {
  start();
  ASSERT_TRUE(get("bash").ok());
  EXPECT_EQ(got_.product().price_cents(), 100);
  EXPECT_EQ(got_.freshness().staleness_ms(), 12);
  EXPECT_EQ(trailer("x-tidemark-origin"), "node");
  EXPECT_EQ(trailer("x-tidemark-staleness-ms"), "12");
  EXPECT_EQ(trailer("x-correlation-id"), "c-7");
  EXPECT_EQ(metrics_->requests("GetProduct", "OK"), 1u);
  EXPECT_EQ(metrics_->in_flight(), 0u);
}

TEST_F(CatalogServiceTest, NotFoundIsAProvenAnswerAndCarriesItsFreshness) {
  start();
  grpc::Status status = get("none");
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(trailer("x-tidemark-origin"), "node");
}

TEST_F(CatalogServiceTest, NamesTheFieldOfBadInput) {
  start();
  grpc::Status status = get("Bash");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("sku: "));
  EXPECT_THAT(get("bash", -1).error_message(), StartsWith("max_stale_ms: "));
}

TEST_F(CatalogServiceTest, MapsErrorsOfTheStore) {
  start();
  struct Case {
    ErrorCode code;
    StatusCode expected;
  };
  for (auto [code, expected] : {Case{ErrorCode::kUnavailable, StatusCode::UNAVAILABLE},
                                Case{ErrorCode::kOutcomeUnknown, StatusCode::UNAVAILABLE},
                                Case{ErrorCode::kDeadlineExceeded, StatusCode::DEADLINE_EXCEEDED},
                                Case{ErrorCode::kResourceExhausted, StatusCode::RESOURCE_EXHAUSTED},
                                Case{ErrorCode::kFailedPrecondition, StatusCode::FAILED_PRECONDITION},
                                Case{ErrorCode::kUnauthenticated, StatusCode::INTERNAL}}) {
    store_->read_errors["bash"] = {code, "why"};
    grpc::Status status = get("bash");
    EXPECT_EQ(status.error_code(), expected) << to_string(code);
    EXPECT_THAT(status.error_message(), HasSubstr("why"));
  }
}

TEST_F(CatalogServiceTest, HandsOnFreshnessWishesAndTheDeadline) {
  start();
  ASSERT_TRUE(get("bash", 250).ok());
  EXPECT_EQ(store_->last_options.max_stale, std::chrono::milliseconds(250));
  EXPECT_FALSE(store_->last_options.is_cache_bypassed);
  EXPECT_GT(store_->last_options.timeout, std::chrono::seconds(4));  // the default: the call brought none
  EXPECT_LE(store_->last_options.timeout, std::chrono::seconds(5));
  ASSERT_TRUE(get("bash", 0).ok());
  EXPECT_TRUE(store_->last_options.is_cache_bypassed);
  EXPECT_FALSE(store_->last_options.may_use_replica);
  ASSERT_TRUE(get("bash", {}, true).ok());
  EXPECT_TRUE(store_->last_options.is_cache_bypassed);
  EXPECT_TRUE(store_->last_options.may_use_replica);
}

TEST_F(CatalogServiceTest, NoCacheBypassesEveryRead) {
  start(100, {.is_cache_bypassed = true});
  ASSERT_TRUE(get("bash").ok());
  EXPECT_TRUE(store_->last_options.is_cache_bypassed);
}

TEST_F(CatalogServiceTest, RefusesCallsBeyondItsLimit) {
  start(1);
  grpc::ClientContext held;
  pb::ImportProductsResponse summary;
  auto import = stub_->ImportProducts(&held, &summary);
  ASSERT_TRUE(import->Write(pb::ImportProductsRequest()));
  // The import is in flight once its first message was taken; until then the limit may still be free.
  while (metrics_->in_flight() == 0) std::this_thread::yield();
  EXPECT_EQ(get("bash").error_code(), StatusCode::RESOURCE_EXHAUSTED);
  import->WritesDone();
  ASSERT_TRUE(import->Finish().ok());
  EXPECT_TRUE(get("bash").ok());
}

TEST_F(CatalogServiceTest, ABatchAnswersInOrderWithItsWorstFreshness) {
  start();
  store_->freshness["bash"] = {client::Origin::kReplica, 40};
  store_->read_errors["broken"] = {ErrorCode::kUnavailable, "down"};
  pb::BatchGetProductsRequest request;
  for (const char* sku : {"none", "bash", "broken"}) request.add_skus(sku);
  pb::BatchGetProductsResponse response;
  context_ = std::make_unique<grpc::ClientContext>();
  ASSERT_TRUE(stub_->BatchGetProducts(context_.get(), request, &response).ok());
  ASSERT_EQ(response.answers_size(), 3);
  EXPECT_FALSE(response.answers(0).has_product());
  EXPECT_EQ(response.answers(0).error_code(), 0);
  EXPECT_EQ(response.answers(0).freshness().staleness_ms(), 12);
  EXPECT_EQ(response.answers(1).product().row_version(), 3);
  EXPECT_EQ(response.answers(2).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(response.answers(2).has_freshness());
  EXPECT_EQ(trailer("x-tidemark-origin"), "replica");
  EXPECT_EQ(trailer("x-tidemark-staleness-ms"), "40");
}

TEST_F(CatalogServiceTest, ABatchWithoutOneAnswerFails) {
  start();
  store_->read_errors["a"] = store_->read_errors["b"] = {ErrorCode::kUnavailable, "down"};
  pb::BatchGetProductsRequest request;
  request.add_skus("a");
  request.add_skus("b");
  pb::BatchGetProductsResponse response;
  grpc::ClientContext context;
  EXPECT_EQ(stub_->BatchGetProducts(&context, request, &response).error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(CatalogServiceTest, SetsPriceAndStockAndAnswersTheRowAfterTheCommit) {
  start();
  pb::SetPriceRequest price;
  price.set_sku("bash");
  price.set_price_cents(250);
  pb::SetPriceResponse after_price;
  grpc::ClientContext first;
  ASSERT_TRUE(stub_->SetPrice(&first, price, &after_price).ok());
  EXPECT_EQ(after_price.product().price_cents(), 250);
  EXPECT_EQ(after_price.product().row_version(), 4);
  pb::SetStockRequest stock;
  stock.set_sku("bash");
  stock.set_stock(-1);
  pb::SetStockResponse after_stock;
  grpc::ClientContext second;
  EXPECT_THAT(stub_->SetStock(&second, stock, &after_stock).error_message(), StartsWith("stock: "));
  stock.set_sku("none");
  stock.set_stock(1);
  grpc::ClientContext third;
  EXPECT_EQ(stub_->SetStock(&third, stock, &after_stock).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(CatalogServiceTest, ImportsAStreamLongerThanItsWindow) {
  start();
  grpc::ClientContext context;
  pb::ImportProductsResponse summary;
  auto import = stub_->ImportProducts(&context, &summary);
  constexpr int kMessages = 25, kEach = 900;
  for (int message = 0; message < kMessages; ++message) {
    pb::ImportProductsRequest request;
    for (int i = 0; i < kEach; ++i) request.add_products()->set_sku("p" + std::to_string(message * kEach + i));
    if (message == 3) request.add_products()->set_sku("BAD");
    ASSERT_TRUE(import->Write(request));
  }
  import->WritesDone();
  grpc::Status status = import->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(summary.imported(), kMessages * kEach);
  EXPECT_EQ(summary.rejected(), 1);
  EXPECT_EQ(store_->products.size(), static_cast<size_t>(kMessages * kEach + 1));
}

TEST_F(CatalogServiceTest, AnImportEndsWithTheErrorOfItsWrites) {
  start();
  store_->write_errors = {{ErrorCode::kInvalidArgument, "no such column"}};
  grpc::ClientContext context;
  pb::ImportProductsResponse summary;
  auto import = stub_->ImportProducts(&context, &summary);
  pb::ImportProductsRequest request;
  request.add_products()->set_sku("a");
  import->Write(request);
  import->WritesDone();
  EXPECT_THAT(import->Finish().error_message(), HasSubstr("no such column"));
  EXPECT_EQ(metrics_->in_flight(), 0u);
}

}  // namespace
}  // namespace tidemark::catalog
