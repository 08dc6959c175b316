#include "client/strategy/position_clock.h"

#include <algorithm>

namespace tidemark::client {

void PositionClock::note(DbEpoch db_epoch, Lsn inserted, Instant before_asking) {
  if (db_epoch < db_epoch_) return;  // an old server answered late
  if (db_epoch > db_epoch_ ||
      (!samples_.empty() && inserted < samples_.back().inserted && before_asking >= samples_.back().moment)) {
    samples_.clear();
  }
  db_epoch_ = db_epoch;
  if (!samples_.empty() && before_asking < samples_.back().moment) return;  // two polls crossed
  if (!samples_.empty() && samples_.back().inserted == inserted) {
    samples_.back().moment = before_asking;
    return;
  }
  samples_.push_back({inserted, before_asking});
  if (samples_.size() > kSamplesMax) samples_.pop_front();
}

std::optional<Instant> PositionClock::moment_of(DbEpoch db_epoch, Lsn replayed) const {
  if (db_epoch != db_epoch_) return std::nullopt;
  auto above = std::upper_bound(samples_.begin(), samples_.end(), replayed,
                                [](Lsn lsn, const Sample& sample) { return lsn < sample.inserted; });
  if (above == samples_.begin()) return std::nullopt;
  return std::prev(above)->moment;
}

std::optional<Lsn> PositionClock::position_at_most(Duration max_stale, Instant now) const {
  auto young = std::find_if(samples_.begin(), samples_.end(),
                            [&](const Sample& sample) { return now - sample.moment <= max_stale; });
  if (young == samples_.end()) return std::nullopt;
  return young->inserted;
}

}  // namespace tidemark::client
