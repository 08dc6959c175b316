// S3-FIFO: a small queue on trial, a main queue, and a memory of what failed the trial.
//
//     new ──> small (10 % of the bytes) ──hit twice──> main ──not hit since last time──> out
//                └──────── else ──> out, remembered as a ghost;  a ghost that returns starts in main
//
// A scan of items seen once passes through the small queue and leaves the main one alone. A hit is a two-bit counter in
// the item's marks: no queue is touched.
//
// Threads: one worker's own. I/O: none. Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP
// 2023. Changed: shares are counted in bytes; ghosts age by insertions.
#pragma once

#include "cacheserver/eviction/evictor.h"
#include "cacheserver/eviction/ghost_set.h"
#include "cacheserver/eviction/item_lists.h"

namespace tidemark::cacheserver {

class S3FifoEvictor final : public Evictor {
 public:
  static constexpr uint32_t kFrequencyMax = 3;
  static constexpr uint32_t kPromoteAt = 2;  // hits in the small queue that lead to the main one
  static constexpr uint64_t kSmallPercent = 10;
  static constexpr int kStepsMax = 1024;  // items moved between queues per victim; then the next one goes anyway

  S3FifoEvictor(ItemMemory memory, ItemSource& source) : source_(source), lists_(memory, 2) {}

  std::string_view name() const override { return "s3fifo"; }
  void on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant now) override;
  void on_hit(ItemId id, uint64_t hash, Instant now) override;
  void on_resize(ItemId id, uint32_t bytes_before, uint32_t bytes_after) override;
  void on_move(ItemId from, ItemId to) override;
  void on_remove(ItemId id, uint32_t bytes) override;
  void on_evict(ItemId id, uint64_t hash, uint32_t bytes) override;
  ItemId choose_victim(Instant now) override;
  void set_pressure(uint64_t, uint64_t) override {}
  void on_clear() override;
  size_t bytes_used() const override { return sizeof *this + lists_.bytes_used() + ghosts_.bytes_used(); }
  std::optional<uint64_t> idle_seconds(ItemId, Instant) const override { return std::nullopt; }
  std::optional<uint64_t> frequency(ItemId id) const override;

 private:
  enum Queue : uint32_t { kSmall, kMain };
  Queue queue_of(ItemId id) const;
  void add(ItemId id, Queue queue, uint32_t frequency, uint32_t bytes);
  void take(ItemId id, uint32_t bytes);

  ItemSource& source_;
  ItemLists lists_;
  uint64_t bytes_[2] = {0, 0};  // of each queue
  size_t size_ = 0;
  GhostSet ghosts_;
};

}  // namespace tidemark::cacheserver
