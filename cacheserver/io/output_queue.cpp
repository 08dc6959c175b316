#include "cacheserver/io/output_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace tidemark::cacheserver::io {

void OutputQueue::add(std::string_view bytes) {
  if (bytes.empty()) return;
  if (pieces_.empty() || pieces_.back().value) pieces_.emplace_back();
  pieces_.back().text.append(bytes);
  bytes_ += bytes.size();
}

void OutputQueue::add(ValuePin value) {
  if (value.bytes().empty()) return;
  bytes_ += value.bytes().size();
  pieces_.push_back({.text = {}, .value = std::move(value)});
}

void OutputQueue::add(ReplyBuffer& replies, size_t begin, size_t end) {
  const std::string_view bytes = replies.bytes();
  for (ReplyBuffer::Pinned& pinned : replies.pinned()) {
    if (pinned.at <= begin || pinned.at > end) continue;
    add(bytes.substr(begin, pinned.at - begin));
    begin = pinned.at;
    add(std::move(pinned.value));
  }
  add(bytes.substr(begin, end - begin));
}

bool OutputQueue::send(int socket) {
  while (!pieces_.empty()) {
    std::array<iovec, kPiecesPerSend> vector;
    const size_t count = std::min(pieces_.size(), kPiecesPerSend);
    for (size_t i = 0; i < count; ++i) {
      const std::string_view bytes = pieces_[i].bytes().substr(i == 0 ? offset_ : 0);
      vector[i] = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    }
    msghdr message{};
    message.msg_iov = vector.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    take(static_cast<size_t>(sent));
  }
  return true;
}

void OutputQueue::take(size_t bytes) {
  bytes_ -= bytes;
  offset_ += bytes;
  while (!pieces_.empty() && offset_ >= pieces_.front().bytes().size()) {
    offset_ -= pieces_.front().bytes().size();
    pieces_.pop_front();
  }
}

}  // namespace tidemark::cacheserver::io
