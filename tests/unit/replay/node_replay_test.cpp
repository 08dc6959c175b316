#include "bench/macro/replay/node_replay.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tidemark::bench {
namespace {

// A server of one connection that answers one line or one command after the other, and keeps every key.
class FakeServer {
 public:
  explicit FakeServer(NodeProtocol protocol, std::string set_reply)
      : protocol_(protocol), set_reply_(std::move(set_reply)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ::ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  NodeAddress address() const { return {.host = "127.0.0.1", .port = port_, .protocol = protocol_}; }
  // After the client has gone.
  const std::vector<std::string>& commands() {
    thread_.join();
    return commands_;
  }

 private:
  void serve() {
    connection_ = ::accept(listener_, nullptr, nullptr);
    for (std::string line = read_line(); !line.empty(); line = read_line()) {
      if (protocol_ == NodeProtocol::kResp) {
        std::vector<std::string> words;
        for (int left = std::stoi(line.substr(1)); left > 0; --left) {
          read_line();
          words.push_back(read_line());
        }
        answer(words[0], words.size() > 1 ? words[1] : "", words.size() > 2 ? words[2] : "");
      } else {
        const size_t space = line.find(' ');
        const std::string verb = line.substr(0, space);
        answer(verb, space == std::string::npos ? "" : line.substr(space + 1, line.find(' ', space + 1) - space - 1),
               verb == "set" ? read_line() : "");
      }
    }
    ::close(connection_);
  }
  void answer(const std::string& verb, const std::string& key, const std::string& value) {
    const bool is_resp = protocol_ == NodeProtocol::kResp;
    commands_.push_back(verb + " " + key + (value.empty() ? "" : " " + std::to_string(value.size())));
    if (verb == "GET" || verb == "get") {
      const bool is_hit = values_.contains(key);
      if (is_resp) write(is_hit ? "$3\r\nabc\r\n" : "$-1\r\n");
      if (!is_resp) write(is_hit ? "VALUE " + key + " 0 3\r\nabc\r\nEND\r\n" : "END\r\n");
    } else if (verb == "SET" || verb == "set") {
      values_.insert(key);
      write(set_reply_ + "\r\n");
    } else {
      const std::string info = "# Memory\r\nused_memory:17\r\nnonsense:1\r\nevicted_keys:4\r\n";
      write(is_resp ? "$" + std::to_string(info.size()) + "\r\n" + info + "\r\n"
                    : "STAT pid 1\r\nSTAT bytes 9\r\nEND\r\n");
    }
  }
  std::string read_line() {
    for (;;) {
      if (const size_t end = in_.find("\r\n"); end != std::string::npos) {
        std::string line = in_.substr(0, end);
        in_.erase(0, end + 2);
        return line;
      }
      char bytes[4096];
      const ssize_t got = ::recv(connection_, bytes, sizeof bytes, 0);
      if (got <= 0) return "";
      in_.append(bytes, static_cast<size_t>(got));
    }
  }
  void write(const std::string& text) {
    EXPECT_EQ(::send(connection_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  NodeProtocol protocol_;
  std::string set_reply_;
  int listener_;
  int connection_ = -1;
  uint16_t port_ = 0;
  std::string in_;
  std::set<std::string> values_;
  std::vector<std::string> commands_;
  std::thread thread_;
};

Trace some_trace() {
  Trace trace;
  trace.requests = {0, 1, 0, 2, 2};
  trace.sizes = {5, 6, 7};
  return trace;
}
constexpr auto kKeepOn = [](const ReplayCounts&) { return true; };

TEST(NodeReplay, SetsWhatItMissedBeforeItAsksForTheNext) {
  FakeServer server(NodeProtocol::kResp, "+OK");
  ReplayCounts counts;
  NodeFigures figures;
  {
    auto replay = NodeReplay::connect(server.address());
    ASSERT_TRUE(replay) << replay.error().to_string();
    ASSERT_TRUE(replay->run(some_trace(), 0, kKeepOn, counts));
    figures = *replay->figures();
  }
  EXPECT_EQ(counts.requests, 5u);
  EXPECT_EQ(counts.hits, 2u);
  EXPECT_EQ(counts.refused, 0u);
  EXPECT_EQ(server.commands(), (std::vector<std::string>{"GET 0", "SET 0 5", "GET 1", "SET 1 6", "GET 0", "GET 2",
                                                         "SET 2 7", "GET 2", "INFO "}));
  EXPECT_EQ(figures, (NodeFigures{{"used_memory", "17"}, {"evicted_keys", "4"}}));
}

TEST(NodeReplay, SpeaksMemcachedToo) {
  FakeServer server(NodeProtocol::kMemcached, "STORED");
  ReplayCounts counts;
  NodeFigures figures;
  {
    auto replay = NodeReplay::connect(server.address());
    ASSERT_TRUE(replay) << replay.error().to_string();
    ASSERT_TRUE(replay->run(some_trace(), 100, kKeepOn, counts));
    figures = *replay->figures();
  }
  EXPECT_EQ(counts.hits, 2u);
  EXPECT_EQ(server.commands(), (std::vector<std::string>{"get 0", "set 0 100", "get 1", "set 1 100", "get 0", "get 2",
                                                         "set 2 100", "get 2", "stats "}));
  EXPECT_EQ(figures, (NodeFigures{{"bytes", "9"}}));
}

TEST(NodeReplay, CountsRefusedValuesAndStopsWhenAsked) {
  FakeServer server(NodeProtocol::kResp, "-OOM command not allowed");
  ReplayCounts counts;
  {
    auto replay = NodeReplay::connect(server.address());
    ASSERT_TRUE(replay) << replay.error().to_string();
    ASSERT_TRUE(replay->run(some_trace(), 0, [](const ReplayCounts& so_far) { return so_far.requests < 2; }, counts));
  }
  EXPECT_EQ(counts.requests, 2u);
  EXPECT_EQ(counts.refused, 2u);
  EXPECT_EQ(counts.first_refusal, "-OOM command not allowed");
}

TEST(NodeReplay, SaysWhichServerIsNotThere) {
  uint16_t port = 0;
  {
    FakeServer gone(NodeProtocol::kResp, "+OK");
    port = gone.address().port;
    auto replay = NodeReplay::connect(gone.address());
    EXPECT_TRUE(replay);
  }
  auto replay = NodeReplay::connect({.host = "127.0.0.1", .port = port});
  ASSERT_FALSE(replay);
  EXPECT_NE(replay.error().message.find(std::to_string(port)), std::string::npos);
}

}  // namespace
}  // namespace tidemark::bench
