// One libpq connection in pipeline mode on Asio: one pipeline at a time.
//
// Statements are prepared once per connection, by their text (at most kPreparedMax; the least recently used goes
// first). After a failed explicit transaction it rolls back before it answers, so an idle connection is always clean.
// A connection that broke, in use or idle, calls on_closed once and is of no further use: make a new one.
//
// libpq resolves host names while connecting, which blocks: give addresses or socket directories.
// Threads: every member on the io_context's thread; handlers run there, never inside the call they were given to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "shardrouter/sql/statement.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::shardrouter {

class PgConnection {
 public:
  static constexpr size_t kPreparedMax = 256;

  struct Options {
    std::string conninfo;                                       // keywords; those below win
    std::vector<std::pair<std::string, std::string>> keywords;  // user, passfile, application_name, …
    Duration connect_timeout = std::chrono::seconds(2);
  };
  using Handler = std::move_only_function<void(Result<std::vector<ResultSet>>)>;

  static std::shared_ptr<PgConnection> create(boost::asio::io_context& context, Options options);
  virtual ~PgConnection() = default;

  // Once. kUnauthenticated for a refused password, else kUnavailable.
  virtual void connect(std::move_only_function<void(Status)> handler) = 0;
  virtual void set_on_closed(std::move_only_function<void(Error)> on_closed) = 0;

  // Requires is_idle(). Errors as in shard_pool.h.
  virtual void run(Pipeline pipeline, Handler handler) = 0;
  virtual bool is_idle() const = 0;
  virtual bool is_open() const = 0;

  // Ends the session at once; a running pipeline fails with kUnavailable or kOutcomeUnknown. on_closed is not called.
  virtual void close() = 0;
};

}  // namespace tidemark::shardrouter
