// The requests of tidemark-load as bytes, and its reading of the replies.
//
// Made to cost little: a key is 16 hexadecimal digits of a mixed index, the value is one buffer, replies are counted,
// not built. Threads: values. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/macro/load/load_config.h"

namespace tidemark::bench {

// Appends requests.
class LoadScript {
 public:
  LoadScript(LoadProtocol protocol, uint64_t value_bytes);
  void append_get(uint64_t key, std::string& out) const;
  void append_set(uint64_t key, std::string& out) const;
  static std::string key_text(uint64_t key);

 private:
  void append_key(uint64_t key, std::string& out) const;
  LoadProtocol protocol_;
  std::string get_before_, get_after_, set_before_, set_after_;
};

// Counts whole replies in a stream of bytes that arrives in pieces.
class ReplyCounter {
 public:
  explicit ReplyCounter(LoadProtocol protocol) : protocol_(protocol) {}

  // How many replies ended within these bytes.
  uint64_t feed(std::string_view bytes);
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }
  uint64_t errors() const { return errors_; }
  const std::string& first_error() const { return first_error_; }

 private:
  bool take_line(std::string_view& bytes);  // false: the line goes on in the next piece
  bool end_of_line();                       // true: this line ended a reply
  bool end_of_resp_line();
  bool end_of_memcached_line();
  bool fail_reply();

  LoadProtocol protocol_;
  std::string line_;
  uint64_t skip_ = 0;            // bytes of a value still to come, with its CRLF
  bool ends_with_skip_ = false;  // RESP: the value is the reply's end
  bool saw_value_ = false;       // memcached: VALUE before END
  uint64_t hits_ = 0, misses_ = 0, errors_ = 0;
  std::string first_error_;
};

}  // namespace tidemark::bench
