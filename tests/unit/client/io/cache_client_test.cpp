#include "client/cache_client.h"

#include <gtest/gtest.h>

#include "base/io/system_clock.h"
#include "client/io/client_metrics.h"
#include "client/testing/fake_node.h"

namespace tidemark::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidemark::testing::FakeNode;
using tidemark::testing::run_until;

// Two nodes; the first has the lower half of the slots.
std::shared_ptr<Topology> two_nodes(uint16_t port_1, uint16_t port_2, uint64_t version = 1) {
  auto topology = std::make_shared<Topology>();
  topology->version = version;
  topology->nodes.push_back({"n1", "127.0.0.1", {port_1}, 0, 1});
  topology->nodes.push_back({"n2", "127.0.0.1", {port_2}, 0, 1});
  topology->groups.push_back({"g1", 1, {"n1"}, 1.0});
  topology->groups.push_back({"g2", 1, {"n2"}, 1.0});
  topology->slot_groups.assign(kSlotCount, 1);
  for (size_t slot = 0; slot < kSlotCount / 2; ++slot) topology->slot_groups[slot] = 0;
  return topology;
}

std::string key_on(int node, int number = 0) {
  for (int i = 0;; ++i) {
    std::string key = "key" + std::to_string(i);
    if ((slot_of_key(key) < kSlotCount / 2) == (node == 1) && number-- == 0) return key;
  }
}

class CacheClientTest : public ::testing::Test {
 protected:
  CacheClientTest() : node_1_(context_), node_2_(context_) { start({}); }
  ~CacheClientTest() override { client_->close(); }

  void start(CacheOptions options) {
    if (client_ != nullptr) client_->close();
    options.timeout = seconds(4);
    client_ = CacheClient::create(context_, two_nodes(node_1_.server.port(), node_2_.server.port()), options);
  }

  template <typename T, typename Start>
  T wait(Start begin) {
    std::optional<T> result;
    begin([&](T value) { result = std::move(value); });
    EXPECT_TRUE(run_until(context_, [&] { return result.has_value(); }));
    return std::move(*result);
  }
  Result<CacheClient::Text> get(std::string key, CallOptions options = {}) {
    return wait<Result<CacheClient::Text>>(
        [&](auto done) { client_->async_get(std::move(key), options, std::move(done)); });
  }
  Result<bool> set(std::string key, std::string value, SetOptions options = {}) {
    return wait<Result<bool>>(
        [&](auto done) { client_->async_set(std::move(key), std::move(value), options, std::move(done)); });
  }
  std::string code(const auto& result) { return result ? "ok" : std::string(to_string(result.error().code)); }

  boost::asio::io_context context_;
  FakeNode node_1_;
  FakeNode node_2_;
  std::shared_ptr<CacheClient> client_;
};

TEST_F(CacheClientTest, EveryKeyGoesToTheNodeOfItsSlot) {
  EXPECT_TRUE(*set(key_on(1), "one"));
  EXPECT_TRUE(*set(key_on(2), "two"));
  EXPECT_EQ(node_1_.of("SET").size(), 1u);
  EXPECT_EQ(node_2_.of("SET").size(), 1u);
  EXPECT_EQ(**get(key_on(2)), "two");
}

TEST_F(CacheClientTest, AMissingKeyIsAnAnswerAndNoError) {
  auto value = get(key_on(1));
  ASSERT_TRUE(value);
  EXPECT_FALSE(value->has_value());
}

TEST_F(CacheClientTest, SetSendsItsConditions) {
  set(key_on(1), "v", {.expire_after = milliseconds(250), .when = SetOptions::When::kIfAbsent});
  EXPECT_EQ(node_1_.of("SET")[0], (FakeNode::Request{"SET", key_on(1), "v", "PX", "250", "NX"}));
  node_1_.script = [](const auto&) { return "_\r\n"; };
  EXPECT_FALSE(*set(key_on(1), "v", {.when = SetOptions::When::kIfPresent}));
}

