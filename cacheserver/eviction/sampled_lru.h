// Sampled least recently used: of a few random entries the one unused for longest goes.
//
// The policy word is the time of last use in 1/16 s (it wraps after 8.5 years); a hit is one store. Seven samples come
// close to true LRU on skewed loads. Source: Redis's approximated LRU, without its pool of candidates, whose addresses
// would have to follow every move of an entry.
#pragma once

#include "cacheserver/eviction/policy.h"

namespace tidemark::cacheserver {

class SampledLru final : public EvictionPolicy {
 public:
  static constexpr int kSamples = 7;

  std::string_view name() const override { return "lru"; }
  void on_insert(Entry& entry, uint64_t hash, Instant now) override;
  void on_hit(Entry& entry, Instant now) override;
  void on_move(Entry&, Entry&) override {}
  void on_remove(Entry&) override {}
  void on_evict(Entry&, uint64_t) override {}
  Entry* choose_victim(EntrySampler& sampler, Instant now) override;
  void on_clear() override {}
  size_t bytes_used() const override { return 0; }
  std::optional<uint64_t> idle_seconds(const Entry& entry, Instant now) const override;
  std::optional<uint64_t> frequency(const Entry&) const override { return std::nullopt; }
};

// The same clock, but never a victim: writes are refused when memory is full.
class NoEviction final : public EvictionPolicy {
 public:
  std::string_view name() const override { return "noeviction"; }
  void on_insert(Entry& entry, uint64_t hash, Instant now) override { clock_.on_insert(entry, hash, now); }
  void on_hit(Entry& entry, Instant now) override { clock_.on_hit(entry, now); }
  void on_move(Entry&, Entry&) override {}
  void on_remove(Entry&) override {}
  void on_evict(Entry&, uint64_t) override {}
  Entry* choose_victim(EntrySampler&, Instant) override { return nullptr; }
  void on_clear() override {}
  size_t bytes_used() const override { return 0; }
  std::optional<uint64_t> idle_seconds(const Entry& entry, Instant now) const override {
    return clock_.idle_seconds(entry, now);
  }
  std::optional<uint64_t> frequency(const Entry&) const override { return std::nullopt; }

 private:
  SampledLru clock_;
};

}  // namespace tidemark::cacheserver
