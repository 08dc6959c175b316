// The node over real sockets on the loopback: what the cores' tests cannot see.
#include "cacheserver/io/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/io/ready_file.h"
#include "base/io/topology_store_file.h"
#include "base/topology/bootstrap.h"
#include "base/wire/resp_value.h"

namespace tidemark::cacheserver::io {
namespace {

namespace asio = boost::asio;
using tidemark::io::TopologyStoreFile;

// A blocking client; every read has a limit, so that a silent server fails a test instead of stopping it.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (receive_buffer_bytes > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool is_connected() const { return is_connected_; }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Exactly `bytes` bytes, or what came before the end.
  std::string read(size_t bytes) {
    std::string out(bytes, '\0');
    size_t have = 0;
    while (have < bytes) {
      ssize_t got = ::recv(socket_, out.data() + have, bytes - have, 0);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    out.resize(have);
    return out;
  }
  std::string ask(std::string_view request, std::string_view expected) {
    write(request);
    return read(expected.size());
  }
  std::string read_bulk() {
    std::string head;
    while (!head.ends_with('\n')) {
      std::string byte = read(1);
      if (byte.empty()) return {};
      head += byte;
    }
    std::string text = read(static_cast<size_t>(std::strtoull(head.c_str() + 1, nullptr, 10)) + 2);
    text.resize(text.size() - std::min<size_t>(2, text.size()));
    return text;
  }
  bool is_closed_by_peer() { return read(1).empty(); }

 private:
  int socket_;
  bool is_connected_ = false;
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("tidemark_server_test_" + std::to_string(::getpid()) + "_" +
                                                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  ServerOptions lone() {
    ServerOptions options;
    options.port = 0;
    options.threads = 1;
    return options;
  }
  std::string topology() const { return "file:" + (directory_ / "topology").string(); }

  Status start(ServerOptions options) {
    auto server = Server::start(control_, std::move(options), tidemark::io::Log());
    if (!server) return std::unexpected(server.error());
    server_ = *std::move(server);
    work_.emplace(asio::make_work_guard(control_));
    thread_ = std::thread([this] { control_.run(); });
    return {};
  }

  void stop() {
    work_.reset();
    control_.stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
    control_.restart();
  }

  // As SIGTERM does: true if every client was done in time.
  void drain_and_stop() {
    asio::post(control_, [this] { server_->drain([this] { control_.stop(); }); });
    thread_.join();
    stop();
  }

  uint16_t port() const { return server_->ports().front(); }

  std::filesystem::path directory_;
  asio::io_context control_{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

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

TEST_F(ServerTest, WritesItsReadyFile) {
  ServerOptions options = lone();
  options.ready_file = directory_ / "ready.json";
  ASSERT_TRUE(start(options));
  auto fields = tidemark::io::read_ready_file(options.ready_file);
  ASSERT_TRUE(fields.has_value());
  EXPECT_EQ(std::get<std::vector<int64_t>>(fields->at("ports")), (std::vector<int64_t>{port()}));
  EXPECT_EQ(std::get<int64_t>(fields->at("metrics_port")), server_->metrics_port());
}

TEST_F(ServerTest, ANodeAloneWithTwoWorkersIsAClusterOfTwo) {
  ServerOptions options = lone();
  options.threads = 2;
  ASSERT_TRUE(start(options));
  ASSERT_EQ(server_->ports().size(), 2u);
  Client first(server_->ports()[0]), second(server_->ports()[1]);
  // foo: slot 12182, bucket 3045, odd: worker 1.
  const std::string moved = "-MOVED 12182 127.0.0.1:" + std::to_string(server_->ports()[1]) + "\r\n";
  EXPECT_EQ(first.ask("set foo 1\r\n", moved), moved);
  EXPECT_EQ(second.ask("set foo 1\r\n", "+OK\r\n"), "+OK\r\n");
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
