#include "cacheserver/keyspace/expiry_wheel.h"

#include <algorithm>

#include "base/invariant.h"

namespace tidemark::cacheserver {
namespace {

uint64_t micros_of(Instant at) {
  return static_cast<uint64_t>(std::max<int64_t>(0, at.time_since_epoch().count()));
}

// The first tick at which `at` has passed.
uint64_t tick_after(Instant at) {
  constexpr uint64_t kTick = uint64_t{1} << ExpiryWheel::kTickBits;
  return (micros_of(at) + kTick - 1) >> ExpiryWheel::kTickBits;
}

}  // namespace

// Nodes 0 to kListHeads - 1 are the heads of the lists; index 0 doubles as "none", for no entry ever gets a head.
ExpiryWheel::ExpiryWheel() {
  static_assert(kListHeads % kChunkNodes == 0);
  while (chunks_.size() * kChunkNodes < kListHeads) chunks_.push_back(std::make_unique<Node[]>(kChunkNodes));
  for (uint32_t i = 0; i < kListHeads; ++i) node(i).next = node(i).previous = i;
}

void ExpiryWheel::schedule(Entry& entry, Instant at, Instant now) {
  if (size_ == 0) start_at(now);
  uint32_t index = entry.timer();
  if (index != 0) {
    unlink(index);
  } else {
    index = take_node();
    node(index).entry = &entry;
    entry.set_timer(index);
    ++size_;
  }
  link(index, tick_after(at));
}

void ExpiryWheel::cancel(Entry& entry) {
  uint32_t index = entry.timer();
  if (index == 0) return;
  unlink(index);
  node(index) = {.entry = nullptr, .next = free_, .previous = 0};
  free_ = index;
  entry.set_timer(0);
  --size_;
}

void ExpiryWheel::on_move(Entry& to) {
  if (to.timer() != 0) node(to.timer()).entry = &to;
}

bool ExpiryWheel::run(Instant now, size_t work_max, const std::function<void(Entry&)>& expire) {
  const uint64_t target = micros_of(now) >> kTickBits;
  size_t work = work_max;
  for (size_t ticks = 0; current_ <= target; ++ticks) {
    if (size_ == 0) {
      start_at(now);
      return false;
    }
    if (ticks == kEmptyTicksPerRun || !cascade(work)) return true;
    const auto head = static_cast<uint32_t>(current_ % kRingSlots);
    while (node(head).next != head) {
      if (work-- == 0) return true;
      Entry& due = *node(node(head).next).entry;
      expire(due);
    }
    ++current_;
  }
  return false;
}

// When a ring has gone round, the next list of the ring above is dealt out to the rings below.
bool ExpiryWheel::cascade(size_t& work) {
  for (int ring = 1; ring < kRings; ++ring) {
    const int shift = ring * kRingBits;
    if ((current_ & ((uint64_t{1} << shift) - 1)) != 0) break;
    const auto head = static_cast<uint32_t>(ring * kRingSlots + (current_ >> shift) % kRingSlots);
    while (node(head).next != head) {
      if (work == 0) return false;
      --work;
      uint32_t index = node(head).next;
      unlink(index);
      link(index, tick_after(*node(index).entry->expires_at()));
    }
  }
  return true;
}

uint32_t ExpiryWheel::head_of(uint64_t tick) const {
  constexpr uint64_t kHorizon = (uint64_t{1} << (kRings * kRingBits)) - 1;
  tick = std::clamp(tick, current_, current_ + kHorizon);
  const uint64_t distance = tick - current_;
  int ring = 0;
  while (distance >> ((ring + 1) * kRingBits) != 0) ++ring;
  return static_cast<uint32_t>(static_cast<uint64_t>(ring) * kRingSlots + (tick >> (ring * kRingBits)) % kRingSlots);
}

void ExpiryWheel::link(uint32_t index, uint64_t tick) {
  const uint32_t head = head_of(tick);
  const uint32_t last = node(head).previous;
  node(index).next = head;
  node(index).previous = last;
  node(last).next = index;
  node(head).previous = index;
}

void ExpiryWheel::unlink(uint32_t index) {
  const Node& gone = node(index);
  node(gone.previous).next = gone.next;
  node(gone.next).previous = gone.previous;
}

uint32_t ExpiryWheel::take_node() {
  if (free_ == 0) {
    auto first = static_cast<uint32_t>(chunks_.size() * kChunkNodes);
    chunks_.push_back(std::make_unique<Node[]>(kChunkNodes));
    for (uint32_t i = kChunkNodes; i-- > 0;) {
      node(first + i).next = free_;
      free_ = first + i;
    }
  }
  uint32_t index = free_;
  free_ = node(index).next;
  return index;
}

void ExpiryWheel::start_at(Instant now) {
  current_ = std::max(current_, micros_of(now) >> kTickBits);
}

}  // namespace tidemark::cacheserver
