#include "base/io/resp_link.h"

#include <gtest/gtest.h>

#include "base/io/system_clock.h"
#include "base/testing/fake_resp_server.h"

namespace tidemark::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeRespServer;
using testing::run_until;

class RespLinkTest : public ::testing::Test {
 protected:
  // What came back, in order: the reply's text or the error's code.
  RespLink::Handler keep(std::string label) {
    return [this, label = std::move(label)](Result<RespValue> reply) {
      results_.push_back(label + "=" + (reply ? reply->to_string() : std::string(to_string(reply.error().code))));
      if (!reply) last_error_ = reply.error().message;
    };
  }
  std::shared_ptr<RespLink> link_to(uint16_t port, RespLink::Options options = {}) {
    options.port = port;
    return RespLink::create(context_, options);
  }
  bool wait_for(size_t count) {
    return run_until(context_, [&] { return results_.size() >= count; });
  }
  uint16_t unused_port() {
    FakeRespServer server(context_, [](const auto&) { return ""; });
    return server.port();
  }

  boost::asio::io_context context_;
  std::vector<std::string> results_;
  std::string last_error_;
};

std::string echo(const std::vector<std::string>& request) {
  return "+" + request.back() + "\r\n";
}

TEST_F(RespLinkTest, AnswersPipelinedRequestsInTheirOrder) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port());
  link->send(make_request({"ECHO", "a"}), seconds(5), keep("1"));
  link->send(make_request({"ECHO", "b"}), seconds(5), keep("2"));
  EXPECT_TRUE(results_.empty()) << "a handler ran inside the call that queued it";
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(results_, (std::vector<std::string>{"1=+a", "2=+b"}));
  EXPECT_TRUE(link->is_connected());
  EXPECT_EQ(link->in_flight(), 0u);
}

TEST_F(RespLinkTest, SaysHelloWithNameAndPasswordBeforeAnythingElse) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port(), {.user = "invalidator", .password = "secret", .client_name = "inv"});
  link->send(make_request({"ECHO", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(server.requests()[0],
            (std::vector<std::string>{"HELLO", "3", "AUTH", "invalidator", "secret", "SETNAME", "inv"}));
}

TEST_F(RespLinkTest, UsesAuthAndClientSetnameWithResp2) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port(), {.password = "p", .resp3 = false});
  link->send(make_request({"ECHO", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(server.requests()[0], (std::vector<std::string>{"AUTH", "default", "p"}));
  EXPECT_EQ(server.requests()[1], (std::vector<std::string>{"CLIENT", "SETNAME", "tidemark"}));
}

TEST_F(RespLinkTest, WrongPasswordIsUnauthenticatedAndNothingElseIsSent) {
  FakeRespServer server(context_, [](const auto&) { return "-WRONGPASS no\r\n"; });
  server.answer_handshake = false;
  auto link = link_to(server.port(), {.password = "bad"});
  link->send(make_request({"GET", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=UNAUTHENTICATED");
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(RespLinkTest, ErrorRepliesAreValues) {
  FakeRespServer server(context_, [](const auto&) { return "-MOVED 1 127.0.0.1:7\r\n"; });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=-MOVED 1 127.0.0.1:7");
}

TEST_F(RespLinkTest, ALateReplyIsDroppedAndTheNextOneStillFits) {
  FakeRespServer server(context_, [](const auto& request) { return request[1] == "slow" ? "" : echo(request); });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "slow"}), milliseconds(20), keep("slow"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "slow=DEADLINE_EXCEEDED");
  EXPECT_EQ(link->in_flight(), 1u) << "its reply is still expected";
  server.send("+late\r\n");
  link->send(make_request({"GET", "next"}), seconds(5), keep("next"));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(results_[1], "next=+next");
}

TEST_F(RespLinkTest, ALateReplyReachesTheHandlerThatWantsItAsASecondAnswer) {
  FakeRespServer server(context_, [](const auto& request) { return request[1] == "slow" ? "" : echo(request); });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "warm"}), seconds(5), keep("warm"));
  ASSERT_TRUE(wait_for(1));
  link->send(make_request({"GET", "slow"}), milliseconds(200), keep("slow"), /*wants_late_reply=*/true);
  ASSERT_TRUE(wait_for(2));
  server.send("+late\r\n");
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(results_, (std::vector<std::string>{"warm=+warm", "slow=DEADLINE_EXCEEDED", "slow=+late"}));
  EXPECT_EQ(link->in_flight(), 0u);
}

TEST_F(RespLinkTest, ARequestThatIsLateWhenItsLinkBreaksIsNotAnsweredTwice) {
  FakeRespServer server(context_, [](const auto& request) { return request[1] == "slow" ? "" : echo(request); });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "warm"}), seconds(5), keep("warm"));
  ASSERT_TRUE(wait_for(1));
  link->send(make_request({"GET", "slow"}), milliseconds(200), keep("slow"), /*wants_late_reply=*/true);
  ASSERT_TRUE(wait_for(2));
  link->close();
  context_.restart();
  context_.poll();
  EXPECT_EQ(results_, (std::vector<std::string>{"warm=+warm", "slow=DEADLINE_EXCEEDED"}));
}

