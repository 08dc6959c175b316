// The session and order services as the shop calls them; as ShopClient, but every outcome is a ShopEvent.
//
// The x-tidemark-token of the answer stands in FinishedCall::token, whichever of the services gave it. Threads: as
// ShopClient.
#pragma once

#include <memory>
#include <string>

#include "bench/macro/customers.h"
#include "bench/macro/shop/mailbox.h"

namespace tidemark::bench {

class CustomerClient {
 public:
  static constexpr int32_t kPageSize = 20;  // of a list of orders

  struct Options {
    std::string session_target, order_target;  // host:port
    Duration session_deadline = std::chrono::milliseconds(500);
    Duration order_deadline = std::chrono::seconds(2);
  };
  // `mailbox` must outlive the client.
  static std::unique_ptr<CustomerClient> create(const Options& options, Mailbox& mailbox);
  virtual ~CustomerClient() = default;

  // Waits for the first connections. False: there is none within the time.
  virtual bool wait_until_connected(Duration timeout) = 0;
  virtual void start(uint64_t number, Instant due, Customers::Call call) = 0;
};

}  // namespace tidemark::bench
