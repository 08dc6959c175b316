#include "bench/macro/shop/mailbox.h"

#include <utility>

namespace tidemark::bench {

void Mailbox::put(FinishedCall call) {
  size_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    waiting = calls_.size();
    if (waiting < wanted_) return;
  }
  arrived_.notify_one();
}

std::vector<FinishedCall> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(calls_, {});
}

void Mailbox::wait_until(std::chrono::steady_clock::time_point deadline, size_t count) {
  std::unique_lock lock(mutex_);
  wanted_ = count;
  arrived_.wait_until(lock, deadline, [&] { return calls_.size() >= count; });
}

}  // namespace tidemark::bench
