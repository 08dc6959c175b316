// What a client's socket has not taken yet: bytes and pinned values, in order.
//
// Limits: the caller watches bytes(). One sendmsg takes up to kPiecesPerSend pieces.
// Threads: the worker's. I/O: send on the socket given; it never blocks.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "cacheserver/session/reply_buffer.h"

namespace tidemark::cacheserver::io {

class OutputQueue {
 public:
  static constexpr size_t kPiecesPerSend = 64;

  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }

  void add(std::string_view bytes);
  void add(ValuePin value);
  // A reply of [begin, end) of the buffer's bytes, with the values that stand in it; they are moved away.
  void add(ReplyBuffer& replies, size_t begin, size_t end);
  // Sends as much as the socket takes. False: it is broken.
  bool send(int socket);

 private:
  struct Piece {
    std::string text;
    ValuePin value;  // or this
    std::string_view bytes() const { return value ? value.bytes() : std::string_view(text); }
  };
  void take(size_t bytes);

  std::deque<Piece> pieces_;
  size_t offset_ = 0;  // of the first piece: already taken
  size_t bytes_ = 0;
};

}  // namespace tidemark::cacheserver::io
