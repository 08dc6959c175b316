// Large values over real sockets: sent without a copy, received where they are put together.
#include "tests/unit/cacheserver/io/server_fixture.h"

namespace tidemark::cacheserver::io {
namespace {

std::string bulk_of(const std::string& value) {
  return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}
std::string set_of(const std::string& key, const std::string& value) {
  return "*3\r\n$3\r\nSET\r\n" + bulk_of(key) + bulk_of(value);
}
// Different bytes everywhere, so that a shift shows.
std::string pattern(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  for (char& c : text) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>(seed >> 24);
  }
  return text;
}

TEST_F(ServerTest, ALargeValueThatIsBeingReadStaysAsItWasWhileItIsOverwrittenAndDeleted) {
  ASSERT_TRUE(start(lone()));
  Client slow(port(), 65536), other(port());
  const std::string before = pattern(6 << 20, 1), after = pattern(6 << 20, 2);
  ASSERT_EQ(other.ask(set_of("k", before), "+OK\r\n"), "+OK\r\n");
  slow.write("get k\r\n");
  const std::string head = bulk_of(before).substr(0, 100);
  ASSERT_EQ(slow.read(head.size()), head);  // the reply has begun, and does not fit the sockets' buffers
  ASSERT_EQ(other.ask(set_of("k", after), "+OK\r\n"), "+OK\r\n");
  ASSERT_EQ(other.ask("del k\r\n", ":1\r\n"), ":1\r\n");
  ASSERT_EQ(other.ask(set_of("k", after), "+OK\r\n"), "+OK\r\n");
  EXPECT_TRUE(head + slow.read(bulk_of(before).size() - head.size()) == bulk_of(before));
  EXPECT_TRUE(slow.ask("get k\r\n", bulk_of(after)) == bulk_of(after));
}

TEST_F(ServerTest, LargeAndSmallRepliesComeInTheOrderOfTheirRequests) {
  ASSERT_TRUE(start(lone()));
  Client client(port(), 65536);
  const std::string large = pattern(300'000, 3), edge = pattern(64 << 10, 4), below = pattern((64 << 10) - 1, 5);
  client.ask(set_of("large", large) + set_of("edge", edge) + set_of("below", below), "+OK\r\n+OK\r\n+OK\r\n");
  std::string pipeline, expected;
  for (int i = 0; i < 20; ++i) {
    pipeline += "ping\r\nget large\r\nget edge\r\nmget below large none\r\nget below\r\n";
    expected += "+PONG\r\n" + bulk_of(large) + bulk_of(edge) + "*3\r\n" + bulk_of(below) + bulk_of(large) + "$-1\r\n" +
                bulk_of(below);
  }
  EXPECT_TRUE(client.ask(pipeline, expected) == expected);
}

TEST_F(ServerTest, ALargeValueIsTakenHoweverItsRequestIsCut) {
  ASSERT_TRUE(start(lone()));
  Client client(port());
  for (size_t size : {65535u, 65536u, 200'000u, 3'000'000u}) {
    const std::string value = pattern(size, static_cast<uint32_t>(size));
    const std::string request = set_of("k", value) + "get k\r\nping\r\n" + set_of("next", "v");
    for (size_t cut : {size_t{1}, size_t{30}, size_t{65536}, request.size() / 2, request.size() - 40}) {
      if (cut >= request.size()) continue;
      client.write(std::string_view(request).substr(0, cut));
      client.write(std::string_view(request).substr(cut));
      const std::string expected = "+OK\r\n" + bulk_of(value) + "+PONG\r\n+OK\r\n";
      ASSERT_TRUE(client.read(expected.size()) == expected) << size << " cut at " << cut;
    }
  }
}

TEST_F(ServerTest, AClientThatLeavesInTheMiddleOfALargeReplyHarmsNobody) {
  ASSERT_TRUE(start(lone()));
  const std::string value = pattern(4 << 20, 6);
  Client other(port());
  other.ask(set_of("k", value), "+OK\r\n");
  for (int i = 0; i < 5; ++i) {
    Client leaving(port(), 65536);
    leaving.write("get k\r\nget k\r\n");
    ASSERT_EQ(leaving.read(10).size(), 10u);
  }
  EXPECT_EQ(other.ask("del k\r\n", ":1\r\n"), ":1\r\n");
  EXPECT_EQ(other.ask("ping\r\n", "+PONG\r\n"), "+PONG\r\n");
}

std::string number_in(const std::string& report, const std::string& name) {
  const size_t at = report.find(name + ":");
  return at == std::string::npos ? std::string()
                                 : report.substr(at + name.size() + 1, report.find('\r', at) - at - name.size() - 1);
}

TEST_F(ServerTest, ValuesOfAllKindsOfCommandsAreReceivedInPlaceAndKeptAsTheyCame) {
  ASSERT_TRUE(start(lone()));
  Client client(port());
  const std::string a = pattern(100'000, 11), b = pattern(150'000, 12), c = pattern(70'000, 13);
  const auto command = [](std::initializer_list<std::string> words) {
    std::string text = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) text += bulk_of(word);
    return text;
  };
  EXPECT_EQ(client.ask(set_of("k", a), "+OK\r\n"), "+OK\r\n");
  EXPECT_TRUE(client.ask(command({"GETSET", "k", b}), bulk_of(a)) == bulk_of(a));
  EXPECT_TRUE(client.ask(command({"SET", "k", a, "GET", "EX", "100"}), bulk_of(b)) == bulk_of(b));
  EXPECT_EQ(client.ask(command({"SET", "k", b, "NX"}), "$-1\r\n"), "$-1\r\n");
  EXPECT_EQ(client.ask(command({"MSET", "m1", a, "m2", b, "m3", "small"}), "+OK\r\n"), "+OK\r\n");
  EXPECT_EQ(client.ask(command({"APPEND", "m1", c}), ":170000\r\n"), ":170000\r\n");
  EXPECT_EQ(client.ask(command({"SETEX", "s", "100", c}), "+OK\r\n"), "+OK\r\n");
  EXPECT_EQ(client.ask(command({"ECHO", c}), bulk_of(c)), bulk_of(c));
  const std::string all = bulk_of(a) + bulk_of(a + c) + bulk_of(b) + bulk_of(c);
  EXPECT_TRUE(client.ask("mget k m1 m2 s\r\n", "*4\r\n" + all) == "*4\r\n" + all);
}

TEST_F(ServerTest, AClientThatLeavesInTheMiddleOfALargeValueGivesItsMemoryBack) {
  ServerOptions options = lone();
  options.memory_bytes_max = 256 << 20;
  ASSERT_TRUE(start(options));
  Client other(port());
  const std::string request = set_of("k", pattern(2 << 20, 21));
  const auto used = [&] {
    other.write("info memory\r\n");
    return std::strtoull(number_in(other.read_bulk(), "used_memory").c_str(), nullptr, 10);
  };
  const auto before = used();
  {
    Client leaving(port());
    leaving.write(std::string_view(request).substr(0, 1 << 20));
    for (int i = 0; i < 2000 && used() < before + (2u << 20); ++i) ::usleep(10'000);
    EXPECT_GE(used(), before + (2u << 20)) << "what is announced counts";
  }
  for (int i = 0; i < 2000 && used() >= before + (1u << 20); ++i) ::usleep(10'000);
  EXPECT_LT(used(), before + (1u << 20));
  EXPECT_EQ(other.ask("exists k\r\n", ":0\r\n"), ":0\r\n");
  EXPECT_EQ(other.ask(request, "+OK\r\n"), "+OK\r\n");
}

TEST_F(ServerTest, AValueThatIsHalfWayThereOutlastsAPauseForTheClientToTakeItsReplies) {
  ASSERT_TRUE(start(lone()));
  Client slow(port(), 65536), other(port());
  const std::string large = pattern(6 << 20, 31), value = pattern(400'000, 32);
  ASSERT_EQ(other.ask(set_of("large", large), "+OK\r\n"), "+OK\r\n");
  const std::string request = set_of("k", value);
  slow.write("get large\r\n" + request.substr(0, 1000));
  EXPECT_EQ(slow.read(1), "$");  // paused, with the rest of the reply waiting
  slow.write(std::string_view(request).substr(1000, 50'000));
  EXPECT_TRUE("$" + slow.read(bulk_of(large).size() - 1) == bulk_of(large));
  slow.write(std::string_view(request).substr(51'000));
  EXPECT_EQ(slow.read(5), "+OK\r\n");
  EXPECT_TRUE(other.ask("get k\r\n", bulk_of(value)) == bulk_of(value));
}

}  // namespace
}  // namespace tidemark::cacheserver::io
