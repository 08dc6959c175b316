// A RESP server inside a test's own io_context: every request goes to a function that answers with RESP bytes.
//
// An empty answer leaves the request unanswered. HELLO, AUTH and CLIENT are answered by itself unless
// `answer_handshake` is false. Threads: the io_context's thread. For tests only; listens on 127.0.0.1 and a free port.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/wire/resp_value.h"

namespace tidemark::testing {

class FakeRespServer {
 public:
  using Answer = std::function<std::string(const std::vector<std::string>& request)>;

  FakeRespServer(boost::asio::io_context& context, Answer answer, uint16_t port = 0)
      : answer_(std::move(answer)), acceptor_(context) {
    boost::asio::ip::tcp::endpoint endpoint(boost::asio::ip::make_address("127.0.0.1"), port);
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(boost::asio::socket_base::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen();
    accept();
  }
  ~FakeRespServer() { stop(); }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  int connections_accepted() const { return accepted_; }
  const std::vector<std::vector<std::string>>& requests() const { return requests_; }  // handshakes included
  bool answer_handshake = true;

  // Sends bytes to every open connection: late answers, pushes, rubbish.
  void send(const std::string& bytes) {
    for (auto& connection : connections_) {
      if (connection->socket.is_open()) boost::asio::write(connection->socket, boost::asio::buffer(bytes));
    }
  }
  void close_connections() {
    for (auto& connection : connections_) {
      boost::system::error_code ignored;
      connection->socket.close(ignored);
    }
    connections_.clear();
  }
  void stop() {
    boost::system::error_code ignored;
    if (acceptor_.is_open()) acceptor_.close(ignored);
    close_connections();
  }

 private:
  struct Connection {
    explicit Connection(boost::asio::ip::tcp::socket s) : socket(std::move(s)) {}
    boost::asio::ip::tcp::socket socket;
    std::array<char, 65536> buffer;
    ReplyParser parser;  // a request has the form of an array reply
  };

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, boost::asio::ip::tcp::socket socket) {
      if (error) return;
      ++accepted_;
      auto connection = std::make_shared<Connection>(std::move(socket));
      connections_.push_back(connection);
      read(connection);
      accept();
    });
  }

  void read(std::shared_ptr<Connection> connection) {
    auto& socket = connection->socket;
    socket.async_read_some(boost::asio::buffer(connection->buffer),
                           [this, connection](boost::system::error_code error, size_t count) {
                             if (error || !connection->socket.is_open()) return;
                             connection->parser.feed({connection->buffer.data(), count});
                             serve(*connection);
                             if (connection->socket.is_open()) read(connection);
                           });
  }

  void serve(Connection& connection) {
    while (connection.socket.is_open()) {
      auto value = connection.parser.next();
      if (!value || !*value) return;
      std::vector<std::string> request;
      for (const RespValue& element : (*value)->elements) request.push_back(element.text);
      requests_.push_back(request);
      const std::string reply = is_handshake(request) ? "+OK\r\n" : answer_(request);
      boost::system::error_code ignored;
      if (!reply.empty() && connection.socket.is_open()) {
        boost::asio::write(connection.socket, boost::asio::buffer(reply), ignored);
      }
    }
  }

  bool is_handshake(const std::vector<std::string>& request) const {
    return answer_handshake && (request[0] == "HELLO" || request[0] == "AUTH" || request[0] == "CLIENT");
  }

  Answer answer_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::list<std::shared_ptr<Connection>> connections_;
  std::vector<std::vector<std::string>> requests_;
  int accepted_ = 0;
};

// Runs the context until the condition holds; false after five seconds, far beyond any healthy run.
template <typename Condition>
bool run_until(boost::asio::io_context& context, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!condition()) {
    context.restart();
    context.run_one_for(std::chrono::milliseconds(100));
    if (std::chrono::steady_clock::now() > end) return condition();
  }
  return true;
}

}  // namespace tidemark::testing
