// Several sessions that are ready together: parsed together, run one after the other.
#include <algorithm>
#include <vector>

#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

using Outcome = SessionMachine::Outcome;

class SharedRoundTest : public NodeTest {
 protected:
  struct Turn {
    std::string replies;
    std::string rest;  // of the input
    Outcome outcome = Outcome::kNeedsInput;
  };

  // One round of `clients`, each with its own bytes; replies stand one behind the other in one buffer, as in the node.
  std::vector<Turn> run_round(const std::vector<SessionMachine*>& clients, const std::vector<std::string>& inputs) {
    for (size_t i = 0; i < clients.size(); ++i) clients[i]->prepare(inputs[i]);
    worker_->load_round();
    std::vector<Turn> turns;
    ReplyBuffer out;
    for (size_t i = 0; i < clients.size(); ++i) {
      std::string_view input = inputs[i];
      const size_t begin = text_of(out).size();
      Turn& turn = turns.emplace_back();
      turn.outcome = clients[i]->run_prepared(input, out, now_, unix_now_);
      turn.replies = text_of(out).substr(begin);
      turn.rest = input;
    }
    worker_->end_round();
    return turns;
  }
};

TEST_F(SharedRoundTest, EachSessionGetsItsOwnRepliesInItsOrder) {
  auto second = make_client(), third = make_client();
  auto turns = run_round({client_.get(), second.get(), third.get()},
                         {"set a 1\r\nget a\r\nget b\r\n", "incr a\r\nset b \"x y\"\r\n", "mget a b none\r\n"});
  EXPECT_EQ(turns[0].replies, "+OK\r\n$1\r\n1\r\n$-1\r\n");
  EXPECT_EQ(turns[1].replies, ":2\r\n+OK\r\n");
  EXPECT_EQ(turns[2].replies, "*3\r\n$1\r\n2\r\n$3\r\nx y\r\n$-1\r\n");
  for (const Turn& turn : turns) EXPECT_EQ(turn.outcome, Outcome::kNeedsInput);
  EXPECT_EQ(worker_->view().stats().commands_total.get(), 6u);
}

TEST_F(SharedRoundTest, AnIncompleteRequestWaitsForItsRestWhileOthersAreAnswered) {
  auto second = make_client();
  const std::string begin = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab";
  auto turns = run_round({client_.get(), second.get()}, {"PING\r\n" + begin, "PING\r\n"});
  EXPECT_EQ(turns[0].replies, "+PONG\r\n");
  EXPECT_EQ(turns[0].rest, begin);
  EXPECT_EQ(turns[1].replies, "+PONG\r\n");
  EXPECT_EQ(send(*client_, begin + "cde\r\nGET k\r\n"), "+OK\r\n$5\r\nabcde\r\n");
}

TEST_F(SharedRoundTest, WhatDoesNotFitTheRoundRunsBehindItAndInOrder) {
  auto second = make_client();
  std::string many, expected;
  for (size_t i = 1; i <= RequestRound::kRequestsMax * 3 + 5; ++i) {
    many += "incr n\r\n";
    expected += ":" + std::to_string(i) + "\r\n";
  }
  auto turns = run_round({client_.get(), second.get()}, {many, "get n\r\n"});
  EXPECT_EQ(turns[0].replies, expected);
  EXPECT_EQ(turns[0].rest, "");
  EXPECT_EQ(turns[1].replies, "$3\r\n197\r\n") << "it was not prepared, and runs all the same";
}

TEST_F(SharedRoundTest, ARoundOfDeletesAndWritesOfTheSameKeysIsAsIfTheyHadComeOneByOne) {
  std::vector<std::unique_ptr<SessionMachine>> owned;
  std::vector<SessionMachine*> clients;
  std::vector<std::string> inputs;
  std::string value;
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(owned.emplace_back(make_client()).get());
    value = i % 3 == 2 ? "" : std::string(static_cast<size_t>(i) * 50, 'v');
    inputs.push_back(i % 3 == 2 ? "del key\r\nget key\r\n" : "set key \"" + value + "\"\r\nget key\r\n");
    expected.push_back(i % 3 == 2 ? ":1\r\n$-1\r\n"
                                  : "+OK\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
  }
  auto turns = run_round(clients, inputs);
  for (size_t i = 0; i < turns.size(); ++i) EXPECT_EQ(turns[i].replies, expected[i]) << i;
}

TEST_F(SharedRoundTest, ASessionKilledByAnotherOfTheRoundRunsNothingMore) {
  auto second = make_client();
  auto turns = run_round({client_.get(), second.get()},
                         {"client kill id " + std::to_string(second->session().id) + "\r\n", "set k v\r\n"});
  EXPECT_EQ(turns[0].replies, ":1\r\n");
  EXPECT_EQ(turns[1].replies, "");
  EXPECT_EQ(turns[1].outcome, Outcome::kClosing);
  EXPECT_EQ(ask("exists k"), "0");
}

TEST_F(SharedRoundTest, TheOutputOfOneSessionDoesNotCountAgainstAnother) {
  worker_->view().config().output_pause_bytes = 100;
  ask("set k " + std::string(60, 'v'));
  auto second = make_client();
  std::string pipeline;
  for (int i = 0; i < 10; ++i) pipeline += "get k\r\n";
  auto turns = run_round({client_.get(), second.get()}, {pipeline, "get k\r\n"});
  EXPECT_EQ(turns[0].outcome, Outcome::kOutputFull);
  EXPECT_EQ(turns[0].replies.size(), 2u * 67u);
  EXPECT_EQ(turns[0].rest.size(), 8u * 7u);
  EXPECT_EQ(turns[1].outcome, Outcome::kNeedsInput);
  EXPECT_EQ(turns[1].replies.size(), 67u);
}

TEST_F(SharedRoundTest, AuthenticationHoldsForTheNextRequestOfItsSessionAlone) {
  open({.credentials = {.default_password = "secret"}});
  auto second = make_client();
  auto turns = run_round({client_.get(), second.get()}, {"auth secret\r\nset k v\r\n", "get k\r\n"});
  EXPECT_EQ(turns[0].replies, "+OK\r\n+OK\r\n");
  EXPECT_EQ(turns[1].replies, "-NOAUTH Authentication required.\r\n");
}

TEST_F(SharedRoundTest, ABrokenRequestClosesItsSessionAlone) {
  auto second = make_client();
  auto turns = run_round({client_.get(), second.get()}, {"PING\r\n*1\r\n!\r\n", "PING\r\n"});
  EXPECT_EQ(turns[0].replies, "+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n");
  EXPECT_EQ(turns[0].outcome, Outcome::kClosing);
  EXPECT_EQ(turns[1].replies, "+PONG\r\n");
}

TEST_F(SharedRoundTest, ARoundOfOneFastCommandIsTimedOnce) {
  ask("set a 1");
  auto second = make_client();
  test_clock_step = std::chrono::microseconds(10);
  const Instant before = test_clock_now;
  run_round({client_.get(), second.get()}, {"get a\r\nget a\r\n", "get a\r\n"});
  EXPECT_EQ(test_clock_now - before, 2 * test_clock_step);
  const uint32_t row = CommandTable::standard().find_row("get");
  EXPECT_EQ(worker_->view().command_stats()[row].calls.get(), 3u);
  EXPECT_EQ(worker_->view().command_stats()[row].micros.get(), 10u);
}

}  // namespace
}  // namespace tidemark::cacheserver
