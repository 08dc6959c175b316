// A model of the cache in miniature: keys only, a sample of them, run by one rule. What it would have hit tells whether
// the cache should follow that rule.
//
// Threads: one owner. I/O: none. Limits: kItemsMax keys. Source: C. Waldspurger et al., "Efficient MRC Construction
// with SHARDS", FAST 2015, and "Cache Modeling and Optimization using Miniature Simulations", USENIX ATC 2017.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cacheserver/eviction/density_wheel.h"
#include "cacheserver/eviction/frequency_sketch.h"
#include "cacheserver/eviction/segments.h"

namespace tidemark::cacheserver {

// A way to run the cache.
struct Rule {
  double trial_share = 0.1;
  Admission admission = Admission::kSecondHit;
  bool by_density = false;  // a DensityWheel instead of segments; the other two mean nothing then
};

class ShadowCache {
 public:
  static constexpr size_t kItemsMax = size_t{1} << 17;
  static constexpr size_t kKeptPerCall = 256;

  // The sketch, shared by all models of a cache, outlives it; its owner counts every request in it first.
  // `items_expected`: room is set aside for about so many, so that growing costs nothing at once.
  ShadowCache(Rule rule, const FrequencySketch& sketch, size_t items_expected = 0);
  ShadowCache(const ShadowCache&) = delete;
  ShadowCache& operator=(const ShadowCache&) = delete;

  // A request for a sampled key: true if it would have been a hit. A miss brings it in.
  bool request(uint64_t hash, uint32_t bytes);
  void set_capacity(uint64_t bytes) { bytes_max_ = bytes; }
  // Forgets keys that are sampled no longer, looking at the next few of its places; true when it has seen all.
  template <typename IsSampled>
  bool keep_some(IsSampled&& is_sampled);

  size_t size() const { return size_; }
  const Rule& rule() const { return rule_; }
  size_t bytes_used() const;

 private:
  struct Item {
    ItemHead head{};
    uint32_t bytes = 0;
    uint64_t hash = 0;
    uint32_t next = 0;  // in the same bucket; among the free
    uint32_t unused = 0;
  };
  static_assert(sizeof(Item) == 32);

  ItemId find(uint64_t hash) const;
  ItemId make_item(uint64_t hash, uint32_t bytes);
  void make_room(uint64_t bytes);
  void erase(ItemId id);
  void grow_items();
  void resize_buckets(size_t count);
  size_t bucket_of(uint64_t hash) const { return (hash >> 32) & (buckets_.size() - 1); }
  uint32_t frequency_of(ItemId id) const { return sketch_.frequency_of(items_[id].hash); }

  Rule rule_;
  const FrequencySketch& sketch_;
  std::vector<Item> items_;  // the first is no item
  std::vector<ItemId> buckets_;
  ItemLists lists_;
  Segments segments_;
  DensityWheel wheel_;
  ItemId first_free_ = kNoItem;
  size_t next_kept_ = 1;
  size_t size_ = 0;
  uint64_t bytes_ = 0;
  uint64_t bytes_max_ = 0;
};

template <typename IsSampled>
bool ShadowCache::keep_some(IsSampled&& is_sampled) {
  const size_t end = std::min(items_.size(), next_kept_ + kKeptPerCall);
  for (; next_kept_ < end; ++next_kept_) {
    const Item& item = items_[next_kept_];
    if (item.bytes != 0 && !is_sampled(item.hash)) erase(static_cast<ItemId>(next_kept_));
  }
  if (end < items_.size()) return false;
  next_kept_ = 1;
  return true;
}

}  // namespace tidemark::cacheserver
