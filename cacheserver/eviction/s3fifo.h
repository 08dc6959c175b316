// S3-FIFO: a small queue on trial, a main queue, and a memory of what failed the trial.
//
//     new ──> small (10 % of the bytes) ──hit twice──> main ──not hit since last time──> out
//                └──────── else ──> out, remembered as a ghost;  a ghost that returns starts in main
//
// A scan of entries seen once passes through the small queue and leaves the main one alone. A hit is a two-bit counter
// in the policy word: no queue is touched.
//
// Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023. Changed: shares are counted in
// bytes; the ghosts live in a set-associative table of fingerprints that ages by insertions.
#pragma once

#include <vector>

#include "cacheserver/eviction/fifo_queue.h"
#include "cacheserver/eviction/ghost_table.h"
#include "cacheserver/eviction/policy.h"

namespace tidemark::cacheserver {

class S3Fifo final : public EvictionPolicy {
 public:
  static constexpr uint32_t kFrequencyMax = 3;
  static constexpr uint32_t kPromoteAt = 2;  // hits in the small queue that lead to the main one
  static constexpr size_t kSmallPercent = 10;
  static constexpr int kStepsMax = 1024;  // entries moved between queues per victim; then the next one goes anyway

  std::string_view name() const override { return "s3fifo"; }
  void on_insert(Entry& entry, uint64_t hash, Instant now) override;
  void on_hit(Entry& entry, Instant now) override;
  void on_move(Entry& from, Entry& to) override;
  void on_remove(Entry& entry) override;
  void on_evict(Entry& entry, uint64_t hash) override;
  Entry* choose_victim(EntrySampler& sampler, Instant now) override;
  void on_clear() override;
  size_t bytes_used() const override;
  std::optional<uint64_t> idle_seconds(const Entry&, Instant) const override { return std::nullopt; }
  std::optional<uint64_t> frequency(const Entry& entry) const override;

 private:
  struct Queue {
    FifoQueue entries;
    size_t bytes = 0;
  };
  Queue& queue_of(const Entry& entry);
  void add(Entry& entry, bool to_main, uint32_t frequency);
  void take(Entry& entry);
  void compact(Queue& queue);

  Queue small_, main_;
  GhostTable ghosts_;
};

}  // namespace tidemark::cacheserver
