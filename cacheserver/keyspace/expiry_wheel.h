// Timers of entries that expire: a hierarchical timing wheel of four rings of 256 lists, one tick = 16.4 ms.
//
//     ring 0: the next   4 s, a list per tick      ring 2: the next 3 days, a list per 18 min
//     ring 1: the next  18 min, a list per 4 s     ring 3: the next 2 years; what is later waits in its last list
//
// A timer is a node of 16 bytes in a pool; the entry keeps its index, so setting, changing and cancelling cost the same
// few instructions however many timers there are, and a cancelled timer leaves nothing behind. Work per run() is
// bounded: when a list is long, the wheel stands still and goes on with the next call; entries are then expired late,
// never served late.
//
// Source: Varghese and Lauck, hashed and hierarchical timing wheels (1987).
// Invariants: entry.timer() is 0 or the node whose entry is that one. Threads: one worker's own. I/O: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "cacheserver/entry/entry.h"

namespace tidemark::cacheserver {

class ExpiryWheel {
 public:
  ExpiryWheel();

  // Sets or changes the timer. Requires entry.has_expiry_section(). `now` starts the wheel when it was empty.
  void schedule(Entry& entry, Instant at, Instant now);
  void cancel(Entry& entry);
  // The entry lives at another address now; its timer index has been copied.
  void on_move(Entry& to);

  // Calls `expire` for due entries; it must cancel their timer. Stops after `work_max` timers looked at; true if work
  // is left.
  bool run(Instant now, size_t work_max, const std::function<void(Entry&)>& expire);

  size_t size() const { return size_; }
  size_t bytes_used() const { return chunks_.size() * kChunkNodes * sizeof(Node); }

  static constexpr int kTickBits = 14;  // microseconds
  static constexpr size_t kEmptyTicksPerRun = 4096;

 private:
  static constexpr int kRingBits = 8;
  static constexpr uint64_t kRingSlots = uint64_t{1} << kRingBits;
  static constexpr int kRings = 4;
  static constexpr size_t kListHeads = kRings * kRingSlots;
  static constexpr size_t kChunkNodes = 1024;

  struct Node {
    Entry* entry = nullptr;
    uint32_t next = 0, previous = 0;  // a circle through the list's head
  };

  Node& node(uint32_t index) { return chunks_[index / kChunkNodes][index % kChunkNodes]; }
  uint32_t take_node();
  void link(uint32_t index, uint64_t tick);
  void unlink(uint32_t index);
  uint32_t head_of(uint64_t tick) const;
  bool cascade(size_t& work);  // false: out of work
  void start_at(Instant now);

  std::vector<std::unique_ptr<Node[]>> chunks_;
  uint32_t free_ = 0;     // chained through next; 0 = none
  uint64_t current_ = 0;  // the next tick to process
  size_t size_ = 0;
};

}  // namespace tidemark::cacheserver
