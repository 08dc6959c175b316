#include "base/io/resp_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <queue>

#include "base/io/system_clock.h"

namespace tidemark::io {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kWriteBatchBytes = 256u << 10;  // one write gathers requests up to about this many bytes
constexpr Duration kSilentMax =
    std::chrono::seconds(2);               // requests time out and nothing at all was read: close the link
constexpr size_t kExpiryHeapSlack = 1024;  // finished requests the heap may hold beside as many live ones

struct Request {
  std::string bytes;  // empty once written
  Instant deadline;
  RespLink::Handler handler;  // empty once answered
  bool wants_late_reply = false;
  RespLink::Handler late{};  // answered by its deadline, written, and still waiting for the reply itself
};
using RequestPtr = std::shared_ptr<Request>;

struct LaterDeadline {
  bool operator()(const RequestPtr& a, const RequestPtr& b) const { return a->deadline > b->deadline; }
};

// States: down -> connecting -> (handshake) -> up -> down. `epoch_` changes whenever the socket is closed; a completion
// of an older epoch belongs to a dead connection and does nothing.
class LinkCore : public std::enable_shared_from_this<LinkCore> {
 public:
  LinkCore(asio::io_context& context, RespLink::Options options)
      : context_(context),
        options_(std::move(options)),
        name_(fmt::format("{}:{}", options_.host, options_.port)),
        resolver_(context),
        socket_(context),
        connect_timer_(context),
        expiry_timer_(context) {}

  void send(std::string bytes, Duration timeout, RespLink::Handler handler, bool wants_late_reply);
  bool is_up() const { return state_ == State::kUp; }
  size_t in_flight() const { return queue_.size() + sent_.size(); }
  void close();

 private:
  enum class State { kDown, kConnecting, kUp };

  void complete_later(RespLink::Handler handler, Error error);
  std::optional<Error> refusal(size_t bytes) const;
  void connect();
  void on_resolved(tcp::resolver::results_type endpoints);
  void on_connected();
  void send_handshake();
  void on_handshake(const RespValue& reply);
  void schedule_flush();
  void flush();
  void read();
  bool on_bytes(size_t count);
  bool on_reply(RespValue reply);
  void break_link(ErrorCode unsent, const std::string& why);
  void arm_expiry();
  void expire();

  asio::io_context& context_;
  const RespLink::Options options_;
  const std::string name_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  asio::steady_timer connect_timer_;
  asio::steady_timer expiry_timer_;

  State state_ = State::kDown;
  uint64_t epoch_ = 0;
  bool is_closed_ = false;
  bool is_writing_ = false;
  bool is_flush_scheduled_ = false;
  size_t handshake_replies_ = 0;  // still expected
  int failures_ = 0;              // in a row; a real answer ends the row
  Instant connect_not_before_{};
  Instant last_read_{};
  std::string last_error_;

  std::deque<RequestPtr> queue_;  // not yet written
  std::deque<RequestPtr> sent_;   // written, in the order of their replies; an answered one still awaits its reply
  size_t queued_bytes_ = 0;
  std::string write_buffer_;
  std::array<char, kReadBytes> read_buffer_;
  ReplyParser parser_;

  std::vector<RequestPtr> expiry_;  // heap by deadline, with finished ones among them
  Instant expiry_armed_for_{};      // zero: the timer is not running
};

void LinkCore::complete_later(RespLink::Handler handler, Error error) {
  asio::post(context_, [handler = std::move(handler), error = std::move(error)]() mutable {
    handler(std::unexpected(std::move(error)));
  });
}

std::optional<Error> LinkCore::refusal(size_t bytes) const {
  if (is_closed_) return Error{ErrorCode::kUnavailable, name_ + ": the link was closed"};
  if (in_flight() >= options_.in_flight_max) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("{}: {} requests are in flight, the limit", name_, options_.in_flight_max)};
  }
  if (queued_bytes_ + bytes > options_.queued_bytes_max) {
    return Error{ErrorCode::kResourceExhausted, fmt::format("{}: {} bytes wait to be written, the limit is {}", name_,
                                                            queued_bytes_ + bytes, options_.queued_bytes_max)};
  }
  if (state_ == State::kDown && steady_now() < connect_not_before_) {
    return Error{ErrorCode::kUnavailable, fmt::format("{}: waiting to reconnect after: {}", name_, last_error_)};
  }
  return std::nullopt;
}

