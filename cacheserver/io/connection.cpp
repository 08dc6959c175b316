#include "cacheserver/io/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
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
  ::close(socket_);
}  // which also takes it out of the epoll set

bool Connection::register_events() {
  interest_ = EPOLLIN;
  epoll_event event{.events = interest_, .data = {.ptr = this}};
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event) == 0;
}

void Connection::update_interest() {
  bool reads = !is_paused_ && !is_draining_ && !machine_.session().is_closing;
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
  char* begin = buffers_.input.data() + buffers_.input_used;
  const ssize_t received = ::recv(socket_, begin, SharedBuffers::kReadBytes, 0);
  if (received < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Receipt::kServed : Receipt::kOver;
  }
  if (received == 0) return Receipt::kOver;
  const auto bytes = static_cast<size_t>(received);
  worker_.view().stats().bytes_in.add(bytes);
  machine_.session().bytes_in += bytes;
  if (!input_.empty()) {
    input_.append(begin, bytes);
    return run_input(input_, now, unix_now) ? Receipt::kServed : Receipt::kOver;
  }
  buffers_.input_used += bytes;
  round_input_ = {begin, bytes};
  machine_.prepare(round_input_);
  return Receipt::kReady;
}

void Connection::run(Instant now, UnixMillis unix_now) {
  replies_begin_ = buffers_.replies.size();
  round_outcome_ = machine_.run_prepared(round_input_, buffers_.replies, now, unix_now);
  replies_end_ = buffers_.replies.size();
}

bool Connection::reply(Instant now, UnixMillis unix_now) {
  const auto replies = std::string_view(buffers_.replies).substr(replies_begin_, replies_end_ - replies_begin_);
  if (!send_replies(replies)) return false;
  check_pause();
  const std::string_view rest = std::exchange(round_input_, {});
  if (round_outcome_ == SessionMachine::Outcome::kOutputFull && !is_paused_) return run_input(rest, now, unix_now);
  return settle(round_outcome_, rest);
}

bool Connection::on_writable(Instant now, UnixMillis unix_now) {
  if (!flush_output()) return false;
  const size_t waiting = output_.size() - output_offset_;
  if (is_paused_ && waiting <= worker_.view().config().output_pause_bytes / 2) {
    is_paused_ = false;
    if (!input_.empty()) return run_input(input_, now, unix_now);
  }
  if (machine_.session().is_closing && !has_output()) return false;
  update_interest();
  return true;
}

// Runs the requests in `input` (a view of the shared buffer or of input_) and keeps what is left of it.
bool Connection::run_input(std::string_view input, Instant now, UnixMillis unix_now) {
  std::string& replies = buffers_.own_replies;
  auto outcome = SessionMachine::Outcome::kOutputFull;
  while (outcome == SessionMachine::Outcome::kOutputFull && !is_paused_) {
    replies.clear();
    outcome = machine_.advance(input, replies, now, unix_now);
    if (!send_replies(replies)) return false;
    if (replies.capacity() > SharedBuffers::kReplyBytesKept) std::string().swap(replies);
    check_pause();
  }
  return settle(outcome, input);
}

bool Connection::settle(SessionMachine::Outcome outcome, std::string_view rest) {
  if (outcome == SessionMachine::Outcome::kClosing) {
    input_.clear();
    if (!has_output()) return false;
  } else if (!keep_input(rest)) {
    return false;
  }
  update_interest();
  return true;
}

void Connection::check_pause() {
  is_paused_ = has_output() && output_.size() - output_offset_ > worker_.view().config().output_pause_bytes;
  if (is_paused_) worker_.view().stats().reads_paused.add();
}

bool Connection::keep_input(std::string_view rest) {
  const bool is_own = !input_.empty();  // then `rest` is the end of input_
  if (is_own) {
    input_.erase(0, input_.size() - rest.size());
  } else if (!rest.empty()) {
    input_.assign(rest);
  }
  if (input_.empty() && input_.capacity() > SharedBuffers::kReadBytes) std::string().swap(input_);
  machine_.session().query_buffer_bytes = input_.size();
  if (input_.size() <= worker_.view().config().query_buffer_bytes_max) return true;
  worker_.view().stats().connections_killed_query.add();
  return false;
}

bool Connection::send_replies(std::string_view replies) {
  if (replies.empty()) return true;
  worker_.view().stats().bytes_out.add(replies.size());
  machine_.session().bytes_out += replies.size();
  size_t sent = 0;
  if (!has_output()) {
    ssize_t bytes = ::send(socket_, replies.data(), replies.size(), MSG_NOSIGNAL);
    if (bytes < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return false;
    sent = bytes < 0 ? 0 : static_cast<size_t>(bytes);
  }
  return sent == replies.size() || keep_output(replies.substr(sent));
}

bool Connection::keep_output(std::string_view rest) {
  if (output_offset_ > 0) {
    output_.erase(0, output_offset_);
    output_offset_ = 0;
  }
  output_.append(rest);
  machine_.session().output_buffer_bytes = output_.size();
  if (output_.size() <= worker_.view().config().output_buffer_bytes_max) return true;
  worker_.view().stats().connections_killed_output.add();
  return false;
}

bool Connection::flush_output() {
  while (has_output()) {
    ssize_t bytes = ::send(socket_, output_.data() + output_offset_, output_.size() - output_offset_, MSG_NOSIGNAL);
    if (bytes < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      break;
    }
    output_offset_ += static_cast<size_t>(bytes);
  }
  if (!has_output()) {
    std::string().swap(output_);
    output_offset_ = 0;
  }
  machine_.session().output_buffer_bytes = output_.size() - output_offset_;
  return true;
}

}  // namespace tidemark::cacheserver::io
