#include "services/session/session_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>

#include "services/session/token_digest.h"
#include "tests/unit/services/fake_session_store.h"

namespace tidemark::session {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

constexpr int64_t kStart = 1'800'000'000'000;
constexpr int64_t kSecond = 1000, kMinute = 60 * kSecond;

class SessionServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    service_ = std::make_unique<SessionService>(
        store_, services::CallSettings{.deadline_default = std::chrono::seconds(5), .metrics = &rpc_metrics_},
        SessionOptions{.now = [this] { return UnixMillis{now_}; }, .new_customer_id = [this] { return new_id_; }},
        metrics_);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Sessions::NewStub(server_->InProcessChannel({}));
  }

  std::string create(int64_t customer_id = 7, int64_t idle_timeout_ms = 0) {
    pb::CreateSessionRequest request;
    request.set_customer_id(customer_id);
    request.set_idle_timeout_ms(idle_timeout_ms);
    (*request.mutable_attributes())["cart"] = "12";
    EXPECT_TRUE(create(request).ok());
    return created_.session().token();
  }
  grpc::Status create(const pb::CreateSessionRequest& request) {
    context_ = std::make_unique<grpc::ClientContext>();
    return stub_->CreateSession(context_.get(), request, &created_);
  }
  grpc::Status get(const std::string& token, std::optional<int64_t> max_stale_ms = {}) {
    pb::GetSessionRequest request;
    request.set_token(token);
    if (max_stale_ms) request.set_max_stale_ms(*max_stale_ms);
    context_ = std::make_unique<grpc::ClientContext>();
    return stub_->GetSession(context_.get(), request, &got_);
  }
  grpc::Status touch(const std::string& token) {
    pb::TouchSessionRequest request;
    request.set_token(token);
    context_ = std::make_unique<grpc::ClientContext>();
    return stub_->TouchSession(context_.get(), request, &touched_);
  }
  grpc::Status revoke(const std::string& token) {
    pb::RevokeSessionRequest request;
    request.set_token(token);
    context_ = std::make_unique<grpc::ClientContext>();
    return stub_->RevokeSession(context_.get(), request, &revoked_);
  }
  std::string trailer(const std::string& name) {
    auto found = context_->GetServerTrailingMetadata().find(name);
    return found == context_->GetServerTrailingMetadata().end()
               ? "none"
               : std::string(found->second.data(), found->second.size());
  }

  std::shared_ptr<FakeSessionStore> store_ = std::make_shared<FakeSessionStore>();
  std::shared_ptr<SessionMetrics> metrics_ = std::make_shared<SessionMetrics>();
  services::RpcMetrics rpc_metrics_{100};
  std::atomic<int64_t> now_ = kStart;
  Result<int64_t> new_id_ = 4711;
  std::unique_ptr<SessionService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Sessions::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  pb::CreateSessionResponse created_;
  pb::GetSessionResponse got_;
  pb::TouchSessionResponse touched_;
  pb::RevokeSessionResponse revoked_;
};

TEST_F(SessionServiceTest, ACreatedSessionIsReadBackWithItsFreshness) {
  std::string token = create(7);
  EXPECT_THAT(token, MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(token.size(), 32u);
  ASSERT_TRUE(get(token).ok());
  EXPECT_EQ(got_.session().token(), token);
  EXPECT_EQ(got_.session().customer_id(), 7);
  EXPECT_EQ(got_.session().created_ms(), kStart);
  EXPECT_EQ(got_.session().touched_ms(), kStart);
  EXPECT_EQ(got_.session().idle_timeout_ms(), 30 * kMinute);
  EXPECT_EQ(got_.session().expires_ms(), kStart + 30 * 24 * 60 * kMinute);
  EXPECT_EQ(got_.session().attributes().at("cart"), "12");
  EXPECT_EQ(got_.freshness().origin(), "node");
  EXPECT_EQ(trailer("x-tidemark-origin"), "node");
  EXPECT_EQ(trailer("x-tidemark-staleness-ms"), "40");
}

TEST_F(SessionServiceTest, TheStoreNeverSeesTheToken) {
  std::string token = create();
  ASSERT_EQ(store_->rows.size(), 1u);
  EXPECT_EQ(store_->rows.begin()->first, digest_of_token(token));
  EXPECT_THAT(store_->rows.begin()->second.DebugString(), Not(HasSubstr(token)));
}

TEST_F(SessionServiceTest, EachSessionHasATokenOfItsOwn) {
  EXPECT_NE(create(), create());
}

TEST_F(SessionServiceTest, ANewCustomerGetsTheIdThatTheAnswerSays) {
  create(0);
  EXPECT_EQ(created_.session().customer_id(), 4711);
}

TEST_F(SessionServiceTest, WithoutIdsNoNewCustomerIsMade) {
  new_id_ = fail(ErrorCode::kUnavailable, "the clock went back");
  pb::CreateSessionRequest request;
  grpc::Status status = create(request);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("the clock went back"));
  EXPECT_TRUE(store_->rows.empty());
}

