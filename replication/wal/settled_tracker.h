// Finds `settled`: the position up to which every commit is visible to any snapshot taken on the primary from now on.
//
// A commit is decoded once it is flushed, but becomes visible only when its backend has left the proc array; with a
// synchronous standby that hangs the gap is unbounded. So the commit stream is compared with snapshots Q of the
// primary:
//
//   stream:    a(end 10, xid 7)   b(end 20, xid 9)   c(end 30, xid 8)   position 35
//   Q = 8:10:9 sees 7 and 8, not 9          -> settled 10: the longest prefix that Q sees is {a}
//   Q = 10:10: sees all                     -> settled 35: nothing up to the position is unseen
//
// A commit that this process has not seen in the stream (decoded and confirmed by another invalidator that lost its
// journal) would make "longest prefix" vacuous: it may be invisible and not even be listed in Q (its xid >= xmax).
// After an attach without a continuous journal require_barrier(X0) holds everything back until Q.xmin > X0, where X0 is
// an xid taken on the primary after the slot was active: then every such commit has an xid < X0 and is seen.
// Invariants: settled() never decreases, except through reset(). Threads: one. I/O: none.
#pragma once

#include <deque>
#include <optional>

#include "base/proof/lsn.h"
#include "base/proof/pg_snapshot.h"

namespace tidemark::replication {

class SettledTracker {
 public:
  // Stream order; end_lsn ascending.
  void on_commit(Lsn end_lsn, Xid xid);
  // Everything up to `position` has been decoded.
  void on_position(Lsn position);
  // A snapshot taken on the primary of this stream. Snapshots come in the order they were taken.
  void on_snapshot(const PgSnapshot& snapshot);

  void require_barrier(Xid own_xid);
  void reset();  // another incarnation of the database, or a stream that starts anew

  bool has_settled() const { return !settled_.is_zero(); }
  Lsn settled() const { return settled_; }                  // 0/0: nothing may be claimed
  const PgSnapshot& snapshot() const { return snapshot_; }  // the newest one under which settled() was found
  // Commits that must not leave the journal yet start here; nothing: none is unsettled.
  std::optional<Lsn> first_unsettled() const;
  size_t unsettled_count() const { return unsettled_.size(); }
  bool is_behind_barrier() const { return barrier_.has_value(); }

 private:
  struct Entry {
    Lsn end_lsn;
    Xid xid = 0;
  };
  std::deque<Entry> unsettled_;
  Lsn position_;
  Lsn last_seen_;  // end of the last commit that was found visible
  Lsn settled_;
  PgSnapshot snapshot_;
  std::optional<Xid> barrier_;
};

}  // namespace tidemark::replication