TEST_F(RespLinkTest, PushesAreNotReplies) {
  FakeRespServer server(context_, [](const auto&) { return ">2\r\n+invalidate\r\n_\r\n+OK\r\n"; });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=+OK");
}

TEST_F(RespLinkTest, ARefusedConnectionIsUnavailableAndNamesTheAddress) {
  auto link = link_to(unused_port());
  link->send(make_request({"GET", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=UNAVAILABLE");
  EXPECT_NE(last_error_.find("127.0.0.1:"), std::string::npos) << last_error_;
  link->send(make_request({"GET", "a"}), seconds(5), keep("2"));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(results_[1], "2=UNAVAILABLE") << "refused at once while it waits to reconnect";
  EXPECT_NE(last_error_.find("waiting to reconnect"), std::string::npos) << last_error_;
}

TEST_F(RespLinkTest, AConnectionLostAfterTheWriteIsOutcomeUnknown) {
  FakeRespServer* handle = nullptr;
  FakeRespServer server(context_, [&](const auto&) {
    handle->close_connections();
    return "";
  });
  handle = &server;
  auto link = link_to(server.port());
  link->send(make_request({"SET", "a", "b"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=OUTCOME_UNKNOWN");
}

TEST_F(RespLinkTest, ReconnectsOnTheNextRequestAfterTheServerClosedAnIdleConnection) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port());
  link->send(make_request({"ECHO", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  server.close_connections();
  ASSERT_TRUE(run_until(context_, [&] { return !link->is_connected(); }));
  link->send(make_request({"ECHO", "b"}), seconds(5), keep("2"));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(results_[1], "2=+b") << "an idle close is no failure, so nothing waits";
  EXPECT_EQ(server.connections_accepted(), 2);
}

TEST_F(RespLinkTest, ComesBackAfterTheServerWasAway) {
  const uint16_t port = unused_port();
  auto link = link_to(port, {.reconnect_delay = milliseconds(1)});
  link->send(make_request({"ECHO", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  FakeRespServer server(context_, echo, port);
  const Instant end = steady_now() + seconds(5);
  while (steady_now() < end && results_.back() != "2=+b") {
    const size_t before = results_.size();
    link->send(make_request({"ECHO", "b"}), seconds(5), keep("2"));
    ASSERT_TRUE(wait_for(before + 1));
  }
  EXPECT_EQ(results_.back(), "2=+b");
}

TEST_F(RespLinkTest, RefusesMoreThanItsInFlightLimit) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port(), {.in_flight_max = 2});
  for (const char* label : {"1", "2", "3"}) link->send(make_request({"ECHO", label}), seconds(5), keep(label));
  ASSERT_TRUE(wait_for(3));
  std::sort(results_.begin(), results_.end());
  EXPECT_EQ(results_, (std::vector<std::string>{"1=+1", "2=+2", "3=RESOURCE_EXHAUSTED"}));
}

TEST_F(RespLinkTest, RefusesMoreThanItsQueuedBytes) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port(), {.queued_bytes_max = 100});
  link->send(make_request({"ECHO", std::string(200, 'x')}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=RESOURCE_EXHAUSTED");
}

TEST_F(RespLinkTest, ARequestThatExpiresBeforeItIsWrittenIsNeverSent) {
  FakeRespServer silent(context_, [](const auto&) { return ""; });  // HELLO is not answered: the link does not get up
  silent.answer_handshake = false;
  auto link = link_to(silent.port(), {.connect_timeout = seconds(5)});
  link->send(make_request({"SET", "a", "b"}), milliseconds(20), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=DEADLINE_EXCEEDED");
  silent.send("+OK\r\n");
  link->send(make_request({"SET", "c", "d"}), seconds(5), keep("2"));
  ASSERT_TRUE(run_until(context_, [&] { return silent.requests().size() >= 2; }));
  EXPECT_EQ(silent.requests()[1], (std::vector<std::string>{"SET", "c", "d"}));
}

TEST_F(RespLinkTest, AHandshakeThatNeverEndsIsAConnectTimeout) {
  FakeRespServer silent(context_, [](const auto&) { return ""; });
  silent.answer_handshake = false;
  auto link = link_to(silent.port(), {.connect_timeout = milliseconds(20)});
  link->send(make_request({"GET", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=UNAVAILABLE");
  EXPECT_NE(last_error_.find("connect timed out"), std::string::npos) << last_error_;
}

TEST_F(RespLinkTest, RubbishFromTheServerClosesTheLink) {
  FakeRespServer server(context_, [](const auto&) { return "rubbish\r\n"; });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "a"}), seconds(5), keep("1"));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(results_[0], "1=OUTCOME_UNKNOWN");
  EXPECT_FALSE(link->is_connected());
}

TEST_F(RespLinkTest, CloseFailsWhatIsPendingAndWhatFollows) {
  FakeRespServer server(context_, [](const auto&) { return ""; });
  auto link = link_to(server.port());
  link->send(make_request({"GET", "a"}), seconds(5), keep("written"));
  ASSERT_TRUE(run_until(context_, [&] { return server.requests().size() == 2; }));
  link->send(make_request({"GET", "b"}), seconds(5), keep("unwritten"));
  link->close();
  link->send(make_request({"GET", "c"}), seconds(5), keep("after"));
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(results_,
            (std::vector<std::string>{"written=OUTCOME_UNKNOWN", "unwritten=UNAVAILABLE", "after=UNAVAILABLE"}));
}

TEST_F(RespLinkTest, AHandlerMayCloseOrDropTheLink) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port());
  link->send(make_request({"ECHO", "a"}), seconds(5), [&](Result<RespValue>) {
    results_.push_back("dropped");
    link.reset();
  });
  link->send(make_request({"ECHO", "b"}), seconds(5), keep("2"));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(results_, (std::vector<std::string>{"dropped", "2=OUTCOME_UNKNOWN"}));
}

TEST_F(RespLinkTest, ManyRequestsKeepTheirOrderAndLeaveNothingBehind) {
  FakeRespServer server(context_, echo);
  auto link = link_to(server.port());
  int in_order = 0;
  int answered = 0;
  for (int i = 0; i < 20000; ++i) {
    link->send(make_request({"ECHO", std::to_string(i)}), seconds(30), [&, i](Result<RespValue> reply) {
      ++answered;
      if (reply && reply->text == std::to_string(i)) ++in_order;
    });
  }
  ASSERT_TRUE(run_until(context_, [&] { return answered == 20000; }));
  EXPECT_EQ(in_order, 20000);
  EXPECT_EQ(link->in_flight(), 0u);
}

}  // namespace
}  // namespace tidemark::io
