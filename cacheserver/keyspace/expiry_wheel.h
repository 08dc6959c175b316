// Timers of entries that expire: a hierarchical timing wheel of four rings of 256 lists, one tick = 16.4 ms.
//
//     ring 0: the next   4 s, a list per tick      ring 2: the next 3 days, a list per 18 min
//     ring 1: the next  18 min, a list per 4 s     ring 3: the next 2 years; what is later waits in its last list
//
// A timer is two links in the entry's expiry section, so setting, changing and cancelling cost the same few
// instructions however many timers there are, and a cancelled timer leaves nothing behind. Work per run() is bounded:
// when a list is long, the wheel stands still and goes on with the next call; entries are then expired late, never
// served late.
//
// Source: Varghese and Lauck, hashed and hierarchical timing wheels (1987).
// Invariants: an entry whose timer_next() is not 0 is in exactly one list. Threads: one worker's own. I/O: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "cacheserver/entry/entry.h"
#include "cacheserver/memory/heap.h"

namespace tidemark::cacheserver {

class ExpiryWheel {
 public:
  explicit ExpiryWheel(ItemMemory memory);

  // Sets or changes the timer. Requires entry.has_expiry_section(). `now` starts the wheel when it was empty.
  void schedule(Entry& entry, Instant at, Instant now);
  void cancel(Entry& entry);
  // The entry lives at another place now; its links have been copied.
  void on_move(Entry& to);

  // Calls `expire` for due entries; it must cancel their timer. Stops after `work_max` timers looked at; true if work
  // is left.
  bool run(Instant now, size_t work_max, const std::function<void(Entry&)>& expire);
  // An entry that is due, or nullptr: looks at this tick's list alone.
  Entry* first_due(Instant now) const;

  size_t size() const { return size_; }
  size_t bytes_used() const { return sizeof *this; }

  static constexpr int kTickBits = 14;  // microseconds
  static constexpr size_t kEmptyTicksPerRun = 4096;

 private:
  static constexpr int kRingBits = 8;
  static constexpr uint64_t kRingSlots = uint64_t{1} << kRingBits;
  static constexpr int kRings = 4;
  static constexpr size_t kListHeads = kRings * kRingSlots;
  static constexpr ItemId kFirstHead = UINT32_MAX - kListHeads;  // the heap ends before: these ids are the lists' heads

  struct Head {
    ItemId next, previous;  // a circle through the head
  };

  Entry& entry(ItemId id) const { return static_cast<Entry&>(memory_.at(id)); }
  ItemId next_of(ItemId id) const { return id < kFirstHead ? entry(id).timer_next() : heads_[id - kFirstHead].next; }
  void set_next(ItemId id, ItemId next);
  void set_previous(ItemId id, ItemId previous);
  void link(Entry& entry, uint64_t tick);
  void unlink(Entry& entry);
  ItemId head_of(uint64_t tick) const;
  bool cascade(size_t& work);  // false: out of work
  void start_at(Instant now);

  ItemMemory memory_;
  std::array<Head, kListHeads> heads_;
  uint64_t current_ = 0;  // the next tick to process
  size_t size_ = 0;
};

}  // namespace tidemark::cacheserver
