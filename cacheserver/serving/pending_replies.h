// The replies that a session waits for, in the order of its requests, while some of them come from sibling workers.
//
// Either a group of requests with one reply each, or one request whose parts are merged into one reply.
// Invariants: every index that expect() gave is answered once. Threads: a worker's own. I/O: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cacheserver/serving/routing.h"

namespace tidemark::cacheserver {

class PendingReplies {
 public:
  static constexpr size_t kBytesKept = 64 << 10;

  bool empty() const { return replies_.empty(); }
  bool is_waiting() const { return missing_ > 0; }
  bool is_merging() const { return merge_ != Merge::kNone; }
  size_t bytes() const { return bytes_.size(); }

  // A reply that `owner` will give; returns its index.
  uint32_t expect(uint32_t owner);
  void answer(uint32_t index, std::string_view reply);
  void merge_as(Merge merge, uint32_t workers) {
    merge_ = merge;
    workers_ = workers;
  }

  // Calls put(reply) for each reply to the client, in order, and forgets all. Requires !is_waiting().
  template <typename Put>
  void deliver(Put put) {
    if (merge_ == Merge::kNone) {
      for (const Reply& reply : replies_) put(text(reply));
    } else {
      put(std::string_view(merged()));
    }
    clear();
  }

 private:
  struct Reply {
    uint32_t owner = 0;
    size_t begin = 0, end = 0;
  };
  std::string_view text(const Reply& reply) const {
    return std::string_view(bytes_).substr(reply.begin, reply.end - reply.begin);
  }
  std::string merged() const;
  void clear();

  std::vector<Reply> replies_;
  std::string bytes_;  // in the order they came
  size_t missing_ = 0;
  Merge merge_ = Merge::kNone;
  uint32_t workers_ = 1;
};

}  // namespace tidemark::cacheserver