void LinkCore::send(std::string bytes, Duration timeout, RespLink::Handler handler, bool wants_late_reply) {
  if (auto error = refusal(bytes.size())) return complete_later(std::move(handler), std::move(*error));
  auto request = std::make_shared<Request>(
      Request{std::move(bytes), steady_now() + timeout, std::move(handler), wants_late_reply});
  queued_bytes_ += request->bytes.size();
  queue_.push_back(request);
  expiry_.push_back(std::move(request));
  std::push_heap(expiry_.begin(), expiry_.end(), LaterDeadline());
  arm_expiry();
  if (state_ == State::kDown) connect();
  schedule_flush();
}

void LinkCore::connect() {
  state_ = State::kConnecting;
  connect_timer_.expires_after(options_.connect_timeout);
  connect_timer_.async_wait([self = shared_from_this(), epoch = epoch_](error_code error) {
    if (!error && epoch == self->epoch_ && self->state_ == State::kConnecting) {
      self->break_link(ErrorCode::kUnavailable, "connect timed out");
    }
  });
  error_code not_an_address;
  auto address = asio::ip::make_address(options_.host, not_an_address);
  if (!not_an_address) {
    return on_resolved(tcp::resolver::results_type::create(tcp::endpoint(address, options_.port), options_.host, ""));
  }
  resolver_.async_resolve(options_.host, std::to_string(options_.port),
                          [self = shared_from_this(), epoch = epoch_](error_code error, auto endpoints) {
                            if (epoch != self->epoch_) return;
                            if (error) return self->break_link(ErrorCode::kUnavailable, "resolve: " + error.message());
                            self->on_resolved(std::move(endpoints));
                          });
}

void LinkCore::on_resolved(tcp::resolver::results_type endpoints) {
  asio::async_connect(socket_, endpoints, [self = shared_from_this(), epoch = epoch_](error_code error, const auto&) {
    if (epoch != self->epoch_) return;
    if (error) return self->break_link(ErrorCode::kUnavailable, "connect: " + error.message());
    self->on_connected();
  });
}

void LinkCore::on_connected() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  parser_ = ReplyParser();
  last_read_ = steady_now();
  send_handshake();
  read();
}

// HELLO and friends go out first; requests are written only when all of them were answered, so that nothing is sent to
// a server that does not accept us.
void LinkCore::send_handshake() {
  const bool with_auth = !options_.user.empty() || !options_.password.empty();
  const std::string user = options_.user.empty() ? "default" : options_.user;
  write_buffer_.clear();
  handshake_replies_ = 0;
  auto add = [this](std::initializer_list<std::string_view> request) {
    append_request(write_buffer_, {request.begin(), request.size()});
    ++handshake_replies_;
  };
  if (options_.resp3 && with_auth) {
    add({"HELLO", "3", "AUTH", user, options_.password, "SETNAME", options_.client_name});
  } else if (options_.resp3) {
    add({"HELLO", "3", "SETNAME", options_.client_name});
  } else {
    if (with_auth) add({"AUTH", user, options_.password});
    add({"CLIENT", "SETNAME", options_.client_name});
  }
  is_writing_ = true;
  asio::async_write(socket_, asio::buffer(write_buffer_),
                    [self = shared_from_this(), epoch = epoch_](error_code error, size_t) {
                      if (epoch != self->epoch_) return;
                      self->is_writing_ = false;
                      if (error) return self->break_link(ErrorCode::kUnavailable, "write: " + error.message());
                      self->schedule_flush();
                    });
}

