#include "replication/wal/settled_tracker.h"

#include <algorithm>

namespace tidemark::replication {

void SettledTracker::on_commit(Lsn end_lsn, Xid xid) {
  if (end_lsn <= position_) return;  // sent again by the slot
  unsettled_.push_back({end_lsn, xid});
  position_ = end_lsn;
}

void SettledTracker::on_position(Lsn position) {
  position_ = std::max(position_, position);
}

void SettledTracker::on_snapshot(const PgSnapshot& snapshot) {
  if (barrier_ && snapshot.xmin <= *barrier_) return;
  barrier_.reset();
  while (!unsettled_.empty() && snapshot.sees(unsettled_.front().xid)) {
    last_seen_ = unsettled_.front().end_lsn;
    unsettled_.pop_front();
  }
  settled_ = std::max(settled_, unsettled_.empty() ? position_ : last_seen_);
  snapshot_ = snapshot;
}

void SettledTracker::require_barrier(Xid own_xid) {
  barrier_ = own_xid;
}

void SettledTracker::reset() {
  *this = SettledTracker();
}

std::optional<Lsn> SettledTracker::first_unsettled() const {
  if (unsettled_.empty()) return std::nullopt;
  return unsettled_.front().end_lsn;
}

}  // namespace tidemark::replication
