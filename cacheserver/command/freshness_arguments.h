// Reading the arguments of the freshness commands: each refusal names the argument, what stood there and what it should
// be.
//
//   ArgumentReader in(arguments);
//   auto shard = in.number<uint16_t>("shard");      "ERR shard '70000' is not a number from 0 to 65535"
//   auto lsn = in.lsn("prev_lsn");                  "ERR prev_lsn 'x' is not an LSN like 16/B374D848"
//   if (in.failed()) return reply.error(in.error());
//
// After the first refusal every read gives a zero value and the first error stays; so a handler reads everything, then
// asks once. Threads: a value on the stack. Views live as long as the arguments.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/proof/proof.h"
#include "cacheserver/command/command.h"

namespace tidemark::cacheserver {

// At most 64 bytes of it, unprintable ones as \xHH, between single quotes: safe in an error and in a log.
std::string quoted(std::string_view text);

class ArgumentReader {
 public:
  explicit ArgumentReader(Arguments arguments, size_t first = 1) : arguments_(arguments), next_(first) {}

  size_t left() const { return arguments_.size() - next_; }
  void skip(size_t count) { next_ += count; }    // requires count <= left()
  std::string_view text(std::string_view name);  // the next argument, whatever it is

  template <typename T>
  T number(std::string_view name) {
    return static_cast<T>(number_up_to(name, std::numeric_limits<T>::max()));
  }
  uint64_t number_up_to(std::string_view name, uint64_t max);
  bool flag(std::string_view name);  // 0 or 1
  Lsn lsn(std::string_view name);
  std::optional<PgSnapshot> snapshot(std::string_view name);  // "-": none
  Proof proof(std::string_view name);

  void fail(std::string error);  // keeps the first
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  Arguments arguments_;
  size_t next_;
  std::string error_;
};

}  // namespace tidemark::cacheserver
