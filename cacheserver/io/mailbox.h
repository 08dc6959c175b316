// Where the siblings of a worker put requests for it, and answers to its own.
//
//   sibling:  push_requests(batch)  -> one wake of the worker for all that has come since it looked
//   worker:   on its wake descriptor: take(); runs the batches and pushes the answers into their origins' mailboxes
//
// No lock is held while requests run. Requests are bounded by kRequestsMax and kBytesMax; whoever finds it full keeps
// its batch and is woken when there is room. Answers always fit: there are no more than requests were let in.
// Threads: any. I/O: an eventfd.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "cacheserver/serving/forwarding.h"

namespace tidemark::cacheserver::io {

class Mailbox {
 public:
  static constexpr size_t kRequestsMax = 4096;  // that wait to be taken: about a millisecond of work
  static constexpr size_t kBytesMax = 8 << 20;  // of those
  using Batch = Forwarding::Batch;

  struct Limits {
    size_t requests_max = kRequestsMax;
    size_t bytes_max = kBytesMax;
  };
  explicit Mailbox(int wake_descriptor) : Mailbox(wake_descriptor, Limits()) {}
  Mailbox(int wake_descriptor, Limits limits) : wake_(wake_descriptor), limits_(limits) {}
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False: full, the batch stays with the caller, whose mailbox is woken once there is room. An empty mailbox takes a
  // batch of any size.
  bool push_requests(Batch& batch);
  void push_answer(Batch batch);

  struct Contents {
    std::vector<Batch> batches;
    std::vector<uint32_t> senders_waiting;  // for room: wake them
  };
  void take(Contents& into);  // by its worker
  void wake();
  int wake_descriptor() const { return wake_; }

 private:
  const int wake_;
  const Limits limits_;
  std::mutex mutex_;
  Contents contents_;
  size_t requests_ = 0, bytes_ = 0;
  bool is_woken_ = false;
};

using Mailboxes = std::vector<std::unique_ptr<Mailbox>>;
Result<Mailboxes> open_mailboxes(uint32_t count);

}  // namespace tidemark::cacheserver::io
