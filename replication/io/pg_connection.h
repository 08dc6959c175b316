// One libpq connection to one Postgres server on Asio: queries one after the other, or the copy-both mode of a
// replication connection.
//
// A connection that fails in any way (lost, a query past its deadline, garbage) is over: what was queued gets the
// error, on_closed() is called once, and a new object is made for the next try. An SQL error does not end it. Threads:
// every member on the io_context's thread; handlers run there, never inside the call that queued them. Limits:
// kQueriesMax queued; kBurstMax copy messages per turn of the loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::replication::io {

using PgRow = std::vector<std::optional<std::string>>;
using PgRows = std::vector<PgRow>;

class PgConnection {
 public:
  static constexpr size_t kQueriesMax = 64;
  static constexpr size_t kBurstMax = 4096;

  struct Options {
    std::string conninfo;  // libpq keywords; what follows wins
    std::string user;
    std::string passfile;  // empty: libpq's default
    std::string application_name;
    bool is_replication = false;
    Duration connect_timeout = std::chrono::seconds(2);
  };
  struct CopyEvents {
    std::function<void(std::string_view message)> on_data;
    std::function<void()> on_burst_end;  // nothing more has arrived for now
  };
  using RowsHandler = std::move_only_function<void(Result<PgRows>)>;
  using StatusHandler = std::move_only_function<void(Status)>;

  static std::shared_ptr<PgConnection> create(boost::asio::io_context& context, Options options);
  virtual ~PgConnection() = default;

  virtual void connect(StatusHandler handler) = 0;
  // SQL errors: kInternal (42501: kUnauthenticated; 55006: kUnavailable; class SH: kFailedPrecondition), the message
  // starts with the SQLSTATE. Without an answer in time the connection is over.
  virtual void query(std::string sql, Duration timeout, RowsHandler handler) = 0;

  // Sends a command that starts copy-both mode (START_REPLICATION).
  virtual void start_copy(std::string command, Duration timeout, CopyEvents events, StatusHandler handler) = 0;
  virtual void send_copy(std::string_view message) = 0;
  // While paused nothing is read, so the server waits too.
  virtual void pause_copy(bool is_paused) = 0;

  virtual void on_closed(std::function<void(Error)> handler) = 0;
  virtual int backend_pid() const = 0;  // of the server's process; 0 before connect()
  // Ends the connection without calling anybody.
  virtual void close() = 0;
};

// 'text' with its quotes doubled.
std::string quote_literal(std::string_view text);

}  // namespace tidemark::replication::io
