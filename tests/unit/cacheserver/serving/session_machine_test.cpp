#include "cacheserver/serving/session_machine.h"

#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

using Outcome = SessionMachine::Outcome;
using SessionMachineTest = NodeTest;

TEST_F(SessionMachineTest, AnswersAPipelineInOrderWhereverItIsCut) {
  const std::string pipeline = "set a 1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nincr a\r\n*1\r\n$4\r\nPING\r\n";
  const std::string replies = "+OK\r\n$1\r\n1\r\n:2\r\n+PONG\r\n";
  for (size_t cut = 0; cut <= pipeline.size(); ++cut) {
    ReplyBuffer out;
    std::string buffer = pipeline.substr(0, cut);
    std::string_view input = buffer;
    ASSERT_EQ(client_->advance(input, out, now_, unix_now_), Outcome::kNeedsInput);
    std::string rest = std::string(input) + pipeline.substr(cut);
    input = rest;
    ASSERT_EQ(client_->advance(input, out, now_, unix_now_), Outcome::kNeedsInput);
    ASSERT_EQ(text_of(out), replies) << "cut at " << cut;
    ASSERT_TRUE(input.empty());
  }
}

TEST_F(SessionMachineTest, StopsWhenTheOutputIsFullAndGoesOnFromThere) {
  worker_->view().config().output_pause_bytes = 100;
  send("set k " + std::string(60, 'v') + "\r\n");
  std::string pipeline;
  for (int i = 0; i < 100; ++i) pipeline += "get k\r\n";
  pipeline += "*2\r\n$3\r\nGET\r\n$1";  // and an incomplete one
  std::string_view input = pipeline;
  size_t bytes = 0, rounds = 0;
  Outcome outcome = Outcome::kOutputFull;
  while (outcome == Outcome::kOutputFull) {
    ReplyBuffer out;
    outcome = client_->advance(input, out, now_, unix_now_);
    EXPECT_LE(out.size(), 100u + 67u);
    bytes += out.size();
    ++rounds;
  }
  EXPECT_EQ(outcome, Outcome::kNeedsInput);
  EXPECT_EQ(bytes, 100u * 67u);
  EXPECT_GE(rounds, 50u);
  EXPECT_EQ(input, "*2\r\n$3\r\nGET\r\n$1");
  ReplyBuffer out;
  std::string rest = std::string(input) + "\r\nk\r\n";
  input = rest;
  client_->advance(input, out, now_, unix_now_);
  EXPECT_EQ(out.size(), 67u);
}

TEST_F(SessionMachineTest, AnswersWhatCameBeforeABrokenRequestThenCloses) {
  EXPECT_EQ(send("PING\r\n*1\r\n!\r\nPING\r\n"), "+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n");
  EXPECT_EQ(outcome_, Outcome::kClosing);
  EXPECT_EQ(send("PING\r\n"), "");
}

TEST_F(SessionMachineTest, NothingRunsAfterQuit) {
  EXPECT_EQ(send("QUIT\r\nset k v\r\n"), "+OK\r\n");
  EXPECT_EQ(outcome_, Outcome::kClosing);
  auto other = make_client();
  EXPECT_EQ(send(*other, "exists k\r\n"), ":0\r\n");
}

TEST_F(SessionMachineTest, RefusesBigRequestsBeforeAuthentication) {
  open({.credentials = {.default_password = "secret"}});
  EXPECT_EQ(send("*11\r\n"), "-ERR Protocol error: unauthenticated multibulk length\r\n");
}

TEST_F(SessionMachineTest, KeepsQuietOnRequest) {
  EXPECT_EQ(send("client reply off\r\nping\r\nget\r\nclient reply on\r\nping\r\n"), "+OK\r\n+PONG\r\n");
  EXPECT_EQ(send("client reply skip\r\nping\r\necho x\r\n"), "$1\r\nx\r\n");
}

TEST_F(SessionMachineTest, SwitchesTheProtocolInsideAPipeline) {
  EXPECT_EQ(send("get none\r\nhello 3\r\nget none\r\n").find("$-1\r\n%9\r\n"), 0u);
  EXPECT_EQ(send("get none\r\n"), "_\r\n");
  EXPECT_EQ(send("reset\r\nget none\r\n"), "+RESET\r\n$-1\r\n");
}

TEST_F(SessionMachineTest, ListsItselfWhileItLives) {
  EXPECT_EQ(worker_->view().sessions().size(), 1u);
  auto other = make_client();
  EXPECT_EQ(worker_->view().sessions().size(), 2u);
  EXPECT_NE(other->session().id, client_->session().id);
  other.reset();
  EXPECT_EQ(worker_->view().sessions().size(), 1u);
}

TEST_F(SessionMachineTest, TimesSlowCommandsAloneAndKeepsTheirArguments) {
  test_clock_step = std::chrono::milliseconds(20);
  send("keys *\r\nget a\r\nget b\r\n");
  const CommandTable& table = CommandTable::standard();
  EXPECT_EQ(worker_->view().command_stats()[table.find_row("keys")].micros.get(), 20'000u);
  EXPECT_EQ(worker_->view().command_stats()[table.find_row("get")].micros.get(), 20'000u);  // one run of two
  ASSERT_EQ(worker_->view().slow_log().entries().size(), 2u);
  EXPECT_EQ(worker_->view().slow_log().entries()[1].arguments, (std::vector<std::string>{"keys", "*"}));
}

TEST_F(SessionMachineTest, PasswordsNeverReachTheSlowLog) {
  open({.credentials = {.default_password = "secret"}});
  test_clock_step = std::chrono::milliseconds(20);
  send("auth secret\r\n");
  EXPECT_TRUE(worker_->view().slow_log().entries().empty());
}

}  // namespace
}  // namespace tidemark::cacheserver
