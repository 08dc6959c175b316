// A cache worker reduced to what PROTOCOL.md asks of it towards the invalidator, which remembers everything it was told
// and breaks the protocol's rules to nobody. It can lose its connection, its memory, or its voice.
//
// Threads: the io_context's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/proof/pg_snapshot.h"
#include "base/wire/resp_value.h"
#include "base/wire/resp_writer.h"
#include "replication/wal/invalidation_batch.h"

namespace tidemark::replication {

class FakeNode {
 public:
  struct Applied {
    Xid xid = 0;
    Lsn end_lsn;
    std::vector<std::string> keys;
    bool is_replay = false;
  };

  explicit FakeNode(boost::asio::io_context& context)
      : acceptor_(context, {boost::asio::ip::make_address("127.0.0.1"), 0}) {
    accept();
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void lose_connections() {
    for (auto& weak : connections_) {
      if (auto connection = weak.lock()) connection->socket.close();
    }
    connections_.clear();
  }
  void lose_memory() {
    is_joined = false;
    complete_through = settled = {};
  }

  bool is_joined = false;
  DbEpoch db_epoch = 0;
  Lsn complete_through;
  Lsn settled;
  uint64_t last_echo = 0;
  uint64_t stamp = 1000;       // counts answers: an echo of s proves that answer s had arrived
  bool drops_batches = false;  // reads INVALB and closes the connection without applying: the lost batch of F1
  std::vector<Applied> applied;
  std::vector<Lsn> joined_at;
  std::string user;
  std::vector<std::string> violations;

 private:
  struct Connection {
    explicit Connection(boost::asio::ip::tcp::socket s) : socket(std::move(s)) {}
    boost::asio::ip::tcp::socket socket;
    ReplyParser parser;
    char buffer[65536];
  };

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, boost::asio::ip::tcp::socket socket) {
      if (error) return;
      auto connection = std::make_shared<Connection>(std::move(socket));
      connections_.push_back(connection);
      read(connection);
      accept();
    });
  }

  void read(const std::shared_ptr<Connection>& connection) {
    connection->socket.async_read_some(
        boost::asio::buffer(connection->buffer), [this, connection](boost::system::error_code error, size_t size) {
          if (error) return;
          connection->parser.feed({connection->buffer, size});
          std::string out;
          for (auto request = connection->parser.next(); request && *request; request = connection->parser.next()) {
            if (!answer(**request, out)) return connection->socket.close();
          }
          boost::system::error_code ignored;
          boost::asio::write(connection->socket, boost::asio::buffer(out), ignored);
          read(connection);
        });
  }

  // False: close the connection instead of answering.
  bool answer(const RespValue& request, std::string& out) {
    std::vector<std::string_view> words;
    for (const RespValue& element : request.elements) words.push_back(element.text);
    RespWriter writer(out, 2);
    if (words[0] == "HELLO") {
      for (size_t i = 0; i + 2 < words.size(); ++i) {
        if (words[i] == "AUTH") user = words[i + 1];
      }
      writer.map(0);
    } else if (words[0] == "TIDE") {
      tide(writer);
    } else if (words[0] == "FENCEALL") {
      is_joined = true;
      db_epoch = static_cast<DbEpoch>(std::stoul(std::string(words[2])));
      complete_through = *Lsn::parse(words[4]);
      settled = {};
      joined_at.push_back(complete_through);
      done(writer);
    } else if (words[0] == "INVALB" && drops_batches) {
      return false;
    } else if (words[0] == "INVALB" || words[0] == "FENCE") {
      chained(words, writer);
    } else {
      writer.ok();
    }
    return true;
  }

  void tide(RespWriter& writer) {
    writer.array(is_joined ? 1 : 0);
    if (!is_joined) return;
    writer.array(6);
    writer.integer(0);
    writer.integer(db_epoch);
    writer.bulk(complete_through.to_string());
    writer.bulk("0/0");
    writer.bulk("0/0");
    writer.integer(-1);
  }

  void chained(const std::vector<std::string_view>& words, RespWriter& writer) {
    Lsn prev = *Lsn::parse(words[4]), last = *Lsn::parse(words[5]);
    if (!is_joined) return writer.error("GAP 0/0");
    if (words[2] != std::to_string(db_epoch)) return writer.error("EPOCH " + std::to_string(db_epoch));
    if (prev > complete_through) return writer.error("GAP " + complete_through.to_string());
    bool more = false;
    if (words[0] == "INVALB") {
      auto batch = decode_invalb(std::span(words).subspan(1));
      if (!batch) {
        violations.push_back(batch.error().message);
        return writer.error("ERR " + batch.error().message);
      }
      more = batch->has_more;
      if (batch->part > 0 && batch->part != next_part_) return writer.error("GAP " + complete_through.to_string());
      next_part_ = more ? batch->part + 1 : 0;
      for (auto& t : batch->transactions) {
        applied.push_back({t.xid, t.end_lsn, {t.keys.begin(), t.keys.end()}, batch->is_replay});
        if (t.end_lsn > last) violations.push_back("a transaction beyond its batch");
      }
    } else {
      if (*Lsn::parse(words[6]) > last) violations.push_back("settled beyond the fence");
      settled = std::max(settled, *Lsn::parse(words[6]));
      last_echo = std::stoull(std::string(words[8]));
      if (last_echo > stamp) violations.push_back("an echo of a stamp never given");
    }
    if (!more) complete_through = std::max(complete_through, last);
    done(writer);
  }

  void done(RespWriter& writer) {
    writer.array(2);
    writer.bulk(complete_through.to_string());
    writer.bulk_integer(static_cast<int64_t>(++stamp));
  }

  uint32_t next_part_ = 0;  // of a batch under way
  boost::asio::ip::tcp::acceptor acceptor_;
  std::vector<std::weak_ptr<Connection>> connections_;
};

}  // namespace tidemark::replication
