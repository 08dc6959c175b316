#include "client/grpc/session_interceptors.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "services/catalog/proto/catalog.grpc.pb.h"

namespace tidemark::client {
namespace {

namespace pb = catalog::v1;

const TokenKey kKey = TokenKey::of_bytes(std::string(32, 'k')).value();
const TokenKey kOtherKey = TokenKey::of_bytes(std::string(32, 'x')).value();

// Each read absorbs position 100, each write 200; what the session held at its begin is kept.
class Shop final : public pb::Catalog::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetProduct(grpc::CallbackServerContext* context, const pb::GetProductRequest* request,
                                       pb::GetProductResponse*) override {
    auto session = session_of(context);
    has_session = session != nullptr;
    if (session) {
      seen = session->token();
      session->absorb_read(1, 1, Lsn{100}, false);
    }
    auto* reactor = context->DefaultReactor();
    if (request->sku() == "slow") {
      // Finished on another thread, later.
      std::thread([session, reactor] {
        if (session) session->absorb_read(1, 1, Lsn{150}, false);
        reactor->Finish(grpc::Status::OK);
      }).detach();
    } else {
      reactor->Finish(request->sku() == "bad" ? grpc::Status(grpc::StatusCode::NOT_FOUND, "no") : grpc::Status::OK);
    }
    return reactor;
  }
  class Import final : public grpc::ServerReadReactor<pb::ImportProductsRequest> {
   public:
    explicit Import(std::shared_ptr<Session> session) : session_(std::move(session)) { StartRead(&request_); }
    void OnReadDone(bool ok) override {
      if (ok) return StartRead(&request_);
      if (session_) session_->absorb_read(1, 1, Lsn{300}, true);
      Finish(grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    std::shared_ptr<Session> session_;
    pb::ImportProductsRequest request_;
  };
  grpc::ServerReadReactor<pb::ImportProductsRequest>* ImportProducts(grpc::CallbackServerContext* context,
                                                                     pb::ImportProductsResponse*) override {
    return new Import(session_of(context));
  }

  std::atomic<bool> has_session = false;
  SessionToken seen;
};

class SessionInterceptors : public ::testing::Test {
 protected:
  SessionInterceptors() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&shop_);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(session_server_interceptor({kKey, [this](const Error&) { ++bad_at_server_; }}));
    builder.experimental().SetInterceptorCreators(std::move(creators));
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    stub_ = stub_of(kKey);
  }
  ~SessionInterceptors() override { server_->Shutdown(); }

  std::unique_ptr<pb::Catalog::Stub> stub_of(const TokenKey& key) {
    std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> creators;
    creators.push_back(session_client_interceptor({key, [this](const Error&) { ++bad_at_client_; }}));
    return pb::Catalog::NewStub(grpc::experimental::CreateCustomChannelWithInterceptors(
        address_, grpc::InsecureChannelCredentials(), {}, std::move(creators)));
  }
  grpc::Status get(pb::Catalog::Stub& stub, const std::string& sku = "bash") {
    grpc::ClientContext context;
    pb::GetProductRequest request;
    request.set_sku(sku);
    pb::GetProductResponse response;
    return stub.GetProduct(&context, request, &response);
  }
  // Without interceptors: what a program of another language does.
  std::optional<std::string> get_by_hand(std::optional<std::string> token) {
    auto stub = pb::Catalog::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    if (token) context.AddMetadata(kSessionMetadata, *token);
    pb::GetProductRequest request;
    pb::GetProductResponse response;
    EXPECT_TRUE(stub->GetProduct(&context, request, &response).ok());
    auto found = context.GetServerTrailingMetadata().find(kSessionMetadata);
    if (found == context.GetServerTrailingMetadata().end()) return std::nullopt;
    return std::string(found->second.data(), found->second.size());
  }

