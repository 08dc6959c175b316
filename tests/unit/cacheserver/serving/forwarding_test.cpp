// A node alone with several workers: each client gets every key from the worker it happens to be at.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

using Outcome = SessionMachine::Outcome;

constexpr uint32_t kWorkers = 3;

class ForwardingTest : public testing::Test {
 protected:
  struct Client {
    Worker* worker = nullptr;
    std::unique_ptr<SessionMachine> machine;
    std::string input;
    std::string replies;
    Outcome outcome = Outcome::kNeedsInput;
  };

  void SetUp() override { open({}); }

  void open(Credentials credentials) {
    clients_.clear();
    workers_.clear();
    auto topology = std::make_shared<Topology>();
    topology->version = topology->slots_version = 1;
    topology->nodes = {{.id = "local", .worker_ports = {7001, 7002, 7003}, .workers = kWorkers}};
    topology->groups = {{.id = "g1", .nodes = {"local"}}};
    topology->slot_groups.assign(kSlotCount, 0);
    for (uint32_t i = 0; i < kWorkers; ++i) {
      auto worker = Worker::open(
          {.identity =
               {.worker_index = i, .workers = kWorkers, .incarnation = 42, .started_at = now_, .forwards = true},
           .config = {},
           .credentials = credentials,
           .hash_seed = 100 + i,
           .clock = test_clock},
          CommandTable::standard());
      ASSERT_TRUE(worker.has_value());
      workers_.push_back(*std::move(worker));
      workers_.back()->adopt_topology(topology);
    }
  }

  Client& connect(uint32_t worker) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.worker = workers_[worker].get();
    client.machine = std::make_unique<SessionMachine>(*client.worker, "127.0.0.1:50000", "127.0.0.1:7001", now_);
    return client;
  }

  // As far as it goes without the siblings.
  void push(Client& client, std::string_view bytes) {
    client.input.append(bytes);
    go_on(client);
  }

  void go_on(Client& client) {
    std::string_view input = client.input;
    ReplyBuffer out;
    client.outcome = client.machine->advance(input, out, now_, unix_now_);
    client.replies += text_of(out);
    client.input = std::string(input);
  }

  // Carries everything that has been forwarded to its owner and back, until nothing is under way.
  void carry() {
    bool has_moved = true;
    while (has_moved) {
      has_moved = false;
      for (auto& worker : workers_) {
        auto batches = std::exchange(worker->forwarding()->outgoing(), {});
        for (auto& batch : batches) {
          has_moved = true;
          ++batches_;
          run_forwarded(*workers_[batch->owner], *batch, now_, unix_now_);
          answer(*worker, std::move(batch));
        }
      }
    }
  }

  void answer(Worker& origin, Forwarding::Batch batch) {
    for (size_t i = 0; i < batch->items.size(); ++i) {
      for (auto& client : clients_) {
        if (client->worker != &origin || client->machine->session().id != batch->items[i].session) continue;
        if (client->machine->take_answer(batch->items[i].index, batch->reply(i))) go_on(*client);
      }
    }
    origin.forwarding()->recycle(std::move(batch));
  }

  std::string ask(Client& client, std::string_view bytes) {
    client.replies.clear();
    push(client, bytes);
    carry();
    return std::exchange(client.replies, {});
  }

  uint32_t owner_of(std::string_view key) const { return workers_[0]->view().worker_of_slot(slot_of_key(key)); }
  // A key of a worker: "k0", "k1", …
  std::string key_of(uint32_t worker, int number = 0) const {
    for (int i = 0;; ++i) {
      std::string key = "k" + std::to_string(i);
      if (owner_of(key) == worker && number-- == 0) return key;
    }
  }

  Instant now_{std::chrono::seconds(1000)};
  UnixMillis unix_now_{1'700'000'000'000};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Client>> clients_;  // destroyed before the workers
  int batches_ = 0;
};

TEST_F(ForwardingTest, EveryKeyIsReachedFromEveryWorkerAndLivesAtItsOwn) {
  for (uint32_t at = 0; at < kWorkers; ++at) {
    Client& client = connect(at);
    for (uint32_t owner = 0; owner < kWorkers; ++owner) {
      const std::string key = key_of(owner);
      EXPECT_EQ(ask(client, "set " + key + " v" + std::to_string(at) + "\r\nget " + key + "\r\n"),
                "+OK\r\n$2\r\nv" + std::to_string(at) + "\r\n");
      EXPECT_NE(workers_[owner]->keyspace().peek(key, now_), nullptr);
    }
  }
  for (auto& worker : workers_) EXPECT_EQ(worker->keyspace().size(), 1u);
}

