// The node over real sockets on the loopback: what the cores' tests cannot see.
#include "base/io/ready_file.h"
#include "base/io/topology_store_file.h"
#include "base/topology/bootstrap.h"
#include "tests/unit/cacheserver/io/server_fixture.h"

namespace tidemark::cacheserver::io {
namespace {

TEST_F(ServerTest, AnswersPipelinesOfSeveralClients) {
  ASSERT_TRUE(start(lone()));
  Client a(port()), b(port());
  std::string expected = "+OK\r\n$1\r\n1\r\n:2\r\n";
  EXPECT_EQ(a.ask("set k 1\r\nget k\r\nincr k\r\n", expected), expected);
  EXPECT_EQ(b.ask("get k\r\n", "$1\r\n2\r\n"), "$1\r\n2\r\n");
}

TEST_F(ServerTest, AnswersARequestThatComesInPieces) {
  ASSERT_TRUE(start(lone()));
  Client client(port());
  for (std::string_view piece : {"*2\r\n$4\r\nEC", "HO\r\n$3\r", "\nab", "c\r", "\n"}) client.write(piece);
  EXPECT_EQ(client.read(9), "$3\r\nabc\r\n");
}

TEST_F(ServerTest, CarriesValuesLargerThanEveryBuffer) {
  ASSERT_TRUE(start(lone()));
  Client client(port());
  const std::string value(8 << 20, 'v'), head = "$" + std::to_string(value.size()) + "\r\n";
  client.write("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" + head + value + "\r\n");
  EXPECT_EQ(client.read(5), "+OK\r\n");
  const std::string reply = client.ask("get k\r\n", head + value + "\r\n");
  EXPECT_TRUE(reply == head + value + "\r\n") << reply.size();
}

TEST_F(ServerTest, DoesNotBufferWithoutBoundForAClientThatDoesNotRead) {
  ASSERT_TRUE(start(lone()));
  Client lazy(port(), 65536), other(port());
  const std::string value(100'000, 'v');
  other.ask("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + value + "\r\n", "+OK\r\n");
  constexpr int kRequests = 300;  // 30 MB of replies
  std::string pipeline;
  for (int i = 0; i < kRequests; ++i) pipeline += "get k\r\n";
  lazy.write(pipeline);
  // Others are served meanwhile, and the server says how much it holds for the lazy one.
  other.ask("ping\r\n", "+PONG\r\n");
  other.write("client list\r\n");
  const std::string list = other.read_bulk();
  size_t at = list.find("omem=");
  ASSERT_NE(at, std::string::npos) << list;
  uint64_t held = 0;
  while (at != std::string::npos) {
    held = std::max<uint64_t>(held, std::strtoull(list.c_str() + at + 5, nullptr, 10));
    at = list.find("omem=", at + 1);
  }
  EXPECT_LE(held, (2u << 20) + value.size());
  const size_t reply_bytes = value.size() + 11;
  size_t got = 0;
  for (int i = 0; i < kRequests; ++i) got += lazy.read(reply_bytes).size();
  EXPECT_EQ(got, kRequests * reply_bytes);
}

TEST_F(ServerTest, RefusesClientsAboveTheLimit) {
  ServerOptions options = lone();
  options.clients_max = 1;
  ASSERT_TRUE(start(options));
  Client first(port());
  EXPECT_EQ(first.ask("ping\r\n", "+PONG\r\n"), "+PONG\r\n");
  Client second(port());
  const std::string refusal = "-ERR max number of clients reached\r\n";
  EXPECT_EQ(second.read(refusal.size()), refusal);
  EXPECT_TRUE(second.is_closed_by_peer());
}

TEST_F(ServerTest, ClosesAfterAProtocolError) {
  ASSERT_TRUE(start(lone()));
  Client client(port());
  const std::string expected = "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n";
  EXPECT_EQ(client.ask("PING\r\n*1\r\n$x\r\n", expected), expected);
  EXPECT_TRUE(client.is_closed_by_peer());
}

TEST_F(ServerTest, ClientKillClosesTheOther) {
  ASSERT_TRUE(start(lone()));
  Client victim(port()), killer(port());
  victim.write("client id\r\n");
  const std::string id = victim.read(4).substr(1, 1);
  EXPECT_EQ(killer.ask("client kill id " + id + "\r\n", ":1\r\n"), ":1\r\n");
  EXPECT_TRUE(victim.is_closed_by_peer());
}

TEST_F(ServerTest, DrainAnswersWhatHasArrivedAndAcceptsNoMore) {
  ASSERT_TRUE(start(lone()));
  Client client(port());
  client.ask("ping\r\n", "+PONG\r\n");
  const uint16_t old_port = port();
  client.write("ping\r\nping\r\n");
  drain_and_stop();
  EXPECT_EQ(client.read(14), "+PONG\r\n+PONG\r\n");
  EXPECT_TRUE(client.is_closed_by_peer());
  EXPECT_FALSE(Client(old_port).is_connected());
}

TEST_F(ServerTest, DrainAnswersWhatHasArrivedHoweverManyTurnsThatTakes) {
  ASSERT_TRUE(start(lone()));
  constexpr int kPings = 4000;
  std::string pings, pongs;
  for (int i = 0; i < kPings; ++i) {
    pings += "ping\r\n";
    pongs += "+PONG\r\n";
  }
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(std::make_unique<Client>(port()));
  for (auto& client : clients) client->ask("ping\r\n", "+PONG\r\n");
  for (auto& client : clients) client->write(pings);
  drain_and_stop();
  for (auto& client : clients) EXPECT_EQ(client->read(pongs.size()).size(), pongs.size());
}

TEST_F(ServerTest, WritesItsReadyFile) {
  ServerOptions options = lone();
  options.ready_file = directory_ / "ready.json";
  ASSERT_TRUE(start(options));
  auto fields = tidemark::io::read_ready_file(options.ready_file);
  ASSERT_TRUE(fields.has_value());
  EXPECT_EQ(std::get<std::vector<int64_t>>(fields->at("ports")), (std::vector<int64_t>{port()}));
  EXPECT_EQ(std::get<int64_t>(fields->at("metrics_port")), server_->metrics_port());
}

TEST_F(ServerTest, RegistersItsPortsAndKeepsThemOverARestart) {
  auto store = tidemark::io::open_topology_store(topology());
  ASSERT_TRUE(store.has_value());
  ASSERT_TRUE(store->update([](Topology& t) { return add_nodes(t, {{.id = "n1"}, {.id = "n2"}}); }).has_value());
  ServerOptions options;
  options.topology = topology();
  options.node_id = "n1";
  ASSERT_TRUE(start(options));
  auto stored = store->load();
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->find_node("n1")->worker_ports, (std::vector<uint16_t>{port()}));
  EXPECT_EQ(stored->find_node("n1")->metrics_port, server_->metrics_port());
  const uint16_t old_port = port();
  options.metrics_port = server_->metrics_port();
  const uint64_t version = stored->version;
  stop();
  ASSERT_TRUE(start(options));
  EXPECT_EQ(port(), old_port);
  EXPECT_EQ(store->load()->version, version);  // nothing changed: no new version
}

TEST_F(ServerTest, FollowsTheTopology) {
  auto store = tidemark::io::open_topology_store(topology());
  ASSERT_TRUE(store->update([](Topology& t) { return add_nodes(t, {{.id = "n1"}}); }).has_value());
  ServerOptions options;
  options.topology = topology();
  options.node_id = "n1";
  ASSERT_TRUE(start(options));
  Client client(port());
  EXPECT_EQ(client.ask("set foo 1\r\n", "+OK\r\n"), "+OK\r\n");
  ASSERT_TRUE(store
                  ->update([](Topology& t) -> Status {
                    t.slot_groups.assign(kSlotCount, kNoGroup);
                    ++t.slots_version;
                    return {};
                  })
                  .has_value());
  const std::string down = "-CLUSTERDOWN Hash slot not served\r\n";
  std::string reply;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (reply != down && std::chrono::steady_clock::now() < deadline) {
    client.write("get foo\r\n");
    reply = client.read(1);
    reply += client.read(reply == "$" ? 6 : down.size() - 1);
  }
  EXPECT_EQ(reply, down);
}

TEST_F(ServerTest, SaysWhatToDoWhenItCannotStart) {
  ServerOptions options;
  options.topology = topology();
  options.node_id = "n1";
  Status status = start(options);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find("tidemarkctl init --nodes n1"), std::string::npos);
  ServerOptions taken = lone();
  ASSERT_TRUE(start(lone()));
  taken.port = port();
  auto second = Server::start(control_, taken, tidemark::io::Log());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace tidemark::cacheserver::io