void LinkCore::on_handshake(const RespValue& reply) {
  if (reply.is_error()) {
    const bool is_auth =
        reply.text.starts_with("WRONGPASS") || reply.text.starts_with("NOAUTH") || reply.text.starts_with("NOPERM");
    return break_link(is_auth ? ErrorCode::kUnauthenticated : ErrorCode::kUnavailable, "handshake: " + reply.text);
  }
  if (--handshake_replies_ > 0) return;
  state_ = State::kUp;
  connect_timer_.cancel();
  schedule_flush();
}

// Requests made in one turn of the loop are written together.
void LinkCore::schedule_flush() {
  if (is_flush_scheduled_ || is_writing_ || state_ != State::kUp || queue_.empty()) return;
  is_flush_scheduled_ = true;
  asio::post(context_, [self = shared_from_this()] {
    self->is_flush_scheduled_ = false;
    self->flush();
  });
}

void LinkCore::flush() {
  if (is_writing_ || state_ != State::kUp) return;
  write_buffer_.clear();
  while (!queue_.empty() && write_buffer_.size() < kWriteBatchBytes) {
    RequestPtr request = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= request->bytes.size();
    if (!request->handler) continue;  // its deadline passed before it was written
    write_buffer_ += request->bytes;
    request->bytes = std::string();
    sent_.push_back(std::move(request));
  }
  if (write_buffer_.empty()) return;
  is_writing_ = true;
  asio::async_write(socket_, asio::buffer(write_buffer_),
                    [self = shared_from_this(), epoch = epoch_](error_code error, size_t) {
                      if (epoch != self->epoch_) return;
                      self->is_writing_ = false;
                      if (error) return self->break_link(ErrorCode::kUnavailable, "write: " + error.message());
                      self->schedule_flush();
                    });
}

void LinkCore::read() {
  socket_.async_read_some(
      asio::buffer(read_buffer_), [self = shared_from_this(), epoch = epoch_](error_code error, size_t count) {
        if (epoch != self->epoch_) return;
        if (error) {
          return self->break_link(ErrorCode::kUnavailable,
                                  error == asio::error::eof ? "closed by the server" : "read: " + error.message());
        }
        if (self->on_bytes(count)) self->read();
      });
}

// False: the connection is gone (a handler may close it).
bool LinkCore::on_bytes(size_t count) {
  const uint64_t epoch = epoch_;
  last_read_ = steady_now();
  parser_.feed({read_buffer_.data(), count});
  while (true) {
    auto reply = parser_.next();
    if (!reply) {
      break_link(ErrorCode::kUnavailable, reply.error().message);
      return false;
    }
    if (!*reply) return true;
    if (!on_reply(std::move(**reply)) || epoch != epoch_) return false;
  }
}

bool LinkCore::on_reply(RespValue reply) {
  if (reply.kind == RespValue::Kind::kPush) return true;  // out of band; this link subscribes to nothing
  if (handshake_replies_ > 0) {
    on_handshake(reply);
    return state_ != State::kDown;
  }
  if (sent_.empty()) {
    break_link(ErrorCode::kUnavailable, "a reply that nobody asked for");
    return false;
  }
  failures_ = 0;
  RequestPtr request = std::move(sent_.front());
  sent_.pop_front();
  if (request->handler) {
    std::exchange(request->handler, nullptr)(std::move(reply));
  } else if (request->late) {
    std::exchange(request->late, nullptr)(std::move(reply));
  }
  return true;
}