TEST_F(ForwardingTest, RepliesComeInTheOrderOfTheRequestsThoughSomeAreHereAndSomeElsewhere) {
  Client& client = connect(1);
  const std::string a = key_of(0), b = key_of(1), c = key_of(2);
  push(client, "set " + a + " 1\r\nset " + b + " 2\r\nset " + c + " 3\r\nget " + b + "\r\nget " + a + "\r\nincr " + b +
                   "\r\nget " + c + "\r\nget none\r\n");
  EXPECT_EQ(client.outcome, Outcome::kWaiting);
  EXPECT_EQ(client.replies, "");  // nothing before the first one
  carry();
  EXPECT_EQ(client.replies, "+OK\r\n+OK\r\n+OK\r\n$1\r\n2\r\n$1\r\n1\r\n:3\r\n$1\r\n3\r\n$-1\r\n");
  EXPECT_EQ(client.outcome, Outcome::kNeedsInput);
}

TEST_F(ForwardingTest, ThePipelineOfOneClientTravelsInOneBatchPerSibling) {
  Client& client = connect(0);
  std::string pipeline;
  for (int i = 0; i < 20; ++i) pipeline += "set " + key_of(1, i) + " v\r\nset " + key_of(2, i) + " v\r\n";
  ask(client, pipeline);
  EXPECT_EQ(batches_, 2);
  EXPECT_EQ(workers_[0]->view().stats().forwarded_away.get(), 40u);
  EXPECT_EQ(workers_[1]->view().stats().forwarded_here.get(), 20u);
}

TEST_F(ForwardingTest, RequestsOfSeveralClientsShareABatch) {
  for (int i = 0; i < 5; ++i) push(connect(0), "set " + key_of(1, i) + " v\r\n");
  carry();
  EXPECT_EQ(batches_, 1);
  for (auto& client : clients_) EXPECT_EQ(client->replies, "+OK\r\n");
}

TEST_F(ForwardingTest, WhatIsBehindAWaitingGroupWaitsToo) {
  Client& client = connect(0);
  const std::string far = key_of(1), near = key_of(0);
  push(client, "set " + far + " 1\r\nPING\r\nset " + near + " 2\r\n*2\r\n$3\r\nGET\r\n$2\r\n");
  EXPECT_EQ(client.outcome, Outcome::kWaiting);
  push(client, near.substr(0, 1));
  EXPECT_EQ(client.outcome, Outcome::kWaiting);
  EXPECT_EQ(client.replies, "");
  carry();
  EXPECT_EQ(client.replies, "+OK\r\n+PONG\r\n+OK\r\n");
  EXPECT_EQ(ask(client, near.substr(1) + "\r\n"), "$1\r\n2\r\n");
}

TEST_F(ForwardingTest, ABrokenRequestBehindForwardedOnesIsAnsweredBehindThem) {
  Client& client = connect(0);
  const std::string replies = ask(client, "set " + key_of(1) + " 1\r\n*1\r\n!\r\n");
  EXPECT_EQ(replies, "+OK\r\n-ERR Protocol error: expected '$', got '!'\r\n");
  EXPECT_EQ(client.outcome, Outcome::kClosing);
}

TEST_F(ForwardingTest, CommandsOnSeveralKeysAreTakenApartAndPutTogether) {
  Client& client = connect(2);
  const std::string a = key_of(0), b = key_of(1), c = key_of(2), d = key_of(0, 1);
  EXPECT_EQ(ask(client, "mset " + a + " 1 " + b + " 2 " + c + " 3 " + d + " 4\r\n"), "+OK\r\n");
  EXPECT_EQ(ask(client, "mget " + d + " " + c + " none " + b + " " + a + " " + d + "\r\n"),
            "*6\r\n$1\r\n4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n4\r\n");
  EXPECT_EQ(ask(client, "exists " + a + " " + b + " none " + a + "\r\n"), ":3\r\n");
  EXPECT_EQ(ask(client, "touch " + a + " " + b + "\r\nunlink " + a + " " + c + "\r\n"), ":2\r\n:2\r\n");
  EXPECT_EQ(ask(client, "del " + a + " " + b + " " + c + " " + d + "\r\n"), ":2\r\n");
  EXPECT_EQ(ask(client, "mset " + a + " 1 " + b + "\r\n"), "-ERR wrong number of arguments for 'mset' command\r\n");
}

