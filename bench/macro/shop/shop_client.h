// The catalog service as the shop calls it: gRPC's callback API, every call with a deadline, every outcome a value.
//
// start() returns at once; gRPC's own thread hands the finished call to the mailbox, which the shop's one thread
// empties. So nothing of the shop but the mailbox is shared between threads. Limits: kMailboxMax finished calls wait to
// be taken at most (the shop's cap on calls in flight is below it).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/macro/answer_log.h"
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
  ShopOpKind kind = ShopOpKind::kGet;
  uint8_t status = 0;                // gRPC's code
  std::string message;               // of a failed call
  std::vector<uint32_t> products;    // asked for
  std::vector<RowAnswer> rows;       // of an answered call
  int64_t start_us = 0, end_us = 0;  // Unix microseconds
  Instant started{}, ended{};        // and on our steady clock
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
  std::vector<FinishedCall> calls_;
  size_t wanted_ = 1;  // what the waiting thread waits for
};

class ShopClient {
 public:
  struct Options {
    std::string target;  // host:port
    Duration deadline = std::chrono::milliseconds(500);
    uint32_t channels = 1;
    bool is_cache_bypassed = false;
  };
  // `names` and `mailbox` must outlive the client.
  static std::unique_ptr<ShopClient> create(const Options& options, const std::vector<std::string>& names,
                                            Mailbox& mailbox);
  virtual ~ShopClient() = default;

  // Waits for the first connection. False: there is none within the time.
  virtual bool wait_until_connected(Duration timeout) = 0;
  virtual void start(uint64_t number, ShopOp op) = 0;
};

}  // namespace tidemark::bench
