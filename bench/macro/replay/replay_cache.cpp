#include "bench/macro/replay/replay_cache.h"

#include <charconv>

#include "base/hash.h"

namespace tidemark::bench {

using cacheserver::ItemId;
using cacheserver::ItemMemory;
using cacheserver::kNoItem;

namespace {

constexpr unsigned kItemShift = 4;

}  // namespace

Result<std::unique_ptr<ReplayCache>> ReplayCache::make(std::string_view policy, const std::vector<uint32_t>& sizes,
                                                       uint64_t capacity) {
  std::unique_ptr<ReplayCache> cache(new ReplayCache(sizes, capacity));
  static_assert(sizeof(Item) == size_t{1} << kItemShift);
  auto evictor = cacheserver::make_evictor(
      policy, ItemMemory(reinterpret_cast<std::byte*>(cache->items_.data()), kItemShift), *cache);
  if (!evictor) return std::unexpected(evictor.error());
  cache->evictor_ = std::move(*evictor);
  return cache;
}

ReplayCache::ReplayCache(const std::vector<uint32_t>& sizes, uint64_t capacity)
    : sizes_(sizes), items_(sizes.size() + 1), capacity_(capacity) {}

bool ReplayCache::request(uint32_t key) {
  now_ += Duration(1);
  const ItemId id = id_of(key);
  Item& item = items_[id];
  if (item.is_live) {
    evictor_->on_hit(id, hash_of(id), now_);
    return true;
  }
  const uint32_t bytes = sizes_[key];
  evictor_->set_pressure(bytes_used_, capacity_);
  if (bytes > capacity_ || !make_room(bytes)) return false;
  item.is_live = 1;
  bytes_used_ += bytes;
  ++size_;
  evictor_->on_insert(id, hash_of(id), bytes, now_);
  return false;
}

bool ReplayCache::make_room(uint32_t bytes) {
  while (bytes_used_ + bytes > capacity_) {
    const ItemId victim = evictor_->choose_victim(now_);
    if (victim == kNoItem) return false;
    evictor_->on_evict(victim, hash_of(victim), bytes_of(victim));
    items_[victim].is_live = 0;
    bytes_used_ -= bytes_of(victim);
    --size_;
    ++evictions_;
  }
  return true;
}

uint64_t ReplayCache::hash_of(ItemId id) {
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, key_of(id)).ptr;
  return hash64(std::string_view(text, static_cast<size_t>(end - text)));
}

}  // namespace tidemark::bench
