// Finished calls on their way from gRPC's threads to the shop's one thread.
//
// Threads: put() by any, take() and wait_until() by the shop. Limits: the shop's cap on calls in flight bounds what
// waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/macro/answer_log.h"
#include "bench/macro/shop_event.h"
#include "bench/macro/shop_mix.h"

namespace tidemark::bench {

struct RowAnswer {
  uint32_t product = 0;
  RecordKind kind = RecordKind::kAnswer;
  Origin origin = Origin::kUnknown;
  int32_t bound_ms = kBoundMissing;
  int64_t version = 0;
  uint64_t content = 0;
  uint8_t error = 0;  // gRPC's code, of kind kError: one row of an answered batch failed
};

struct FinishedCall {
  uint64_t number = 0;
  ShopOpKind kind = ShopOpKind::kGet;  // kVisit: a customer's call, `event` says which
  uint8_t status = 0;                  // gRPC's code
  std::string message{};               // of a failed call
  std::vector<uint32_t> products{};    // asked for
  std::vector<RowAnswer> rows{};       // of an answered call to the catalog
  std::string section{};               // of kGet: the product's
  std::optional<ShopEvent> event{};    // of kVisit
  std::string token{};                 // the x-tidemark-token that came
  int64_t start_us = 0, end_us = 0;    // Unix microseconds
  Instant due{}, started{}, ended{};   // and on our steady clock
};

class Mailbox {
 public:
  void put(FinishedCall call);
  std::vector<FinishedCall> take();
  // Returns at `deadline`, or as soon as `count` calls wait.
  void wait_until(std::chrono::steady_clock::time_point deadline, size_t count);

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<FinishedCall> calls_{};
  size_t wanted_ = 1;  // what the waiting thread waits for
};

}  // namespace tidemark::bench
