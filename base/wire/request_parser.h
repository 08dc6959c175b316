// Reads RESP requests and inline commands out of a read buffer without copying them.
//
//   "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"  and  "GET a\r\n"   both give  ["GET", "a"], views into the buffer
//
// The input may be cut at any byte. What is incomplete stays in the input: call again with the same bytes (they may
// have moved) and more behind them; nothing already read is read twice. Blank lines, "*0" and "*-1" are consumed
// silently. Arguments are views into the input; only quoted inline arguments are decoded into the batch. Limits and
// error texts are those of Redis; after an error the connection must be closed. Threads: none shared. I/O: none.
// Allocation: the batch's vectors, and one vector while a request is incomplete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark {

// Requests parsed ahead of their execution; reused from read to read.
class RequestBatch {
 public:
  size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  std::span<const std::string_view> operator[](size_t i) const {
    size_t begin = i == 0 ? 0 : ends_[i - 1];
    return {arguments_.data() + begin, ends_[i] - begin};
  }
  void clear();

 private:
  friend class RequestParser;
  static constexpr size_t kArgumentsKept = 4096;  // memory kept for the next batch

  std::vector<std::string_view> arguments_;
  std::vector<size_t> ends_;                // request i is arguments_[ends_[i-1] .. ends_[i])
  std::forward_list<std::string> decoded_;  // quoted inline lines
};

class RequestParser {
 public:
  struct Limits {
    size_t bulk_bytes_max = 512u << 20;
    size_t arguments_max = 1024 * 1024;
    size_t line_bytes_max = 64 * 1024;  // inline requests and the lines that carry counts
    bool is_authenticated = true;       // before: at most 10 arguments of 16 KiB
  };
  static constexpr size_t kUnauthenticatedArgumentsMax = 10;
  static constexpr size_t kUnauthenticatedBulkBytesMax = 16 * 1024;

  enum class Outcome : uint8_t { kRequest, kIncomplete, kError };

  RequestParser() = default;
  explicit RequestParser(Limits limits) : limits_(limits) {}

  // kRequest: one request was appended to `batch` and its bytes removed from the front of `input`.
  // kIncomplete: `input` now begins with the first byte of the incomplete request (or is empty).
  // kError: see error(); the parser is of no further use.
  Outcome next(std::string_view& input, RequestBatch& batch);

  // Drops the progress in an incomplete request (and an error): the next input begins with a request's first byte.
  void forget();

  // --- a large argument received elsewhere ---
  //
  //     "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + the first 700 bytes     next(): kIncomplete
  //
  // Then argument_bytes() is 100000 and bytes_read() 28. The caller may take everything behind byte 28 out of the
  // input, receive the 100000 bytes elsewhere, and supply() them; the input goes on with the "\r\n" behind them.
  size_t argument_bytes() const { return bulk_bytes_ < 0 ? 0 : static_cast<size_t>(bulk_bytes_); }  // 0: unknown, too
  size_t bytes_read() const { return offset_; }
  // What the incomplete request has before; views into the input as it was in the last next().
  std::span<const std::string_view> partial() const { return partial_; }
  // Once per request, with argument_bytes() bytes, which stay until the request has run.
  void supply(std::string_view argument);
  bool has_supplied() const { return is_supplied_; }  // the incomplete request has such an argument

  // "Protocol error: invalid bulk length"
  std::string_view error() const { return error_; }
  bool is_inside_request() const { return arguments_left_ > 0 || is_supplied_; }
  // Of the incomplete request: how many bytes it has at least, as far as its lengths are known; 0 between requests.
  size_t bytes_wanted() const { return bulk_bytes_ < 0 ? offset_ : offset_ + static_cast<size_t>(bulk_bytes_) + 2; }
  Limits& limits() { return limits_; }

 private:
  enum class Step : uint8_t { kDone, kNothing, kMore, kBroken };  // kNothing: an empty request was consumed

  bool read_short(std::string_view& input, RequestBatch& batch);
  Step read_array(std::string_view& input, RequestBatch& batch);
  Step read_inline(std::string_view& input, RequestBatch& batch);
  Step read_argument_count(std::string_view input);
  Step read_arguments(std::string_view input, std::vector<std::string_view>& arguments);
  Step read_bulk_length(std::string_view input);
  void suspend(std::string_view input, RequestBatch& batch);
  void resume(std::string_view input, RequestBatch& batch);
  Step broken(std::string_view text);

  Limits limits_;
  std::string error_;
  std::vector<std::string_view> partial_;  // arguments of an incomplete request
  const char* base_ = nullptr;             // where the input began when they were read
  size_t offset_ = 0;                      // bytes of the incomplete request already read
  size_t arguments_left_ = 0;              // 0: between requests
  int64_t bulk_bytes_ = -1;                // of the argument being read; -1: its length is not known yet
  bool is_supplied_ = false;               // partial_[supplied_at_] is no view into the input
  size_t supplied_at_ = 0;
};

// Splits an inline command as Redis does: blanks, "double quotes" with \n \r \t \b \a \xHH, 'single quotes' with \'.
// Decoded text is appended to `storage`, which must have room for line.size() more bytes (views into it are returned).
// False: quotes are unbalanced.
bool split_inline(std::string_view line, std::string& storage, std::vector<std::string_view>& arguments);

}  // namespace tidemark
