// A worker and clients of it, without sockets: what a client sends is text, what it gets is text.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/wire/resp_value.h"
#include "cacheserver/serving/session_machine.h"
#include "cacheserver/serving/worker.h"

namespace tidemark::cacheserver {

// A clock that takes `step` per look, so that durations are known.
inline Instant test_clock_now{};
inline Duration test_clock_step{0};
inline Instant test_clock() {
  return test_clock_now += test_clock_step;
}

// Three nodes of one group each: n1 serves slots 0-5460, n2 5461-10922 (2 workers), n3 the rest and has no ports yet.
inline Topology three_nodes() {
  Topology topology;
  topology.version = 7;
  topology.slots_version = 3;
  topology.nodes = {{.id = "n1", .host = "10.0.0.1", .worker_ports = {7001}, .workers = 1},
                    {.id = "n2", .host = "10.0.0.2", .worker_ports = {7002, 7003}, .workers = 2},
                    {.id = "n3", .host = "10.0.0.3", .worker_ports = {}, .workers = 1}};
  topology.groups = {{.id = "g1", .epoch = 4, .nodes = {"n1"}},
                     {.id = "g2", .epoch = 5, .nodes = {"n2"}},
                     {.id = "g3", .epoch = 6, .nodes = {"n3"}}};
  topology.slot_groups.resize(kSlotCount);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    topology.slot_groups[slot] = slot < 5461 ? 0 : slot < 10923 ? 1 : 2;
  }
  return topology;
}

// What the client reads.
inline std::string text_of(ReplyBuffer& replies) {
  std::string text = replies.bytes();
  for (auto pinned = replies.pinned().rbegin(); pinned != replies.pinned().rend(); ++pinned) {
    text.insert(pinned->at, pinned->value.bytes());
  }
  return text;
}

class NodeTest : public testing::Test {
 protected:
  struct Setup {
    Credentials credentials{};
    WorkerConfig config{};
    std::string node_id = "n1";
    uint32_t worker_index = 0, workers = 1;
  };

  void SetUp() override { open({}); }

  void open(Setup setup) {
    client_.reset();
    test_clock_now = now_;
    test_clock_step = Duration(0);
    auto worker = Worker::open({.identity = {.node_id = setup.node_id,
                                             .worker_index = setup.worker_index,
                                             .workers = setup.workers,
                                             .incarnation = 42,
                                             .port = 7001,
                                             .started_at = now_},
                                .config = setup.config,
                                .credentials = setup.credentials,
                                .hash_seed = 1,
                                .clock = test_clock},
                               CommandTable::standard());
    ASSERT_TRUE(worker.has_value()) << worker.error().to_string();
    worker_ = *std::move(worker);
    client_ = make_client();
  }

  std::unique_ptr<SessionMachine> make_client() {
    return std::make_unique<SessionMachine>(*worker_, "127.0.0.1:50000", "127.0.0.1:7001", now_);
  }

  void join(const Topology& topology) { worker_->adopt_topology(std::make_shared<const Topology>(topology)); }

  // The raw replies to raw bytes.
  std::string send(SessionMachine& client, std::string_view bytes) {
    ReplyBuffer out;
    outcome_ = client.advance(bytes, out, now_, unix_now_);
    unread_ = bytes.size();
    return text_of(out);
  }
  std::string send(std::string_view bytes) { return send(*client_, bytes); }

  // An inline command, its one reply as text: ["a", 1].
  std::string ask(SessionMachine& client, const std::string& command) {
    ReplyParser parser;
    parser.feed(send(client, command + "\r\n"));
    auto value = parser.next();
    if (!value || !*value) return "(no reply)";
    EXPECT_EQ(parser.buffered_bytes(), 0u) << command;
    return (**value).to_string();
  }
  std::string ask(const std::string& command) { return ask(*client_, command); }

  Instant now_{std::chrono::seconds(1000)};
  UnixMillis unix_now_{1'700'000'000'000};
  SessionMachine::Outcome outcome_ = SessionMachine::Outcome::kNeedsInput;
  size_t unread_ = 0;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<SessionMachine> client_;  // destroyed before the worker
};

}  // namespace tidemark::cacheserver
