// Result<T>: a value, or an Error that says what went wrong, with what, and whether trying again can help.
//
// Codes carry gRPC's names so that a service maps them one to one. The message is for a person: it names the thing
// that was wrong and, where there is one, the remedy. Threads: plain values. Errors never cross a folder as exceptions.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace tidemark {

enum class ErrorCode {
  kInvalidArgument,     // the caller's input is wrong; trying again cannot help
  kNotFound,            // the named thing does not exist (never used for "could not ask")
  kFailedPrecondition,  // the system's state forbids it: wrong owner, old map, not initialised
  kAborted,             // lost a race (compare-and-set, old proof); read again, then retry
  kUnavailable,         // the peer could not be reached or is going away; nothing was done
  kOutcomeUnknown,      // the request was written and no answer came; it may have been done
  kDeadlineExceeded,    // the caller's deadline passed
  kResourceExhausted,   // a named limit was reached; retry later
  kUnauthenticated,     // wrong or missing credentials
  kCorrupt,             // bytes from outside do not decode
  kInternal,            // a peer reported something we have no better word for
};

std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  bool is_retryable() const {
    return code == ErrorCode::kUnavailable || code == ErrorCode::kAborted || code == ErrorCode::kResourceExhausted;
  }
  // The same error with "context: " in front, added on the way up.
  Error with_context(std::string_view context) const { return {code, std::string(context) + ": " + message}; }
  // "UNAVAILABLE: connect 127.0.0.1:6379: connection refused"
  std::string to_string() const;

  bool operator==(const Error&) const = default;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

}  // namespace tidemark
