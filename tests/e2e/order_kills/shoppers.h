// A burst of customers, each on a thread of its own: orders with an idempotency key, asked again until they are
// answered, some of them cancelled. What they were told is what the books are held against afterwards.
//
// Threads: run() starts and joins them; they share nothing but the address of the service. I/O: gRPC.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/e2e/order/order_cluster.h"

namespace tidemark::order {

struct Told {
  int64_t customer = 0;
  std::string key;
  std::vector<Line> lines;
  enum class Answer : uint8_t { kPlaced, kRefused, kGaveUp } answer = Answer::kGaveUp;
  int64_t order_id = 0;       // kPlaced
  bool is_cancelled = false;  // and told so
  int attempts = 0;
  std::string error;  // of the last attempt that was not answered, or one that nobody should get
  bool is_wrong = false;
};

class Shoppers {
 public:
  static constexpr int kCustomers = 6;
  static constexpr int kOrdersEach = 4;
  static constexpr uint64_t kWavesMax = 2;              // bursts of one run
  static constexpr std::chrono::seconds kPatience{60};  // with one order; then the run has failed

  Shoppers(std::string address, std::vector<std::string> skus, uint64_t run, uint64_t wave, uint64_t seed)
      : address_(std::move(address)), skus_(std::move(skus)), run_(run * kWavesMax + wave), seed_(seed) {}

  std::vector<Told> run() const;
  // Asks for every placed order once more: the same order again, or an error in `wrong`.
  std::vector<std::string> ask_again(const std::vector<Told>& told) const;

 private:
  std::vector<Told> shop(int shopper) const;

  std::string address_;
  std::vector<std::string> skus_;
  uint64_t run_;  // and wave: no two bursts have customers in common
  uint64_t seed_;
};

}  // namespace tidemark::order
