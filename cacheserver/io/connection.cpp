#include "cacheserver/io/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tidemark::cacheserver::io {

Connection::Connection(int socket, int epoll, Worker& worker, SharedBuffers& buffers, std::string peer_address,
                       std::string local_address, Instant now)
    : socket_(socket),
      epoll_(epoll),
      worker_(worker),
      buffers_(buffers),
      machine_(worker, std::move(peer_address), std::move(local_address), now) {}

Connection::~Connection() {
  end_value();
  ::close(socket_);
}  // which also takes it out of the epoll set

bool Connection::register_events() {
  interest_ = EPOLLIN;
  epoll_event event{.events = interest_, .data = {.ptr = this}};
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event) == 0;
}

void Connection::update_interest() {
  bool reads = !is_paused_ && !is_draining_ && !holds_reads_ && !machine_.session().is_closing;
  uint32_t wanted = (reads ? uint32_t{EPOLLIN} : 0u) | (has_output() ? uint32_t{EPOLLOUT} : 0u);
  if (wanted == interest_) return;
  interest_ = wanted;
  epoll_event event{.events = interest_, .data = {.ptr = this}};
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket_, &event);
}

void Connection::stop_reading() {
  is_draining_ = true;
  update_interest();
}

Connection::Receipt Connection::receive(Instant now, UnixMillis unix_now) {
  if (machine_.is_waiting()) {
    holds_reads_ = true;
    update_interest();
    return Receipt::kServed;
  }
  if (is_inside_value()) {
    return receive_value(now, unix_now) ? Receipt::kServed : Receipt::kOver;
  }
  const bool is_own = !input_.empty();  // an incomplete request
  const ssize_t received = is_own ? receive_into_own() : receive_into_shared();
  if (received < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Receipt::kServed : Receipt::kOver;
  }
  if (received == 0) return Receipt::kOver;
  worker_.view().stats().bytes_in.add(static_cast<uint64_t>(received));
  machine_.session().bytes_in += static_cast<uint64_t>(received);
  if (is_own) return run_input(input_, now, unix_now) ? Receipt::kServed : Receipt::kOver;
  machine_.prepare(round_input_);
  return Receipt::kReady;
}

ssize_t Connection::receive_into_shared() {
  char* begin = buffers_.input.data() + buffers_.input_used;
  // Of a large request, only the beginning comes here: the rest is received where it is put together.
  const size_t room = expects_large_ ? SharedBuffers::kProbeBytes : SharedBuffers::kReadBytes;
  const ssize_t received = ::recv(socket_, begin, room, 0);
  if (received <= 0) return received;
  buffers_.input_used += static_cast<size_t>(received);
  round_input_ = {begin, static_cast<size_t>(received)};
  return received;
}

// A large value is received where the request is put together, in large pieces and not beyond its end.
ssize_t Connection::receive_into_own() {
  const size_t have = input_.size(), wanted = machine_.bytes_wanted();
  const bool is_large = wanted > SharedBuffers::kReadBytes && wanted > have;
  const size_t room = is_large ? std::min(wanted - have, SharedBuffers::kOwnReadBytesMax) : SharedBuffers::kReadBytes;
  if (is_large && input_.capacity() < wanted) input_.reserve(wanted);
  ssize_t received = 0;
  int error = 0;
  input_.resize_and_overwrite(have + room, [&](char* data, size_t) {
    received = ::recv(socket_, data + have, room, 0);
    error = errno;
    return have + (received > 0 ? static_cast<size_t>(received) : 0);
  });
  errno = error;
  return received;
}