TEST_F(ForwardingTest, KeysOfOneWorkerNeedNoTagAndKeysOfSeveralAreRefusedWhereOneMustHaveThemAll) {
  Client& client = connect(0);
  const std::string a = key_of(1), b = key_of(1, 1), c = key_of(2);
  EXPECT_EQ(ask(client, "set " + a + " 1\r\nrename " + a + " " + b + "\r\nget " + b + "\r\n"),
            "+OK\r\n+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(ask(client, "rename " + b + " " + c + "\r\n"),
            "-CROSSSLOT the keys of 'rename' are on different workers of this node; give them the same tag in "
            "braces\r\n");
  EXPECT_EQ(ask(client, "msetnx " + b + " 1 " + c + " 2\r\n").find("-CROSSSLOT "), 0u);
  EXPECT_EQ(ask(client, "msetnx {t}a 1 {t}b 2\r\ncopy {t}a {t}c\r\nget {t}c\r\n"), ":1\r\n:1\r\n$1\r\n1\r\n");
}

TEST_F(ForwardingTest, CommandsOnAllKeysConcernEveryWorker) {
  Client& client = connect(1);
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.insert("key:" + std::to_string(i));
  for (const std::string& key : keys) ASSERT_EQ(ask(client, "set " + key + " v\r\n"), "+OK\r\n");
  EXPECT_EQ(ask(client, "dbsize\r\n"), ":100\r\n");
  ReplyParser parser;
  parser.feed(ask(client, "keys *\r\n"));
  auto listed = parser.next();
  ASSERT_TRUE(listed && *listed);
  std::set<std::string> found;
  for (const auto& element : (**listed).elements) found.insert(element.text);
  EXPECT_EQ(found, keys);
  EXPECT_EQ(ask(client, "randomkey\r\n").substr(0, 1), "$");
  EXPECT_EQ(ask(client, "flushall\r\ndbsize\r\nrandomkey\r\nkeys *\r\n"), "+OK\r\n:0\r\n$-1\r\n*0\r\n");
}

TEST_F(ForwardingTest, ScanPassesThroughEveryWorkerAndEnds) {
  Client& client = connect(1);
  std::multiset<std::string> keys, found;
  for (int i = 0; i < 500; ++i) keys.insert("key:" + std::to_string(i));
  for (const std::string& key : keys) ask(client, "set " + key + " v\r\n");
  std::string cursor = "0";
  int calls = 0;
  do {
    ReplyParser parser;
    parser.feed(ask(client, "scan " + cursor + " count 7\r\n"));
    auto reply = parser.next();
    ASSERT_TRUE(reply && *reply && (**reply).elements.size() == 2u);
    cursor = (**reply).elements[0].text;
    for (const auto& key : (**reply).elements[1].elements) found.insert(key.text);
    ASSERT_LT(++calls, 1000);
  } while (cursor != "0");
  EXPECT_EQ(found, keys);
  EXPECT_EQ(ask(client, "scan x\r\n"), "-ERR invalid cursor\r\n");
}

TEST_F(ForwardingTest, ConfigSetReachesEveryWorkerAndAnErrorIsTheReply) {
  Client& client = connect(0);
  EXPECT_EQ(ask(client, "config set maxmemory 12345678\r\n"), "+OK\r\n");
  for (auto& worker : workers_) EXPECT_EQ(worker->keyspace().memory().bytes_max, 12345678u);
  EXPECT_EQ(ask(client, "config set maxmemory-policy nonsense\r\n").substr(0, 5), "-ERR ");
}

