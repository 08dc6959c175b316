// A node in this process and blocking clients of it, over real sockets on the loopback.
#pragma once

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

namespace tidemark::cacheserver::io {
namespace asio = boost::asio;

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

}  // namespace tidemark::cacheserver::io
