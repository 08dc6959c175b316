#include "cacheserver/eviction/shadow_cache.h"

#include <algorithm>
#include <bit>

namespace tidemark::cacheserver {
namespace {

constexpr size_t kItemsPerStep = 64;
constexpr size_t kItemsPerBucketMax = 4;
constexpr unsigned kItemShift = 5;

ItemMemory memory_of(void* items) {
  return {static_cast<std::byte*>(items), kItemShift};
}

}  // namespace

ShadowCache::ShadowCache(Rule rule, const FrequencySketch& sketch, size_t items_expected)
    : rule_(rule),
      sketch_(sketch),
      items_(1),
      buckets_(std::bit_ceil(std::clamp(items_expected, kItemsPerStep, kItemsMax))),
      lists_(memory_of(items_.data()), Segments::kLists + (rule.by_density ? DensityWheel::kLists : 0)),
      segments_(lists_, 0),
      wheel_(lists_, Segments::kLists) {
  segments_.set_rule(rule.trial_share, rule.admission);
  items_.reserve(std::min(items_expected + items_expected / 4, kItemsMax));  // untouched memory costs nothing
  lists_.rebase(memory_of(items_.data()));
}

bool ShadowCache::request(uint64_t hash, uint32_t bytes) {
  bytes = std::max(bytes, 1u);
  if (const ItemId id = find(hash); id != kNoItem) {
    if (rule_.by_density) {
      wheel_.hit(id, frequency_of(id), items_[id].bytes);
    } else {
      segments_.hit(id);
    }
    return true;
  }
  if (bytes > bytes_max_) return false;
  make_room(bytes);
  const ItemId id = make_item(hash, bytes);
  if (rule_.by_density) {
    wheel_.insert(id, frequency_of(id), bytes);
  } else {
    segments_.insert(id, frequency_of(id) > 1);
  }
  return false;
}

size_t ShadowCache::bytes_used() const {
  return sizeof *this + items_.size() * sizeof(Item) + buckets_.capacity() * sizeof(ItemId) + lists_.bytes_used();
}

ItemId ShadowCache::find(uint64_t hash) const {
  ItemId id = buckets_[bucket_of(hash)];
  while (id != kNoItem && items_[id].hash != hash) id = items_[id].next;
  return id;
}

ItemId ShadowCache::make_item(uint64_t hash, uint32_t bytes) {
  if (first_free_ == kNoItem) grow_items();
  const ItemId id = first_free_;
  first_free_ = items_[id].next;
  ItemId& bucket = buckets_[bucket_of(hash)];
  items_[id] = {.head = {}, .bytes = bytes, .hash = hash, .next = bucket, .unused = 0};
  bucket = id;
  bytes_ += bytes;
  ++size_;
  return id;
}

void ShadowCache::make_room(uint64_t bytes) {
  while (size_ > 0 && (bytes_ + bytes > bytes_max_ || size_ >= kItemsMax)) {
    const ItemId victim = rule_.by_density ? wheel_.next_to_leave()
                                           : segments_.choose_victim([this](ItemId id) { return frequency_of(id); });
    erase(victim);
  }
}

void ShadowCache::erase(ItemId id) {
  Item& item = items_[id];
  if (rule_.by_density) {
    wheel_.remove(id);
  } else {
    segments_.remove(id);
  }
  ItemId* link = &buckets_[bucket_of(item.hash)];
  while (*link != id) link = &items_[*link].next;
  *link = item.next;
  bytes_ -= item.bytes;
  --size_;
  item.bytes = 0;
  item.next = first_free_;
  first_free_ = id;
}

void ShadowCache::grow_items() {
  const size_t before = items_.size();
  const size_t after = before + kItemsPerStep;
  items_.resize(after);
  lists_.rebase(memory_of(items_.data()));
  for (size_t id = after; id-- > before;) {
    items_[id].next = first_free_;
    first_free_ = static_cast<ItemId>(id);
  }
  if (after > buckets_.size() * kItemsPerBucketMax) resize_buckets(std::bit_ceil(after));
}

void ShadowCache::resize_buckets(size_t count) {
  buckets_.assign(count, kNoItem);
  for (ItemId id = 1; id < items_.size(); ++id) {
    if (items_[id].bytes == 0) continue;
    ItemId& bucket = buckets_[bucket_of(items_[id].hash)];
    items_[id].next = bucket;
    bucket = id;
  }
}

}  // namespace tidemark::cacheserver