TEST_F(ForwardingTest, TheSiblingAnswersInTheClientsProtocolAndRights) {
  open({.default_password = "secret"});
  Client& client = connect(0);
  const std::string far = key_of(1);
  EXPECT_EQ(ask(client, "get " + far + "\r\n"), "-NOAUTH Authentication required.\r\n");
  EXPECT_EQ(workers_[0]->view().stats().forwarded_away.get(), 0u);
  EXPECT_EQ(ask(client, "auth secret\r\nget " + far + "\r\n"), "+OK\r\n$-1\r\n");
  ask(client, "hello 3\r\n");
  EXPECT_EQ(ask(client, "get " + far + "\r\n"), "_\r\n");
  EXPECT_EQ(ask(client, "get " + far + " " + far + "\r\nincrby " + far + " x\r\n"),
            "-ERR wrong number of arguments for 'get' command\r\n-ERR value is not an integer or out of range\r\n");
}

TEST_F(ForwardingTest, RepliesThatTheClientDoesNotWantAreLeftOutWhereverTheyComeFrom) {
  Client& client = connect(0);
  const std::string far = key_of(1), near = key_of(0);
  EXPECT_EQ(ask(client, "client reply off\r\nset " + far + " 1\r\nset " + near + " 2\r\nclient reply on\r\nget " + far +
                            "\r\n"),
            "+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(ask(client, "client reply skip\r\nget " + far + "\r\nget " + near + "\r\n"), "$1\r\n2\r\n");
}

TEST_F(ForwardingTest, AnswersForAClientThatHasLeftAreDropped) {
  Client& client = connect(0);
  push(client, "set " + key_of(1) + " 1\r\n");
  clients_.clear();
  carry();
  EXPECT_EQ(workers_[1]->keyspace().size(), 1u);
}

TEST_F(ForwardingTest, BinaryAndInlineRequestsArriveAsTheyWereSent) {
  Client& client = connect(0);
  const std::string far = key_of(1);
  const std::string value("a\r\n\0b", 5);
  EXPECT_EQ(ask(client, "*3\r\n$3\r\nSET\r\n$" + std::to_string(far.size()) + "\r\n" + far + "\r\n$5\r\n" + value +
                            "\r\n\r\n\r\nget " + far + "\r\n\r\n"),
            "+OK\r\n$5\r\n" + value + "\r\n");
  EXPECT_EQ(ask(client, "set " + far + " \"x\\r\\ny\"\r\nget " + far + "\r\n"), "+OK\r\n$4\r\nx\r\ny\r\n");
}

// The same requests to one worker alone: the replies are the same, byte for byte.
TEST_F(ForwardingTest, PipelinesOfAllKindsAreAnsweredAsByOneWorkerAlone) {
  auto alone = Worker::open({.identity = {}, .config = {}, .credentials = {}, .hash_seed = 1, .clock = test_clock},
                            CommandTable::standard());
  ASSERT_TRUE(alone.has_value());
  SessionMachine reference(**alone, "", "", now_);
  std::mt19937 random(7);
  auto key = [&] { return "k" + std::to_string(random() % 12); };
  auto request = [&]() -> std::string {
    switch (random() % 14) {
      case 0:
        return "del " + key() + " " + key();
      case 1:
        return "mget " + key() + " " + key() + " " + key();
      case 2:
        return "mset " + key() + " 1 " + key() + " 2";
      case 3:
        return "exists " + key() + " " + key();
      case 4:
        return "dbsize";
      case 5:
        return "ping";
      case 6:
        return "append " + key() + " x";
      case 7:
        return random() % 20 == 0 ? "flushall" : "strlen " + key();
      case 8:
      case 9:
        return "incr " + key();
      case 10:
        return "client reply skip";
      case 11:
        return "getdel " + key();
      default:
        return (random() % 2 == 0 ? "get " : "set x") + key() + (random() % 5 == 0 ? "" : " y");
    }
  };
  Client& client = connect(1);
  for (int round = 0; round < 300; ++round) {
    std::string pipeline;
    for (size_t i = 0, count = 1 + random() % 90; i < count; ++i) pipeline += request() + "\r\n";
    ReplyBuffer expected;
    std::string_view input = pipeline;
    reference.advance(input, expected, now_, unix_now_);
    const size_t cut = random() % pipeline.size();
    client.replies.clear();
    push(client, std::string_view(pipeline).substr(0, cut));
    push(client, std::string_view(pipeline).substr(cut));
    carry();
    ASSERT_EQ(client.replies, expected.bytes()) << pipeline;
  }
}

}  // namespace
}  // namespace tidemark::cacheserver
