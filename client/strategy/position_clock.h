// From a replica's replayed position to "how old can its answer be", without comparing two clocks.
//
// Samples say: at this moment of our own clock (read *before* asking) the primary had inserted WAL up to this LSN.
// Every commit before that moment lies at or below that LSN, so an answer that contains the LSN is at most that old:
//
//   t=100 ms: 0/500   t=200 ms: 0/900   t=300 ms: 0/900         replica replayed 0/700: moment 100 ms
//                                                               replica replayed 0/900: moment 300 ms
//
// Positions of two db_epochs are not comparable, and a position that went back belongs to another history: samples of
// the old one are dropped. Threads: owned by one. Limits: kSamplesMax, the oldest goes first.
#pragma once

#include <deque>
#include <optional>

#include "base/clock.h"
#include "base/proof/lsn.h"

namespace tidemark::client {

class PositionClock {
 public:
  static constexpr size_t kSamplesMax = 1024;

  void note(DbEpoch db_epoch, Lsn inserted, Instant before_asking);

  // The newest moment whose commits are all contained in `replayed`.
  std::optional<Instant> moment_of(DbEpoch db_epoch, Lsn replayed) const;
  // The lowest position that makes an answer at most `max_stale` old now; nothing if no sample is that young.
  std::optional<Lsn> position_at_most(Duration max_stale, Instant now) const;
  // The primary's last known position; nothing if none is known.
  std::optional<Lsn> newest() const {
    return samples_.empty() ? std::nullopt : std::optional(samples_.back().inserted);
  }

 private:
  struct Sample {
    Lsn inserted;
    Instant moment;
  };
  DbEpoch db_epoch_ = 0;
  std::deque<Sample> samples_;  // both ascending, positions strictly
};

}  // namespace tidemark::client