// The value goes where it will stay, what is behind it to the request's beginning. False: the connection is over.
bool Connection::receive_value(Instant now, UnixMillis unix_now) {
  std::array<char, SharedBuffers::kBehindValueBytes> behind;
  const size_t missing = value_bytes_ - value_received_;
  std::array<iovec, 2> pieces = {{{.iov_base = value_->data() + value_received_, .iov_len = missing},
                                  {.iov_base = behind.data(), .iov_len = behind.size()}}};
  const ssize_t received = ::readv(socket_, pieces.data(), static_cast<int>(pieces.size()));
  if (received < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (received == 0) return false;
  const auto bytes = static_cast<size_t>(received);
  worker_.view().stats().bytes_in.add(bytes);
  machine_.session().bytes_in += bytes;
  machine_.session().last_active_at = now;
  value_received_ += std::min(bytes, missing);
  machine_.session().query_buffer_bytes = input_.size() + value_received_;
  if (value_received_ < value_bytes_) return true;
  machine_.supply({value_->data(), value_bytes_});
  input_.append(behind.data(), bytes - missing);
  return run_input(input_, now, unix_now);
}

// input_ has just been kept. If it ends inside of a large value, that moves to where it will stay.
void Connection::begin_value(size_t bytes, Instant now) {
  const size_t before = machine_.bytes_before_value();
  value_ = worker_.keyspace().begin_receive(bytes, now);
  if (value_ == nullptr) return;
  value_bytes_ = bytes;
  value_received_ = std::min(bytes, input_.size() - before);
  std::memcpy(value_->data(), input_.data() + before, value_received_);
  input_.erase(before, value_received_);
  if (value_received_ == value_bytes_) machine_.supply({value_->data(), value_bytes_});
}

void Connection::end_value() {
  if (value_ != nullptr) worker_.keyspace().end_receive(std::exchange(value_, nullptr));
}

void Connection::run(Instant now, UnixMillis unix_now) {
  replies_begin_ = buffers_.replies.bytes().size();
  round_outcome_ = machine_.run_prepared(round_input_, buffers_.replies, now, unix_now);
  replies_end_ = buffers_.replies.bytes().size();
}

bool Connection::reply(Instant now, UnixMillis unix_now) {
  if (!send_replies(buffers_.replies, replies_begin_, replies_end_)) return false;
  check_pause();
  const std::string_view rest = std::exchange(round_input_, {});
  if (round_outcome_ == SessionMachine::Outcome::kOutputFull && !is_paused_) return run_input(rest, now, unix_now);
  if (!settle(round_outcome_, rest, now)) return false;
  return !is_inside_value() || is_paused_ || receive_value(now, unix_now);  // the rest has likely arrived
}

bool Connection::on_writable(Instant now, UnixMillis unix_now) {
  if (!flush_output()) return false;
  if (is_paused_ && output_.bytes() <= worker_.view().config().output_pause_bytes / 2) {
    is_paused_ = false;
    if (!input_.empty() || machine_.has_pending()) return run_input(input_, now, unix_now);
  }
  if (machine_.session().is_closing && !has_output()) return false;
  update_interest();
  return true;
}

bool Connection::on_answered(Instant now, UnixMillis unix_now) {
  holds_reads_ = false;
  return run_input(input_, now, unix_now);
}

// Runs the requests in `input` (a view of the shared buffer or of input_) and keeps what is left of it.
bool Connection::run_input(std::string_view input, Instant now, UnixMillis unix_now) {
  ReplyBuffer& replies = buffers_.own_replies;
  auto outcome = SessionMachine::Outcome::kOutputFull;
  while (outcome == SessionMachine::Outcome::kOutputFull && !is_paused_) {
    outcome = machine_.advance(input, replies, now, unix_now);
    const bool is_alive = send_replies(replies, 0, replies.bytes().size());
    SharedBuffers::clear(replies);
    if (!is_alive) return false;
    check_pause();
  }
  return settle(outcome, input, now);
}

bool Connection::settle(SessionMachine::Outcome outcome, std::string_view rest, Instant now) {
  if (value_received_ == value_bytes_ && !machine_.has_supplied()) end_value();  // its request has run
  if (outcome == SessionMachine::Outcome::kClosing) {
    input_.clear();
    if (!has_output()) return false;
  } else if (!keep_input(rest, now)) {
    return false;
  }
  update_interest();
  return true;
}

void Connection::check_pause() {
  is_paused_ = output_.bytes() > worker_.view().config().output_pause_bytes;
  if (is_paused_) worker_.view().stats().reads_paused.add();
}

bool Connection::keep_input(std::string_view rest, Instant now) {
  const size_t value_bytes = rest.empty() || value_ != nullptr ? 0 : machine_.value_bytes();
  if (!input_.empty()) {  // `rest` is its end
    input_.erase(0, input_.size() - rest.size());
  } else {
    begin_input(rest, value_bytes > 0);
  }
  if (value_bytes > 0) begin_value(value_bytes, now);
  if (input_.empty()) end_input();
  const size_t bytes = input_.size() + (value_ != nullptr ? value_received_ : 0);
  machine_.session().query_buffer_bytes = bytes;
  if (bytes <= worker_.view().config().query_buffer_bytes_max) return true;
  worker_.view().stats().connections_killed_query.add();
  return false;
}

void Connection::begin_input(std::string_view rest, bool goes_elsewhere) {
  expects_large_ = !rest.empty() && machine_.bytes_wanted() > SharedBuffers::kReadBytes;
  if (expects_large_ && !goes_elsewhere) {
    std::swap(input_, buffers_.spare);
    input_.clear();
    input_.reserve(machine_.bytes_wanted());
  }
  if (!rest.empty()) input_.assign(rest);
}

void Connection::end_input() {
  if (input_.capacity() <= SharedBuffers::kReadBytes) return;
  if (input_.capacity() <= SharedBuffers::kSpareBytesMax) std::swap(input_, buffers_.spare);
  std::string().swap(input_);
}

// Replies [begin, end) of the buffer's bytes, with the values that are pinned in it.
bool Connection::send_replies(ReplyBuffer& replies, size_t begin, size_t end) {
  if (begin == end) return true;
  const size_t waiting = output_.bytes();
  size_t sent = 0;
  if (waiting == 0 && replies.pinned().empty()) {
    const ssize_t taken = ::send(socket_, replies.bytes().data() + begin, end - begin, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return false;
    sent = taken < 0 ? 0 : static_cast<size_t>(taken);
  }
  if (sent < end - begin) output_.add(replies, begin + sent, end);
  const size_t bytes = sent + output_.bytes() - waiting;
  worker_.view().stats().bytes_out.add(bytes);
  machine_.session().bytes_out += bytes;
  if (waiting == 0 && !replies.pinned().empty() && !output_.send(socket_)) return false;
  return is_output_allowed();
}

bool Connection::is_output_allowed() {
  machine_.session().output_buffer_bytes = output_.bytes();
  if (output_.bytes() <= worker_.view().config().output_buffer_bytes_max) return true;
  worker_.view().stats().connections_killed_output.add();
  return false;
}

bool Connection::flush_output() {
  if (!output_.send(socket_)) return false;
  machine_.session().output_buffer_bytes = output_.bytes();
  return true;
}

}  // namespace tidemark::cacheserver::io
