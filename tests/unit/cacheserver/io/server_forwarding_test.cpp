// A node alone with several workers over real sockets: every client gets every key at every port.
#include <fmt/format.h>

#include <atomic>
#include <vector>

#include "base/slot.h"
#include "tests/unit/cacheserver/io/server_fixture.h"

namespace tidemark::cacheserver::io {
namespace {

class ForwardingServerTest : public ServerTest {
 protected:
  ServerOptions several(uint32_t threads) {
    ServerOptions options = lone();
    options.threads = threads;
    return options;
  }
  uint16_t port_of(size_t worker) const { return server_->ports()[worker]; }
  static std::string bulk_of(const std::string& value) {
    return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  }
};

TEST_F(ForwardingServerTest, AClientThatKnowsOneAddressGetsEveryKey) {
  ASSERT_TRUE(start(several(3)));
  std::string writes, reads, ok, values;
  for (int i = 0; i < 300; ++i) {
    writes += fmt::format("set key:{} value:{}\r\n", i, i);
    ok += "+OK\r\n";
    reads += fmt::format("get key:{}\r\nping\r\nget none:{}\r\n", i, i);
    values += bulk_of("value:" + std::to_string(i)) + "+PONG\r\n$-1\r\n";
  }
  Client first(port_of(0));
  EXPECT_EQ(first.ask(writes, ok), ok);
  for (size_t worker = 0; worker < 3; ++worker) {
    Client client(port_of(worker));
    EXPECT_EQ(client.ask(reads, values), values) << worker;
    EXPECT_EQ(client.ask("dbsize\r\n", ":300\r\n"), ":300\r\n");
  }
}

TEST_F(ForwardingServerTest, ManyClientsAtOnceSeeTheirOwnWritesInOrder) {
  ASSERT_TRUE(start(several(2)));
  constexpr int kClients = 8, kRounds = 60;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  for (int number = 0; number < kClients; ++number) {
    clients.emplace_back([&, number] {
      Client client(port_of(static_cast<size_t>(number) % 2));
      for (int round = 0; round < kRounds; ++round) {
        std::string pipeline, expected;
        for (int i = 0; i < 40; ++i) {
          const std::string key = fmt::format("c{}:{}", number, i % 13), value = fmt::format("{}.{}", round, i);
          pipeline += fmt::format("set {} {}\r\nget {}\r\n", key, value, key);
          expected += "+OK\r\n" + bulk_of(value);
        }
        if (client.ask(pipeline, expected) != expected) ++wrong;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(ForwardingServerTest, ASlowReaderGetsLargeForwardedValuesInOrderAndHoldsUpNobody) {
  ASSERT_TRUE(start(several(2)));
  Client slow(port_of(0), 65536), other(port_of(1));
  const std::string value(700'000, 'v');
  std::string pipeline, expected, heads;
  for (int i = 0; i < 12; ++i) {
    const std::string key = "large:" + std::to_string(i);
    ASSERT_EQ(other.ask("*3\r\n$3\r\nSET\r\n" + bulk_of(key) + bulk_of(value + std::to_string(i)), "+OK\r\n"),
              "+OK\r\n");
    pipeline += "get " + key + "\r\nping\r\n";
    expected += bulk_of(value + std::to_string(i)) + "+PONG\r\n";
  }
  slow.write(pipeline);
  for (int i = 0; i < 12; ++i) {
    const std::string key = "small:" + std::to_string(i);
    EXPECT_EQ(other.ask("set " + key + " x\r\nget " + key + "\r\n", "+OK\r\n$1\r\nx\r\n"), "+OK\r\n$1\r\nx\r\n");
  }
  EXPECT_TRUE(slow.read(expected.size()) == expected);
}

TEST_F(ForwardingServerTest, ClientsThatLeaveWithRequestsUnderWayHarmNobody) {
  ASSERT_TRUE(start(several(2)));
  std::string pipeline;
  for (int i = 0; i < 200; ++i) pipeline += fmt::format("set gone:{} {}\r\nget gone:{}\r\n", i, i, i);
  for (int i = 0; i < 50; ++i) {
    Client leaving(port_of(static_cast<size_t>(i) % 2));
    leaving.write(pipeline);
    if (i % 3 == 0) leaving.read(5);
  }
  Client client(port_of(0));
  EXPECT_EQ(client.ask("flushall\r\n", "+OK\r\n"), "+OK\r\n");
  EXPECT_EQ(client.ask("set a 1\r\nset b 2\r\nset c 3\r\nget a\r\nget b\r\nget c\r\n",
                       "+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n"),
            "+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
}

TEST_F(ForwardingServerTest, DrainWaitsForWhatSiblingsHaveToAnswer) {
  ASSERT_TRUE(start(several(2)));
  Client client(port_of(0));
  ASSERT_EQ(client.ask("ping\r\n", "+PONG\r\n"), "+PONG\r\n");
  std::string pipeline, expected;
  for (int i = 0; i < 30; ++i) {
    pipeline += fmt::format("set key:{} v\r\n", i);
    expected += "+OK\r\n";
  }
  client.write(pipeline);
  drain_and_stop();
  EXPECT_EQ(client.read(expected.size()), expected);
  EXPECT_TRUE(client.is_closed_by_peer());
}

TEST_F(ForwardingServerTest, ClusterClientsAreToldWhichWorkerHasWhichSlots) {
  ASSERT_TRUE(start(several(2)));
  Client client(port_of(0));
  client.write("cluster shards\r\n");
  EXPECT_EQ(client.read(4), "*2\r\n");
}

}  // namespace
}  // namespace tidemark::cacheserver::io