  std::atomic<int> bad_at_server_ = 0, bad_at_client_ = 0;
  Shop shop_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Catalog::Stub> stub_;
};

TEST_F(SessionInterceptors, TheHandlerHasTheCallersSessionAndTheCallerWhatBecameOfIt) {
  auto session = std::make_shared<Session>();
  session->absorb_read(2, 5, Lsn{42}, true);
  SessionScope scope(session);
  ASSERT_TRUE(get(*stub_).ok());
  EXPECT_TRUE(shop_.has_session);
  EXPECT_EQ(shop_.seen.find(2)->own, Lsn{42});
  EXPECT_EQ(session->token().find(1)->read, Lsn{100});
  EXPECT_EQ(session->token().find(2)->own, Lsn{42});
}

TEST_F(SessionInterceptors, ACallOutsideOfAScopeHasNoSession) {
  auto session = std::make_shared<Session>();
  {
    SessionScope scope(session);
  }
  ASSERT_TRUE(get(*stub_).ok());
  EXPECT_FALSE(shop_.has_session);
  EXPECT_TRUE(session->token().is_empty());
}

TEST_F(SessionInterceptors, ScopesNest) {
  auto outer = std::make_shared<Session>(), inner = std::make_shared<Session>();
  SessionScope a(outer);
  {
    SessionScope b(inner);
    ASSERT_TRUE(get(*stub_).ok());
  }
  EXPECT_TRUE(outer->token().is_empty());
  EXPECT_FALSE(inner->token().is_empty());
  ASSERT_TRUE(get(*stub_).ok());
  EXPECT_FALSE(outer->token().is_empty());
}

TEST_F(SessionInterceptors, ACallEndedOnAnotherThreadCarriesItsTokenToo) {
  auto session = std::make_shared<Session>();
  SessionScope scope(session);
  ASSERT_TRUE(get(*stub_, "slow").ok());
  EXPECT_EQ(session->token().find(1)->read, Lsn{150});
}

TEST_F(SessionInterceptors, AFailedCallCarriesItsTokenToo) {
  auto session = std::make_shared<Session>();
  SessionScope scope(session);
  EXPECT_EQ(get(*stub_, "bad").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(session->token().find(1)->read, Lsn{100});
}

TEST_F(SessionInterceptors, CallbackCallsBelongToTheScopeThatTheyBeganIn) {
  auto session = std::make_shared<Session>();
  grpc::ClientContext context;
  pb::GetProductRequest request;
  request.set_sku("slow");
  pb::GetProductResponse response;
  std::promise<grpc::Status> done;
  {
    SessionScope scope(session);
    stub_->async()->GetProduct(&context, &request, &response, [&](grpc::Status status) { done.set_value(status); });
  }
  ASSERT_TRUE(done.get_future().get().ok());
  EXPECT_EQ(session->token().find(1)->read, Lsn{150});
}

TEST_F(SessionInterceptors, StreamsCarryTokens) {
  auto session = std::make_shared<Session>();
  SessionScope scope(session);
  grpc::ClientContext context;
  pb::ImportProductsResponse response;
  auto writer = stub_->ImportProducts(&context, &response);
  writer->Write({});
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(session->token().find(1)->own, Lsn{300});
}

TEST_F(SessionInterceptors, ABadTokenIsCountedAndBeginsANewSession) {
  EXPECT_TRUE(get_by_hand("garbage").has_value());
  EXPECT_EQ(bad_at_server_, 1);
  EXPECT_TRUE(shop_.has_session);
  EXPECT_TRUE(shop_.seen.is_empty());
  SessionToken forged;
  forged.absorb_write(1, 1, Lsn{1'000'000});
  get_by_hand(forged.to_text(kOtherKey));
  EXPECT_EQ(bad_at_server_, 2);
  EXPECT_TRUE(shop_.seen.is_empty());
}

TEST_F(SessionInterceptors, WithoutTheMetadataThereIsNoTrailerAndWithEmptyMetadataASessionBegins) {
  EXPECT_FALSE(get_by_hand(std::nullopt));
  auto token = get_by_hand("");
  ASSERT_TRUE(token);
  EXPECT_EQ(SessionToken::from_text(*token, kKey)->find(1)->read, Lsn{100});
  EXPECT_EQ(bad_at_server_, 0);
}

TEST_F(SessionInterceptors, ATrailerOfAnotherKeyIsNotAbsorbed) {
  auto session = std::make_shared<Session>();
  SessionScope scope(session);
  auto stub = stub_of(kOtherKey);
  ASSERT_TRUE(get(*stub).ok());
  EXPECT_EQ(bad_at_client_, 1);
  EXPECT_TRUE(session->token().is_empty());
}

TEST_F(SessionInterceptors, ManyCallsAtOnceKeepTheirSessionsApart) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 100; ++n) {
        auto session = std::make_shared<Session>();
        session->absorb_read(7, 1, Lsn{static_cast<uint64_t>(1000 + i)}, true);
        SessionScope scope(session);
        if (!get(*stub_, n % 2 == 0 ? "slow" : "bash").ok()) ++wrong;
        if (session->token().find(7)->own != Lsn{static_cast<uint64_t>(1000 + i)}) ++wrong;
        if (session->token().find(1)->read != Lsn{n % 2 == 0 ? 150u : 100u}) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tidemark::client