TEST_F(CacheClientTest, ManyKeysAreSplitByNodeAndComeBackInTheirOrder) {
  set(key_on(1), "one");
  set(key_on(2), "two");
  std::vector<std::string> keys{key_on(2), key_on(1, 1), key_on(1), key_on(2)};
  auto values =
      wait<std::vector<Result<CacheClient::Text>>>([&](auto done) { client_->async_mget(keys, {}, std::move(done)); });
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(**values[0], "two");
  EXPECT_FALSE(values[1]->has_value());
  EXPECT_EQ(**values[2], "one");
  EXPECT_EQ(**values[3], "two");
  auto deleted = wait<Result<int64_t>>([&](auto done) { client_->async_del(keys, {}, std::move(done)); });
  EXPECT_EQ(*deleted, 2);
}

TEST_F(CacheClientTest, OneDeadNodeFailsOnlyItsOwnKeysOfABatch) {
  set(key_on(2), "two");
  node_1_.server.stop();
  std::vector<std::string> keys{key_on(1), key_on(2)};
  auto values =
      wait<std::vector<Result<CacheClient::Text>>>([&](auto done) { client_->async_mget(keys, {}, std::move(done)); });
  EXPECT_EQ(code(values[0]), "UNAVAILABLE");
  EXPECT_EQ(**values[1], "two");
}

TEST_F(CacheClientTest, MovedIsFollowedRememberedAndReported) {
  int stale = 0;
  client_->on_stale_topology([&] { ++stale; });
  const std::string key = key_on(1);
  node_2_.entries[key] = "moved here";
  node_1_.script = [&](const auto&) {
    return "-MOVED " + std::to_string(slot_of_key(key)) + " 127.0.0.1:" + std::to_string(node_2_.server.port()) +
           "\r\n";
  };
  EXPECT_EQ(**get(key), "moved here");
  EXPECT_EQ(**get(key), "moved here");
  EXPECT_EQ(node_1_.of("GET").size(), 1u) << "the second request went straight there";
  EXPECT_EQ(stale, 1);
  EXPECT_EQ(client_->metrics().value("redirects", "moved"), 1u);
}

TEST_F(CacheClientTest, RedirectionsInACircleEnd) {
  const std::string key = key_on(1);
  auto moved_to = [&](uint16_t port) {
    return "-MOVED " + std::to_string(slot_of_key(key)) + " 127.0.0.1:" + std::to_string(port) + "\r\n";
  };
  node_1_.script = [&](const auto&) { return moved_to(node_2_.server.port()); };
  node_2_.script = [&](const auto&) { return moved_to(node_1_.server.port()); };
  auto value = get(key);
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message.find("MOVED"), std::string::npos);
  EXPECT_EQ(client_->metrics().value("redirects", "moved"), static_cast<uint64_t>(CacheClient::kRedirectsMax) + 1);
}

TEST_F(CacheClientTest, ANewTopologyTakesTheKeysElsewhere) {
  node_2_.entries[key_on(1)] = "elsewhere";
  client_->set_topology(two_nodes(node_2_.server.port(), node_2_.server.port(), 2));
  EXPECT_EQ(**get(key_on(1)), "elsewhere");
  client_->set_topology(two_nodes(node_1_.server.port(), node_2_.server.port(), 1));
  EXPECT_EQ(**get(key_on(1)), "elsewhere") << "an older version changes nothing";
}

