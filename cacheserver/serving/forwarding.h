// Requests that a worker hands to a sibling of the same node, which has their keys, and the replies that come back.
//
//   session of worker 0                worker 0             mailbox            worker 1
//     GET a   (a is worker 1's)  --->  batch for worker 1  ------->  runs all, one round after the other
//     GET b   (b is worker 0's: run here, its reply waits)                       |
//     replies in request order  <---  answered batch       <---------------------+
//
// One batch holds requests of many sessions; a session waits for the replies of one group of requests before the next
// is parsed, so that the requests of one key run in their order, and what is on its way is bounded by the connections.
// Limits: kBatchRequestsMax and kBatchBytesMax per batch (and one request more); a group is one round of requests.
// Threads: each worker's own Forwarding; a batch belongs to one thread at a time. I/O: none; the shell carries batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cacheserver/command/command.h"
#include "cacheserver/session/session.h"

namespace tidemark::cacheserver {

class Worker;

struct ForwardedBatch {
  struct Item {
    uint64_t session = 0;  // of the origin
    uint32_t index = 0;    // of the reply among those the session waits for
    int protocol = 2;
    User user = User::kNone;
    size_t request_end = 0;  // in `requests`; it begins where the one before ends
    size_t reply_end = 0;    // in `replies`, once answered
  };
  uint32_t origin = 0, owner = 0;
  bool is_answered = false;
  std::string requests;  // RESP
  std::vector<Item> items;
  std::string replies;

  std::string_view request(size_t i) const { return part(requests, i, &Item::request_end); }
  std::string_view reply(size_t i) const { return part(replies, i, &Item::reply_end); }

 private:
  std::string_view part(const std::string& text, size_t i, size_t Item::* end) const {
    const size_t begin = i == 0 ? 0 : items[i - 1].*end;
    return std::string_view(text).substr(begin, items[i].*end - begin);
  }
};

class Forwarding {
 public:
  using Batch = std::unique_ptr<ForwardedBatch>;
  static constexpr size_t kBatchRequestsMax = 1024;
  static constexpr size_t kBatchBytesMax = 1 << 20;
  static constexpr size_t kBatchesKept = 16;  // for reuse
  static constexpr size_t kBatchBytesKept = 256 << 10;

  Forwarding(uint32_t self, uint32_t workers) : self_(self), workers_(workers) {}

  uint32_t self() const { return self_; }
  uint32_t workers() const { return workers_; }

  // Adds a request for `owner`, which is not this worker.
  void add(uint32_t owner, const Session& session, uint32_t index, std::string_view request);
  void add(uint32_t owner, const Session& session, uint32_t index, Arguments request);
  // What has been added: for the shell to carry away, those of one owner in their order.
  std::vector<Batch>& outgoing() { return outgoing_; }
  // A batch that came back and is done with.
  void recycle(Batch batch);

 private:
  ForwardedBatch& batch_for(uint32_t owner);
  void close_item(ForwardedBatch& batch, const Session& session, uint32_t index);

  uint32_t self_, workers_;
  std::vector<Batch> outgoing_;
  std::vector<Batch> idle_;
};

// Runs a sibling's requests on the worker that has their keys, and fills in the replies.
void run_forwarded(Worker& worker, ForwardedBatch& batch, Instant now, UnixMillis unix_now);

}  // namespace tidemark::cacheserver
