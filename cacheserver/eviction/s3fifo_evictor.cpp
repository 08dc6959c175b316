#include "cacheserver/eviction/s3fifo_evictor.h"

#include <algorithm>

namespace tidemark::cacheserver {
namespace {

// The marks: frequency 1..0, main queue 2.
constexpr uint8_t kFrequencyMask = 3;
constexpr uint8_t kMainMark = 4;
constexpr size_t kGhostsMin = 16;

uint32_t frequency_in(const ItemHead& head) {
  return head.policy_marks() & kFrequencyMask;
}

}  // namespace

void S3FifoEvictor::on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant) {
  add(id, ghosts_.take(hash) ? kMain : kSmall, 0, bytes);
  ghosts_.free_some();
}

void S3FifoEvictor::on_hit(ItemId id, uint64_t, Instant) {
  ItemHead& head = lists_.memory().at(id);
  if (frequency_in(head) < kFrequencyMax) head.set_policy_marks(static_cast<uint8_t>(head.policy_marks() + 1));
}

void S3FifoEvictor::on_resize(ItemId id, uint32_t bytes_before, uint32_t bytes_after) {
  bytes_[queue_of(id)] += bytes_after;
  bytes_[queue_of(id)] -= bytes_before;
}

void S3FifoEvictor::on_move(ItemId from, ItemId to) {
  lists_.replace(from, to);
}

void S3FifoEvictor::on_remove(ItemId id, uint32_t bytes) {
  take(id, bytes);
}

void S3FifoEvictor::on_evict(ItemId id, uint64_t hash, uint32_t bytes) {
  if (queue_of(id) == kSmall) {
    if (!ghosts_.is_started()) ghosts_.start(std::max(size_, kGhostsMin));
    ghosts_.set_capacity(size_);
    ghosts_.insert(hash);
  }
  take(id, bytes);
}

ItemId S3FifoEvictor::choose_victim(Instant) {
  for (int step = 0;; ++step) {
    const bool is_small_full = bytes_[kSmall] * 100 >= (bytes_[kSmall] + bytes_[kMain]) * kSmallPercent;
    const bool from_small = !lists_.is_empty(kSmall) && (is_small_full || lists_.is_empty(kMain));
    const ItemId oldest = lists_.oldest(from_small ? kSmall : kMain);
    if (oldest == kNoItem || step == kStepsMax) return oldest;
    const uint32_t frequency = frequency_in(lists_.memory().at(oldest));
    if (frequency < (from_small ? kPromoteAt : 1)) return oldest;
    const uint32_t bytes = source_.bytes_of(oldest);
    take(oldest, bytes);
    add(oldest, kMain, from_small ? 0 : frequency - 1, bytes);
  }
}

void S3FifoEvictor::on_clear() {
  lists_.clear();
  ghosts_.clear();
  bytes_[kSmall] = bytes_[kMain] = size_ = 0;
}

std::optional<uint64_t> S3FifoEvictor::frequency(ItemId id) const {
  return frequency_in(lists_.memory().at(id));
}

S3FifoEvictor::Queue S3FifoEvictor::queue_of(ItemId id) const {
  return (lists_.memory().at(id).policy_marks() & kMainMark) != 0 ? kMain : kSmall;
}

void S3FifoEvictor::add(ItemId id, Queue queue, uint32_t frequency, uint32_t bytes) {
  lists_.memory().at(id).set_policy_marks(static_cast<uint8_t>(frequency | (queue == kMain ? kMainMark : 0)));
  lists_.push_newest(queue, id);
  bytes_[queue] += bytes;
  ++size_;
}

void S3FifoEvictor::take(ItemId id, uint32_t bytes) {
  bytes_[queue_of(id)] -= bytes;
  lists_.remove(id);
  --size_;
}

}  // namespace tidemark::cacheserver
