// The catalog service as the shop calls it: gRPC's callback API, every call with a deadline, every outcome a value.
//
// start() returns at once; gRPC's own thread hands the finished call to the mailbox, which the shop's one thread
// empties. So nothing of the shop but the mailbox is shared between threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/macro/shop/mailbox.h"

namespace tidemark::bench {

class ShopClient {
 public:
  static constexpr int32_t kPageSize = 20;  // of a section or search

  struct Options {
    std::string target{};  // host:port
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
  // Requires op.kind != kVisit.
  virtual void start(uint64_t number, Instant due, ShopOp op) = 0;
};

}  // namespace tidemark::bench
