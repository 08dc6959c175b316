// Least recently used, exactly: one list.
//
// The two links take all eight bytes a policy has, so how long an item has been idle is not known.
// Threads: one worker's own. I/O: none.
#pragma once

#include "cacheserver/eviction/evictor.h"
#include "cacheserver/eviction/hit_ring.h"
#include "cacheserver/eviction/item_lists.h"

namespace tidemark::cacheserver {

class LruEvictor final : public Evictor {
 public:
  explicit LruEvictor(ItemMemory memory) : lists_(memory, 1) {}

  std::string_view name() const override { return "lru"; }
  void on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant now) override;
  void on_hit(ItemId id, uint64_t hash, Instant now) override;
  void on_resize(ItemId, uint32_t, uint32_t) override {}
  void on_move(ItemId from, ItemId to) override;
  void on_remove(ItemId id, uint32_t bytes) override;
  void on_evict(ItemId id, uint64_t hash, uint32_t bytes) override;
  ItemId choose_victim(Instant now) override;
  void set_pressure(uint64_t, uint64_t) override {}
  void on_clear() override;
  size_t bytes_used() const override { return sizeof *this + lists_.bytes_used(); }
  std::optional<uint64_t> idle_seconds(ItemId, Instant) const override { return std::nullopt; }
  std::optional<uint64_t> frequency(ItemId) const override { return std::nullopt; }

 private:
  void work_off_hits();

  ItemLists lists_;
  HitRing hits_;
};

}  // namespace tidemark::cacheserver