TEST_F(SessionServiceTest, UnknownRevokedAndEndedSessionsAreNotFoundAlike) {
  grpc::Status unknown = get(std::string(32, 'a'));
  EXPECT_EQ(unknown.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(trailer("x-tidemark-origin"), "node");
  std::string revoked = create(), ended = create();
  ASSERT_TRUE(revoke(revoked).ok());
  now_ += 31 * kMinute;
  for (const std::string& token : {revoked, ended}) {
    grpc::Status status = get(token);
    EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
    EXPECT_EQ(status.error_message(), unknown.error_message());
    EXPECT_THAT(status.error_message(), Not(HasSubstr(token)));
  }
  EXPECT_EQ(metrics_->refused_absent, 2u);
  EXPECT_EQ(metrics_->refused_ended, 1u);
}

TEST_F(SessionServiceTest, AnIdleSessionLivesItsTimeoutAndAtMostAMinuteMore) {
  std::string token = create(7, 5 * kMinute);
  now_ = kStart + 6 * kMinute - 1;
  EXPECT_TRUE(get(token).ok());
  now_ = kStart + 6 * kMinute;
  EXPECT_EQ(get(token).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(SessionServiceTest, TouchesSlideTheEndAndAreWrittenOnceAMinute) {
  std::string token = create(7, 5 * kMinute);
  for (int64_t after = 10 * kSecond; after <= 20 * kMinute; after += 10 * kSecond) {
    now_ = kStart + after;
    ASSERT_TRUE(touch(token).ok()) << after;
    EXPECT_EQ(touched_.written(), after % kMinute == 0) << after;
    EXPECT_EQ(touched_.session().touched_ms(), kStart + after / kMinute * kMinute);
    EXPECT_EQ(touched_.session().token(), token);
  }
  EXPECT_EQ(store_->touches, 20);
  EXPECT_EQ(metrics_->touches_written, 20u);
  EXPECT_EQ(metrics_->touches_young, 100u);
  now_ += 5 * kMinute + 59 * kSecond;
  EXPECT_TRUE(get(token).ok());
}

TEST_F(SessionServiceTest, NothingOutlivesItsHardEnd) {
  std::string token = create(7, 30 * 24 * 60 * kMinute);
  now_ = kStart + kLifetime.count() - 1;
  ASSERT_TRUE(touch(token).ok());
  EXPECT_TRUE(touched_.written());
  now_ = kStart + kLifetime.count();
  EXPECT_EQ(get(token).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(touch(token).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(SessionServiceTest, ATouchThatAnotherServiceOvertookIsAnsweredByThePrimary) {
  std::string token = create();
  store_->old_rows = store_->rows;
  now_ += 2 * kMinute;
  store_->rows.begin()->second.set_touched_ms(now_ - kSecond);
  ASSERT_TRUE(touch(token).ok());
  EXPECT_FALSE(touched_.written());
  EXPECT_EQ(touched_.session().touched_ms(), now_ - kSecond);
  EXPECT_EQ(trailer("x-tidemark-origin"), "primary");
  EXPECT_EQ(metrics_->touches_overtaken, 1u);
}

TEST_F(SessionServiceTest, ARevokedSessionCannotBeTouchedBackToLifeFromTheCache) {
  std::string token = create();
  store_->old_rows = store_->rows;
  ASSERT_TRUE(revoke(token).ok());
  now_ += 2 * kMinute;
  EXPECT_EQ(touch(token).error_code(), StatusCode::NOT_FOUND);
  EXPECT_TRUE(store_->rows.empty());
}

TEST_F(SessionServiceTest, ASessionTouchedByAClockAheadIsNotTouchedAgain) {
  std::string token = create();
  now_ -= 10 * kMinute;
  ASSERT_TRUE(touch(token).ok());
  EXPECT_FALSE(touched_.written());
  EXPECT_EQ(store_->touches, 0);
}

TEST_F(SessionServiceTest, WhatAReplicaDoesNotKnowYetIsAskedOfThePrimary) {
  std::string token = create();
  store_->old_rows.emplace();
  store_->origin = client::Origin::kReplica;
  ASSERT_TRUE(get(token).ok());
  EXPECT_EQ(got_.freshness().origin(), "primary");
  EXPECT_EQ(metrics_->confirmed, 1u);
}

TEST_F(SessionServiceTest, ANodesAbsenceIsProvenAndNotAskedAgain) {
  store_->old_rows.emplace();
  EXPECT_EQ(get(create()).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(store_->reads, 1);
}

TEST_F(SessionServiceTest, AnAnswerThatMayLackTheLastTouchDoesNotEndASession) {
  std::string token = create(7, 5 * kMinute);
  store_->old_rows = store_->rows;
  store_->staleness_ms = 100;
  now_ = kStart + 6 * kMinute + 50;  // ended 50 ms ago, by an answer from up to 100 ms ago
  store_->rows.begin()->second.set_touched_ms(kStart + 6 * kMinute - 10);
  ASSERT_TRUE(get(token).ok());
  EXPECT_EQ(got_.session().touched_ms(), kStart + 6 * kMinute - 10);
  now_ = kStart + 6 * kMinute + 150;  // had ended before the answer: no touch can have come after
  EXPECT_EQ(get(token).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(metrics_->confirmed, 1u);
}

TEST_F(SessionServiceTest, RevokingIsIdempotent) {
  std::string token = create();
  ASSERT_TRUE(revoke(token).ok());
  EXPECT_TRUE(revoked_.revoked());
  ASSERT_TRUE(revoke(token).ok());
  EXPECT_FALSE(revoked_.revoked());
}

TEST_F(SessionServiceTest, HandsOnFreshnessWishesAndTheDeadline) {
  std::string token = create();
  ASSERT_TRUE(get(token).ok());
  EXPECT_EQ(store_->last_options.max_stale, std::nullopt);  // the family's second
  EXPECT_GT(store_->last_options.timeout, std::chrono::seconds(4));
  ASSERT_TRUE(get(token, 250).ok());
  EXPECT_EQ(store_->last_options.max_stale, std::chrono::milliseconds(250));
  ASSERT_TRUE(get(token, 0).ok());
  EXPECT_TRUE(store_->last_options.is_cache_bypassed);
  EXPECT_FALSE(store_->last_options.may_use_replica);
  EXPECT_EQ(SessionByDigest::kMaxStale, std::chrono::seconds(1));
}

TEST_F(SessionServiceTest, AnErrorIsNeverNoSuchSession) {
  std::string token = create();
  store_->read_error = Error{ErrorCode::kUnavailable, "nobody answers"};
  EXPECT_EQ(get(token).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(touch(token).error_code(), StatusCode::UNAVAILABLE);
  store_->read_error.reset();
  store_->write_error = Error{ErrorCode::kOutcomeUnknown, "the connection broke"};
  now_ += 2 * kMinute;
  EXPECT_THAT(touch(token).error_message(), StartsWith("it may or may not have been done"));
  EXPECT_THAT(revoke(token).error_message(), StartsWith("it may or may not have been done"));
}

TEST_F(SessionServiceTest, NamesTheFieldOfBadInputAndRepeatsNoToken) {
  for (const char* token : {"", "abc", "0123456789abcdef0123456789abcdeF", "0123456789abcdef0123456789abcdef0"}) {
    for (grpc::Status status : {get(token), touch(token), revoke(token)}) {
      EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
      EXPECT_THAT(status.error_message(), StartsWith("token: it is "));
    }
  }
  EXPECT_THAT(get(std::string(32, 'a'), -1).error_message(), StartsWith("max_stale_ms: -1"));
  EXPECT_THAT(get(std::string(32, 'a'), 60'001).error_message(), StartsWith("max_stale_ms: 60001"));
}

TEST_F(SessionServiceTest, RefusesWhatASessionCannotHold) {
  auto message = [&](auto change) {
    pb::CreateSessionRequest request;
    request.set_customer_id(7);
    change(request);
    grpc::Status status = create(request);
    return status.error_code() == StatusCode::INVALID_ARGUMENT ? status.error_message() : "taken";
  };
  EXPECT_THAT(message([](auto& r) { r.set_customer_id(-1); }), StartsWith("customer_id: -1"));
  EXPECT_THAT(message([](auto& r) { r.set_idle_timeout_ms(59'999); }), StartsWith("idle_timeout_ms: 59999"));
  EXPECT_THAT(message([](auto& r) { r.set_idle_timeout_ms(30LL * 24 * 60 * kMinute + 1); }),
              HasSubstr("60000 to 2592000000"));
  auto attributes = [&](auto change) { return message([&](auto& r) { change(*r.mutable_attributes()); }); };
  EXPECT_THAT(attributes([](auto& map) {
                for (int i = 0; i < 17; ++i) map["a" + std::to_string(i)] = "";
              }),
              StartsWith("attributes: 17"));
  EXPECT_THAT(attributes([](auto& map) { map[""] = "x"; }), StartsWith("attributes: the name"));
  EXPECT_THAT(attributes([](auto& map) { map["a"] = std::string(4096, 'x'); }), StartsWith("attributes: 4097 bytes"));
  EXPECT_THAT(attributes([](auto& map) { map["a"] = std::string("x\0y", 3); }), HasSubstr("zero byte"));
  EXPECT_EQ(attributes([](auto& map) {
              for (int i = 0; i < 16; ++i) map["a" + std::to_string(10 + i)] = std::string(253, 'x');
            }),
            "taken");
}

}  // namespace
}  // namespace tidemark::session
