// One pipelined RESP connection to one server address, on Asio.
//
// Requests are written in call order and answered in that order. The link connects by itself on the first request and
// reconnects on the next one after a failure (an idle connection closed by the server is no failure). A request that
// passes its deadline is completed with kDeadlineExceeded at once; its reply, when it still comes, is read and dropped
// (or, with `wants_late_reply`, given to the same handler as a second answer).
// Requests not yet written fail with kUnavailable, those written without an answer with kOutcomeUnknown.
// While it waits to reconnect after a failed connect (reconnect_delay, doubled), requests are refused with kUnavailable at
// once. Wrong credentials are kUnauthenticated. A link on which requests time out and nothing is read for 2 s is closed.
// Threads: every member is called on the io_context's thread; handlers run there, never inside the call that queued them.
// Lifetime: dropping the last reference closes it; that must happen before the io_context ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/wire/resp_value.h"

namespace boost::asio {
class io_context;
}

namespace tidemark::io {

class RespLink {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    uint16_t port = 0;
    std::string user{};      // empty: no AUTH is sent
    std::string password{};
    std::string client_name = "tidemark";
    bool resp3 = true;
    Duration connect_timeout = std::chrono::milliseconds(500);
    size_t in_flight_max = 65536;              // more are refused with kResourceExhausted
    size_t queued_bytes_max = 64u << 20;       // likewise
    Duration reconnect_delay = std::chrono::milliseconds(50);   // doubled per failure up to the next
    Duration reconnect_delay_max = std::chrono::seconds(1);
  };
  using Handler = std::move_only_function<void(Result<RespValue>)>;  // error replies arrive as values (is_error())

  static std::shared_ptr<RespLink> create(boost::asio::io_context& context, Options options);
  virtual ~RespLink() = default;

  // `request` holds exactly one encoded request. `timeout` counts from now.
  virtual void send(std::string request, Duration timeout, Handler handler, bool wants_late_reply = false) = 0;
  virtual bool is_connected() const = 0;
  virtual size_t in_flight() const = 0;
  // Fails everything pending with kUnavailable / kOutcomeUnknown and closes.
  virtual void close() = 0;
};

}  // namespace tidemark::io