TEST_F(CacheClientTest, TheNodesRefusalsAreErrorsWithItsWords) {
  auto refused = [&](std::string words) {
    node_1_.script = [words](const auto&) { return "-" + words + "\r\n"; };
    auto result = set(key_on(1), "v");
    EXPECT_EQ(result.error().message, words);
    return code(result);
  };
  EXPECT_EQ(refused("PROTECTED key belongs to family product"), "FAILED_PRECONDITION");
  EXPECT_EQ(refused("OOM command not allowed"), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(refused("WRONGTYPE Operation against a key"), "INVALID_ARGUMENT");
  EXPECT_EQ(refused("CLUSTERDOWN Hash slot not served"), "UNAVAILABLE");
  EXPECT_EQ(refused("NOAUTH Authentication required."), "UNAUTHENTICATED");
}

TEST_F(CacheClientTest, ANodeThatDoesNotAnswerIsLeftAloneUntilAProbeSucceeds) {
  CacheOptions options;
  options.breaker_failures = 2;
  options.breaker_open_for = seconds(30);
  start(options);
  node_1_.script = [](const auto&) { return "-"; };
  for (int i = 0; i < 2; ++i) EXPECT_EQ(code(get(key_on(1), {.timeout = milliseconds(20)})), "DEADLINE_EXCEEDED");
  auto value = get(key_on(1), {.timeout = milliseconds(20)});
  EXPECT_EQ(code(value), "UNAVAILABLE");
  EXPECT_NE(value.error().message.find("did not answer lately"), std::string::npos);
  EXPECT_EQ(node_1_.of("GET").size(), 2u);
  EXPECT_TRUE(get(key_on(2))) << "other nodes are not concerned";
}

TEST_F(CacheClientTest, VeryShortDeadlinesDoNotOpenTheBreaker) {
  CacheOptions options;
  options.breaker_failures = 1;
  options.breaker_open_for = seconds(30);
  start(options);
  node_1_.script = [](const auto&) { return "-"; };
  EXPECT_EQ(code(get(key_on(1), {.timeout = milliseconds(2)})), "DEADLINE_EXCEEDED");
  node_1_.script = nullptr;
  node_1_.server.send("_\r\n");
  EXPECT_TRUE(get(key_on(1)));
}

TEST_F(CacheClientTest, AnIdempotentCallIsSentOnceMoreWhenTheConnectionBroke) {
  ASSERT_TRUE(get(key_on(1)));
  bool has_broken = false;
  node_1_.script = [&](const auto&) -> std::string {
    if (std::exchange(has_broken, true)) return "";
    node_1_.server.close_connections();
    return "-";
  };
  auto value = get(key_on(1));
  EXPECT_TRUE(value) << value.error().to_string();
  EXPECT_EQ(client_->metrics().value("retries", "cache"), 1u);
}

TEST_F(CacheClientTest, AWriteWhoseConnectionBrokeIsNotRepeated) {
  ASSERT_TRUE(get(key_on(1)));
  node_1_.script = [&](const auto&) -> std::string {
    node_1_.server.close_connections();
    return "-";
  };
  EXPECT_EQ(code(set(key_on(1), "v")), "OUTCOME_UNKNOWN");
  EXPECT_EQ(node_1_.of("SET").size(), 1u);
}

TEST_F(CacheClientTest, AnyCommandCanBeSent) {
  node_1_.script = [](const FakeNode::Request& request) { return request[0] == "INCRBY" ? ":7\r\n" : ""; };
  auto reply = wait<Result<RespValue>>(
      [&](auto done) { client_->async_command(key_on(1), {"INCRBY", key_on(1), "7"}, {}, std::move(done)); });
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->integer, 7);
}

TEST_F(CacheClientTest, AfterCloseEverythingIsUnavailable) {
  client_->close();
  EXPECT_EQ(code(get(key_on(1))), "UNAVAILABLE");
}

TEST(ClientMetrics, ShowsEveryCounterAndTheLatencies) {
  ClientMetrics metrics;
  metrics.count_request("product", "node", "value");
  metrics.count("fills", "ok", 3);
  metrics.record_latency("node", milliseconds(2));
  auto families = metrics.snapshot();
  auto find = [&](std::string_view name) {
    for (const auto& family : families) {
      if (family.name == name) return family;
    }
    return io::MetricFamily{};
  };
  EXPECT_EQ(find("tidemark_client_requests_total").samples.at(0).value, 1);
  EXPECT_EQ(find("tidemark_client_fills_total").samples.at(0).value, 3);
  const auto latency = find("tidemark_client_latency_seconds").samples.at(0);
  EXPECT_EQ(latency.count, 1u);
  EXPECT_EQ(latency.cumulative_buckets.front().second, 0u);
  EXPECT_EQ(latency.cumulative_buckets.back().second, 1u);
}

}  // namespace
}  // namespace tidemark::client
