// One libpq connection of a move: blocking questions, questions asked now and read later, COPY and the replication
// stream.
//
// Sessions of a move must not hold anything while their process sleeps: connect() sets
// idle_in_transaction_session_timeout and, over TCP, tcp_user_timeout; synchronous_commit is on. Errors name the server
// and start with the SQLSTATE. Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shardrouter/sql/statement.h"

struct pg_conn;
struct pg_result;

namespace tidemark::shards {

using Params = std::vector<std::optional<std::string>>;

class PgLink {
 public:
  static constexpr const char* kIdleInTransactionMax = "1s";
  static constexpr const char* kStatementTimeout = "60s";

  enum class Kind : uint8_t { kSql, kReplication };
  static Result<PgLink> connect(std::string name, const std::string& conninfo, Kind kind = Kind::kSql);

  Result<shardrouter::ResultSet> query(const std::string& sql, const Params& params = {});
  Result<std::string> value(const std::string& sql, const Params& params = {});  // first cell; NULL or no row: ""
  Status run(const std::string& sql, const Params& params = {});
  Result<shardrouter::ResultSet> script(
      const std::string& sql);  // simple protocol: many statements, or a replication command

  // Asked now, read later.
  Status send(const std::string& sql);
  Result<shardrouter::ResultSet> receive();

  std::string quote(std::string_view identifier);
  std::string quote_text(std::string_view text);
  int backend_pid() const;
  int socket() const;
  pg_conn* raw() const { return connection_.get(); }

  // Of a result the connection gave; takes it over.
  Result<shardrouter::ResultSet> read(pg_result* result);
  Error error() const;  // of the connection

 private:
  struct Closer {
    void operator()(pg_conn* connection) const;
  };
  PgLink(std::string name, pg_conn* connection) : name_(std::move(name)), connection_(connection) {}
  std::string name_;
  std::unique_ptr<pg_conn, Closer> connection_;
};

// Waits until one of the sockets can be read, at most `timeout_ms`.
void wait_readable(std::initializer_list<int> sockets, int timeout_ms);

// "SH001 bucket …" -> "SH001"; empty if the message does not start with one.
std::string sqlstate_of(const Error& error);

}  // namespace tidemark::shards
