// The cache node's eviction over keys without values: the very classes that the node runs, so that a trace of a million
// requests is replayed in a second.
//
// Threads: one owner. I/O: none. Limits: twelve bytes and a flag per key of the trace.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cacheserver/eviction/evictor.h"

namespace tidemark::bench {

class ReplayCache final : private cacheserver::ItemSource {
 public:
  // `sizes`: by key number; it outlives the cache. Capacity in the same unit.
  static Result<std::unique_ptr<ReplayCache>> make(std::string_view policy, const std::vector<uint32_t>& sizes,
                                                   uint64_t capacity);

  // Get; on a miss, set. True: it was a hit. A value larger than the capacity is not kept.
  bool request(uint32_t key);

  uint64_t evictions() const { return evictions_; }
  uint64_t bytes_used() const { return bytes_used_; }
  size_t policy_bytes_used() const { return evictor_->bytes_used(); }

 private:
  struct Item {
    cacheserver::ItemHead head;
    uint32_t is_live;
  };
  ReplayCache(const std::vector<uint32_t>& sizes, uint64_t capacity);
  static uint32_t key_of(cacheserver::ItemId id) { return id - 1; }
  static cacheserver::ItemId id_of(uint32_t key) { return key + 1; }
  bool make_room(uint32_t bytes);

  uint64_t hash_of(cacheserver::ItemId id) override;
  uint32_t bytes_of(cacheserver::ItemId id) override { return sizes_[key_of(id)]; }

  const std::vector<uint32_t>& sizes_;
  std::vector<Item> items_;  // by id
  uint64_t capacity_;
  uint64_t bytes_used_ = 0;
  uint64_t size_ = 0;
  uint64_t evictions_ = 0;
  Instant now_{};
  std::unique_ptr<cacheserver::Evictor> evictor_;
};

}  // namespace tidemark::bench
