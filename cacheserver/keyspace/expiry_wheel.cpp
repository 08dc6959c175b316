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

ExpiryWheel::ExpiryWheel(ItemMemory memory) : memory_(memory) {
  for (uint32_t i = 0; i < kListHeads; ++i) heads_[i] = {kFirstHead + i, kFirstHead + i};
}

void ExpiryWheel::set_next(ItemId id, ItemId next) {
  if (id < kFirstHead) {
    entry(id).set_timer_next(next);
  } else {
    heads_[id - kFirstHead].next = next;
  }
}

void ExpiryWheel::set_previous(ItemId id, ItemId previous) {
  if (id < kFirstHead) {
    entry(id).set_timer_previous(previous);
  } else {
    heads_[id - kFirstHead].previous = previous;
  }
}

void ExpiryWheel::schedule(Entry& entry, Instant at, Instant now) {
  if (size_ == 0) start_at(now);
  if (entry.timer_next() != kNoItem) {
    unlink(entry);
  } else {
    ++size_;
  }
  link(entry, tick_after(at));
}

void ExpiryWheel::cancel(Entry& entry) {
  if (!entry.has_expiry_section() || entry.timer_next() == kNoItem) return;
  unlink(entry);
  entry.set_timer_next(kNoItem);
  --size_;
}

void ExpiryWheel::on_move(Entry& to) {
  if (!to.has_expiry_section() || to.timer_next() == kNoItem) return;
  const ItemId id = memory_.id_of(to);
  set_next(to.timer_previous(), id);
  set_previous(to.timer_next(), id);
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
    const ItemId head = kFirstHead + static_cast<ItemId>(current_ % kRingSlots);
    while (next_of(head) != head) {
      if (work-- == 0) return true;
      expire(entry(next_of(head)));
    }
    ++current_;
  }
  return false;
}

Entry* ExpiryWheel::first_due(Instant now) const {
  if (size_ == 0 || current_ > micros_of(now) >> kTickBits) return nullptr;
  const ItemId head = kFirstHead + static_cast<ItemId>(current_ % kRingSlots);
  return next_of(head) == head ? nullptr : &entry(next_of(head));
}

// When a ring has gone round, the next list of the ring above is dealt out to the rings below.
bool ExpiryWheel::cascade(size_t& work) {
  for (int ring = 1; ring < kRings; ++ring) {
    const int shift = ring * kRingBits;
    if ((current_ & ((uint64_t{1} << shift) - 1)) != 0) break;
    const auto list = static_cast<ItemId>(static_cast<uint64_t>(ring) * kRingSlots + (current_ >> shift) % kRingSlots);
    const ItemId head = kFirstHead + list;
    while (next_of(head) != head) {
      if (work == 0) return false;
      --work;
      Entry& dealt = entry(next_of(head));
      unlink(dealt);
      link(dealt, tick_after(*dealt.expires_at()));
    }
  }
  return true;
}

ItemId ExpiryWheel::head_of(uint64_t tick) const {
  constexpr uint64_t kHorizon = (uint64_t{1} << (kRings * kRingBits)) - 1;
  tick = std::clamp(tick, current_, current_ + kHorizon);
  const uint64_t distance = tick - current_;
  int ring = 0;
  while (distance >> ((ring + 1) * kRingBits) != 0) ++ring;
  return kFirstHead +
         static_cast<ItemId>(static_cast<uint64_t>(ring) * kRingSlots + (tick >> (ring * kRingBits)) % kRingSlots);
}

void ExpiryWheel::link(Entry& entry, uint64_t tick) {
  const ItemId head = head_of(tick);
  const ItemId id = memory_.id_of(entry);
  const ItemId last = heads_[head - kFirstHead].previous;
  entry.set_timer_next(head);
  entry.set_timer_previous(last);
  set_next(last, id);
  heads_[head - kFirstHead].previous = id;
}

void ExpiryWheel::unlink(Entry& entry) {
  set_next(entry.timer_previous(), entry.timer_next());
  set_previous(entry.timer_next(), entry.timer_previous());
}

void ExpiryWheel::start_at(Instant now) {
  current_ = std::max(current_, micros_of(now) >> kTickBits);
}

}  // namespace tidemark::cacheserver
