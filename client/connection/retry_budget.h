// How many retries are paid for by recent requests, so that retries cannot multiply an outage.
//
// Every request earns `share` of a retry, every retry costs one; at most kBalanceMax are saved, kBalanceStart are there
// at the beginning. With share 0.2: five requests pay for one retry. Threads: owned by one.
// Source: the retry budget of Finagle and Envoy.
#pragma once

#include <algorithm>

namespace tidemark::client {

class RetryBudget {
 public:
  static constexpr double kBalanceMax = 100;
  static constexpr double kBalanceStart = 3;

  explicit RetryBudget(double share) : share_(share) {}

  void on_request() { balance_ = std::min(balance_ + share_, kBalanceMax); }
  bool take_retry() {
    if (balance_ < 1) return false;
    balance_ -= 1;
    return true;
  }

 private:
  double share_;
  double balance_ = kBalanceStart;
};

}  // namespace tidemark::client
