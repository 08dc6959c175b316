// Stops asking a server that does not answer, and finds out cheaply when it does again.
//
//   closed     every request goes through; `failures_max` failures in a row open it
//   open       nothing goes through for `open_for`
//   half-open  then exactly one request goes through as a probe: success closes it, failure opens it for twice as long
//
// Every allowed request must be reported: success, failure, or neither (refused for a reason that is not the server's).
// Threads: owned by one. Time is told. Source: the pattern of Nygard's "Release It!".
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace tidemark::client {

class CircuitBreaker {
 public:
  struct Options {
    int failures_max = 5;
    Duration open_for = std::chrono::milliseconds(100);
    Duration open_for_max = std::chrono::seconds(1);
  };
  enum class State : uint8_t { kClosed, kOpen, kHalfOpen };

  explicit CircuitBreaker(Options options) : options_(options), open_for_(options.open_for) {}

  bool allow(Instant now) {
    if (state_ == State::kClosed) return true;
    if (state_ == State::kHalfOpen || now < open_until_) return false;
    state_ = State::kHalfOpen;
    return true;
  }

  void on_success() {
    state_ = State::kClosed;
    failures_ = 0;
    open_for_ = options_.open_for;
  }

  void on_failure(Instant now) {
    if (state_ == State::kOpen) return;  // an answer from before it opened
    if (state_ == State::kHalfOpen) {
      open_for_ = std::min(open_for_ * 2, options_.open_for_max);
    } else if (++failures_ < options_.failures_max) {
      return;
    }
    state_ = State::kOpen;
    open_until_ = now + open_for_;
    failures_ = 0;
  }

  // The request told nothing about the server: a probe's place is free again.
  void on_neither() {
    if (state_ == State::kHalfOpen) state_ = State::kOpen;
  }

  State state() const { return state_; }

 private:
  Options options_;
  State state_ = State::kClosed;
  int failures_ = 0;
  Duration open_for_;
  Instant open_until_{};
};

}  // namespace tidemark::client
