// What an eviction policy promises. The keyspace tells it what happens; it names a victim when memory is short.
//
// A policy keeps its per-item state in the eight bytes and four bits of ItemHead and, if it needs more, in structures
// of its own that it counts in bytes_used(). tests/contract/evictor_test.cpp is the list every policy passes:
//   * a victim is an item that was inserted and not removed; with nothing inserted there is none;
//   * an item that moved in memory is never named by its old id;
//   * the work of every call is bounded, however many items there are;
//   * an item that is hit again and again outlives a stream of items seen once;
//   * a cache that is not full pays for nothing but the head.
//
// A hit may be noted and worked off later, in batches: the policy does so before it is told of anything else, so that
// a noted id is never read after its item has gone.
// Threads: one worker's own. I/O: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "cacheserver/eviction/item.h"

namespace tidemark::cacheserver {

// Where a policy asks about items that it was not just told of. Each answer touches the item or the table.
class ItemSource {
 public:
  virtual uint64_t hash_of(ItemId id) = 0;   // recomputed from the key
  virtual uint32_t bytes_of(ItemId id) = 0;  // what it takes in memory

 protected:
  ~ItemSource() = default;
};

class Evictor {
 public:
  virtual ~Evictor() = default;

  virtual std::string_view name() const = 0;
  virtual void on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant now) = 0;
  virtual void on_hit(ItemId id, uint64_t hash, Instant now) = 0;
  virtual void on_resize(ItemId id, uint32_t bytes_before, uint32_t bytes_after) = 0;
  // `to` holds a copy of the item; `from` is still whole, and may be overwritten as soon as this returns. Hits noted
  // before are worked off on `from` first, so the policy copies its part of the head once more.
  virtual void on_move(ItemId from, ItemId to) = 0;
  virtual void on_remove(ItemId id, uint32_t bytes) = 0;                // erased or expired; its head is still there
  virtual void on_evict(ItemId id, uint64_t hash, uint32_t bytes) = 0;  // named by choose_victim and about to go
  // Not removed yet: the keyspace calls on_evict. kNoItem: nothing can be evicted.
  virtual ItemId choose_victim(Instant now) = 0;
  // Told now and then, and whenever the limit changes; bytes_max 0: no limit.
  virtual void set_pressure(uint64_t bytes_used, uint64_t bytes_max) = 0;
  virtual void on_clear() = 0;  // every item is gone
  virtual size_t bytes_used() const = 0;

  // For OBJECT IDLETIME and OBJECT FREQ; nothing when the policy does not track it.
  virtual std::optional<uint64_t> idle_seconds(ItemId id, Instant now) const = 0;
  virtual std::optional<uint64_t> frequency(ItemId id) const = 0;
};

// adaptive: as many hits as possible; adaptive-byte: as many bytes hit as possible. Both watch small models of
// themselves and follow the best. lru, s3fifo, gdsf: for comparison. noeviction: writes are refused when memory is
// full.
inline constexpr std::string_view kEvictorNames = "adaptive, adaptive-byte, lru, s3fifo, gdsf, noeviction";
inline constexpr std::string_view kDefaultEvictor = "adaptive";

// `source` outlives the evictor; `memory` stays where it is.
Result<std::unique_ptr<Evictor>> make_evictor(std::string_view name, ItemMemory memory, ItemSource& source);

}  // namespace tidemark::cacheserver
