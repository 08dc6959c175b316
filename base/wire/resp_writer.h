// Appends RESP2 or RESP3 to a buffer. Types that RESP2 lacks fall back as Redis does (map -> array, null -> $-1, …).
//
// Threads: a thin view of one buffer, which must outlive it. No allocation but the buffer's growth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark {

class RespWriter {
 public:
  RespWriter(std::string& out, int protocol) : out_(&out), protocol_(protocol) {}

  int protocol() const { return protocol_; }
  void set_protocol(int protocol) { protocol_ = protocol; }
  std::string& buffer() { return *out_; }

  void ok();
  void simple(std::string_view text);
  void error(std::string_view text);  // "ERR syntax error"; CR and LF in it become spaces
  void integer(int64_t value);
  void bulk(std::string_view bytes);
  void bulk_head(size_t bytes);  // "$5\r\n"; the bytes and bulk_end() follow
  void bulk_end() { out_->append("\r\n"); }
  void bulk_integer(int64_t value);  // the number as a bulk string
  void null();                       // RESP2 $-1, RESP3 _
  void null_array();                 // RESP2 *-1, RESP3 _
  void array(size_t elements);
  void map(size_t pairs);  // RESP2: array of 2 * pairs
  void set(size_t elements);
  void push(size_t elements);            // RESP2: array
  void number(double value);             // RESP3 ",2.5"; RESP2 bulk "2.5" (%.17g, shortest that reads back)
  void boolean(bool value);              // RESP2 :1 / :0
  void verbatim(std::string_view text);  // RESP3 =…txt:; RESP2 bulk

 private:
  void header(char type, int64_t number);
  std::string* out_;
  int protocol_;
};

}  // namespace tidemark
