// What an eviction policy promises. The keyspace tells it what happens; it names a victim when memory is short.
//
// A policy keeps its per-item state in the entry's 32-bit policy word and, if it needs more, in structures of its own
// that it counts in bytes_used(). tests/contract/eviction_policy_test.cpp is the list every policy passes:
//   * a victim is an entry that was inserted and not removed; with nothing inserted there is none;
//   * an entry that moved in memory is never named by its old address;
//   * choose_victim ends, and its work is bounded, however often it is called;
//   * an entry that is hit again and again outlives a stream of entries seen once.
//
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {

// Where a sampling policy gets candidates: a uniformly random live entry, or nullptr if there are none.
class EntrySampler {
 public:
  virtual Entry* sample_entry() = 0;

 protected:
  ~EntrySampler() = default;
};

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  virtual std::string_view name() const = 0;
  virtual void on_insert(Entry& entry, uint64_t hash, Instant now) = 0;
  virtual void on_hit(Entry& entry, Instant now) = 0;
  // The entry of the same key now lives at `to`; `from` is still readable and its policy word already copied.
  virtual void on_move(Entry& from, Entry& to) = 0;
  virtual void on_remove(Entry& entry) = 0;                // erased or expired
  virtual void on_evict(Entry& entry, uint64_t hash) = 0;  // chosen by choose_victim and about to be freed
  // Not removed yet: the keyspace calls on_evict. nullptr: nothing can be evicted.
  virtual Entry* choose_victim(EntrySampler& sampler, Instant now) = 0;
  virtual void on_clear() = 0;  // every entry is gone
  virtual size_t bytes_used() const = 0;

  // For OBJECT IDLETIME and OBJECT FREQ; nothing when the policy does not track it.
  virtual std::optional<uint64_t> idle_seconds(const Entry& entry, Instant now) const = 0;
  virtual std::optional<uint64_t> frequency(const Entry& entry) const = 0;
};

inline constexpr std::string_view kPolicyNames = "lru, s3fifo, noeviction";
inline constexpr std::string_view kDefaultPolicy = "lru";

// "lru": sampled least recently used. "s3fifo": three queues. "noeviction": writes are refused when memory is full.
Result<std::unique_ptr<EvictionPolicy>> make_eviction_policy(std::string_view name);

}  // namespace tidemark::cacheserver