// Closes the socket and fails everything: what was written may have been done.
void LinkCore::break_link(ErrorCode unsent, const std::string& why) {
  const bool was_idle = state_ == State::kUp && sent_.empty() && queue_.empty();
  ++epoch_;
  state_ = State::kDown;
  is_writing_ = false;
  handshake_replies_ = 0;
  error_code ignored;
  socket_.close(ignored);
  resolver_.cancel();
  connect_timer_.cancel();
  last_error_ = why;
  if (!was_idle) {
    Duration delay = options_.reconnect_delay * (1 << std::min(failures_, 16));
    connect_not_before_ = steady_now() + std::min(delay, options_.reconnect_delay_max);
    ++failures_;
  }
  for (RequestPtr& request : std::exchange(sent_, {})) {
    if (!request->handler) continue;
    complete_later(std::exchange(request->handler, nullptr),
                   {ErrorCode::kOutcomeUnknown, fmt::format("{}: {}; the request had been written", name_, why)});
  }
  for (RequestPtr& request : std::exchange(queue_, {})) {
    if (!request->handler) continue;
    complete_later(std::exchange(request->handler, nullptr), {unsent, fmt::format("{}: {}", name_, why)});
  }
  queued_bytes_ = 0;
}

void LinkCore::close() {
  is_closed_ = true;
  break_link(ErrorCode::kUnavailable, "the link was closed");
  expiry_timer_.cancel();
  expiry_.clear();
}

void LinkCore::arm_expiry() {
  if (expiry_.size() > 2 * in_flight() + kExpiryHeapSlack) {
    std::erase_if(expiry_, [](const RequestPtr& request) { return !request->handler; });
    std::make_heap(expiry_.begin(), expiry_.end(), LaterDeadline());
  }
  while (!expiry_.empty() && !expiry_.front()->handler) {
    std::pop_heap(expiry_.begin(), expiry_.end(), LaterDeadline());
    expiry_.pop_back();
  }
  if (expiry_.empty()) return;
  const Instant next = expiry_.front()->deadline;
  if (expiry_armed_for_ != Instant{} && expiry_armed_for_ <= next) return;  // it will look again when it fires
  expiry_armed_for_ = next;
  expiry_timer_.expires_at(asio::steady_timer::time_point(next.time_since_epoch()));
  expiry_timer_.async_wait([self = shared_from_this(), next](error_code error) {
    if (error || self->is_closed_ || self->expiry_armed_for_ != next) return;
    self->expiry_armed_for_ = Instant{};
    self->expire();
  });
}

void LinkCore::expire() {
  const Instant now = steady_now();
  std::vector<std::pair<RequestPtr, RespLink::Handler>> late;
  while (!expiry_.empty() && (expiry_.front()->deadline <= now || !expiry_.front()->handler)) {
    std::pop_heap(expiry_.begin(), expiry_.end(), LaterDeadline());
    RequestPtr& request = expiry_.back();
    if (request->handler) late.emplace_back(request, std::exchange(request->handler, nullptr));
    expiry_.pop_back();
  }
  if (!late.empty() && !sent_.empty() && now - last_read_ > kSilentMax) {
    break_link(ErrorCode::kUnavailable, "nothing was read for 2 s while requests timed out");
  }
  arm_expiry();
  for (auto& [request, handler] : late) {
    handler(fail(ErrorCode::kDeadlineExceeded, name_ + ": no reply before the deadline"));
    if (request->wants_late_reply && request->bytes.empty()) request->late = std::move(handler);
  }
}

// What callers hold. The core lives on while operations of the socket run; dropping this closes it.
class LinkHandle final : public RespLink {
 public:
  explicit LinkHandle(std::shared_ptr<LinkCore> core) : core_(std::move(core)) {}
  ~LinkHandle() override { core_->close(); }
  void send(std::string request, Duration timeout, Handler handler, bool wants_late_reply) override {
    core_->send(std::move(request), timeout, std::move(handler), wants_late_reply);
  }
  bool is_connected() const override { return core_->is_up(); }
  size_t in_flight() const override { return core_->in_flight(); }
  void close() override { core_->close(); }

 private:
  std::shared_ptr<LinkCore> core_;
};

}  // namespace

std::shared_ptr<RespLink> RespLink::create(asio::io_context& context, Options options) {
  return std::make_shared<LinkHandle>(std::make_shared<LinkCore>(context, std::move(options)));
}

}  // namespace tidemark::io
