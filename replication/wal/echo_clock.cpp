#include "replication/wal/echo_clock.h"

#include <algorithm>

namespace tidemark::replication {

void EchoClock::on_sample_started(uint64_t sample) {
  if (newest_ == 0 || samples_.size() >= kSamplesMax) return;
  samples_.push_back({sample, newest_, std::nullopt});
}

void EchoClock::on_sample(uint64_t sample, Lsn insert_lsn) {
  auto found = std::ranges::find(samples_, sample, &Sample::id);
  if (found != samples_.end()) found->insert_lsn = insert_lsn;
}

void EchoClock::on_sample_lost(uint64_t sample) {
  std::erase_if(samples_, [sample](const Sample& s) { return s.id == sample; });
}

uint64_t EchoClock::take_echo(Lsn lsn) {
  while (!samples_.empty() && samples_.front().insert_lsn && *samples_.front().insert_lsn <= lsn) {
    usable_ = samples_.front().stamp;
    usable_from_ = *samples_.front().insert_lsn;
    samples_.pop_front();
  }
  return usable_from_ <= lsn ? usable_ : 0;
}

}  // namespace tidemark::replication
