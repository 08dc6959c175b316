// The requests of tidemark-load as bytes, and its reading of the replies.
//
// Made to cost little, for the generator must not be the slower end: a key is 16 hexadecimal digits of a mixed index,
// values are pieces of one buffer, requests are templates whose key is patched in, replies are counted, not built.
// Threads: values. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/macro/load/load_config.h"

namespace tidemark::bench {

// Appends requests.
class LoadScript {
 public:
  static constexpr size_t kKeyBytes = 16;

  // No value will be longer than `value_bytes_max`; those of exactly that size without expiry are the cheapest.
  LoadScript(LoadProtocol protocol, uint64_t value_bytes_max);

  void append_get(uint64_t key, std::string& out) const;
  void append_set(uint64_t key, std::string& out) const;  // of value_bytes_max
  // ttl_ms 0: no expiry. memcached knows whole seconds only: rounded up.
  void append_set(uint64_t key, uint64_t value_bytes, uint64_t ttl_ms, std::string& out) const;
  void append_delete(uint64_t key, std::string& out) const;
  static std::string key_text(uint64_t key);

 private:
  struct Template {
    std::string bytes;
    size_t key_at = 0;
  };
  static void append(const Template& from, uint64_t key, std::string& out);
  static void write_key(uint64_t key, char* out);

  LoadProtocol protocol_;
  std::string value_;
  Template get_, set_, set_head_, delete_;
};

enum class Lookup : uint8_t { kHit, kMiss };

// Counts whole replies in a stream of bytes that arrives in pieces.
class ReplyCounter {
 public:
  explicit ReplyCounter(LoadProtocol protocol) : protocol_(protocol) {}

  // Also notes the outcome of every GET, in order. Must outlive this; nullptr: no more.
  void note_lookups_in(std::vector<Lookup>* lookups) { lookups_ = lookups; }

  // How many replies ended within these bytes.
  uint64_t feed(std::string_view bytes);
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }
  uint64_t errors() const { return errors_; }
  const std::string& first_error() const { return first_error_; }

 private:
  // The line that begins the bytes, without its end, taken off them; nothing: it goes on in the next piece.
  bool take_line(std::string_view& bytes, std::string_view& line);
  bool end_of_line(std::string_view line);  // true: this line ended a reply
  bool end_of_resp_line(std::string_view line);
  bool end_of_memcached_line(std::string_view line);
  bool end_lookup(Lookup outcome);
  bool fail_reply(std::string_view line);

  LoadProtocol protocol_;
  std::string line_;             // the beginning of a line that was cut
  uint64_t skip_ = 0;            // bytes of a value still to come, with its CRLF
  bool ends_with_skip_ = false;  // RESP: the value is the reply's end
  bool saw_value_ = false;       // memcached: VALUE before END
  uint64_t hits_ = 0, misses_ = 0, errors_ = 0;
  std::vector<Lookup>* lookups_ = nullptr;
  std::string first_error_;
};

}  // namespace tidemark::bench
