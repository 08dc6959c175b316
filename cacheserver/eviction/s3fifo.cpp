#include "cacheserver/eviction/s3fifo.h"

#include <algorithm>

namespace tidemark::cacheserver {
namespace {

// The policy word: position in the queue 31..3, frequency 2..1, main queue 0.
constexpr uint32_t kMain = 1;
constexpr uint32_t kFrequencyMask = 6;
constexpr uint32_t kFrequencyShift = 1;
constexpr uint32_t kPositionShift = 3;
constexpr size_t kHolesMin = 64;
constexpr int kCompactionsPerRemoval = 2;

uint32_t position_of(const Entry& entry) {
  return entry.policy_word() >> kPositionShift;
}
uint32_t frequency_of(const Entry& entry) {
  return (entry.policy_word() & kFrequencyMask) >> kFrequencyShift;
}
bool is_main(const Entry& entry) {
  return (entry.policy_word() & kMain) != 0;
}

}  // namespace

S3Fifo::Queue& S3Fifo::queue_of(const Entry& entry) {
  return is_main(entry) ? main_ : small_;
}

void S3Fifo::add(Entry& entry, bool to_main, uint32_t frequency) {
  Queue& queue = to_main ? main_ : small_;
  const uint32_t position = queue.entries.push(entry);
  queue.bytes += entry.bytes_allocated();
  entry.set_policy_word(position << kPositionShift | frequency << kFrequencyShift | (to_main ? kMain : 0));
}

void S3Fifo::take(Entry& entry) {
  Queue& queue = queue_of(entry);
  queue.bytes -= entry.bytes_allocated();
  queue.entries.remove(position_of(entry));
}

void S3Fifo::on_insert(Entry& entry, uint64_t hash, Instant) {
  add(entry, ghosts_.take(hash), 0);
}

void S3Fifo::on_hit(Entry& entry, Instant) {
  if (frequency_of(entry) < kFrequencyMax) entry.set_policy_word(entry.policy_word() + (1u << kFrequencyShift));
}

void S3Fifo::on_move(Entry& from, Entry& to) {
  Queue& queue = queue_of(to);
  queue.entries.replace(position_of(to), to);
  queue.bytes += to.bytes_allocated() - from.bytes_allocated();
}

void S3Fifo::on_remove(Entry& entry) {
  Queue& queue = queue_of(entry);
  take(entry);
  compact(queue);
}

void S3Fifo::on_evict(Entry& entry, uint64_t hash) {
  const bool failed_trial = !is_main(entry);
  take(entry);
  if (failed_trial) ghosts_.insert(hash, small_.entries.size() + main_.entries.size());
}

// Entries erased in the middle leave holes. When most places are holes, the oldest entries go round to the back: the
// order suffers a little, but only where erasing, not eviction, makes the room.
void S3Fifo::compact(Queue& queue) {
  for (int i = 0; i < kCompactionsPerRemoval; ++i) {
    Entry* oldest = queue.entries.front();
    if (oldest == nullptr || queue.entries.holes() < kHolesMin + queue.entries.size()) return;
    const bool to_main = is_main(*oldest);
    const uint32_t frequency = frequency_of(*oldest);
    take(*oldest);
    add(*oldest, to_main, frequency);
  }
}

Entry* S3Fifo::choose_victim(EntrySampler&, Instant) {
  for (int step = 0;; ++step) {
    const bool is_small_full = small_.bytes * 100 >= (small_.bytes + main_.bytes) * kSmallPercent;
    const bool from_small = !small_.entries.is_empty() && (is_small_full || main_.entries.is_empty());
    Entry* oldest = (from_small ? small_ : main_).entries.front();
    if (oldest == nullptr || step == kStepsMax) return oldest;
    const uint32_t frequency = frequency_of(*oldest);
    if (frequency < (from_small ? kPromoteAt : 1)) return oldest;
    take(*oldest);
    add(*oldest, true, from_small ? 0 : frequency - 1);
  }
}

void S3Fifo::on_clear() {
  small_ = {};
  main_ = {};
  ghosts_.clear();
}

size_t S3Fifo::bytes_used() const {
  return small_.entries.bytes_used() + main_.entries.bytes_used() + ghosts_.bytes_used();
}

std::optional<uint64_t> S3Fifo::frequency(const Entry& entry) const {
  return frequency_of(entry);
}

}  // namespace tidemark::cacheserver
