// The newest commits of the stream in memory, from which workers that keep up are fed; the rest is in the journal.
//
//   begin 100 | commits 110 120 130 |      a worker at 100 or beyond is served from here, one at 90 from the journal
//
// Invariants: ascending by end_lsn; commits that are not durable in the journal yet are never dropped, so that window
// and journal together have no hole. Threads: one. I/O: none. Limits: bytes_max of durable commits; the shell stops
// reading the stream while bytes() is beyond its own limit.
#pragma once

#include <deque>

#include "replication/wal/commit.h"

namespace tidemark::replication {

class CommitWindow {
 public:
  using Iterator = std::deque<Commit>::const_iterator;

  explicit CommitWindow(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Empties it; the next commit follows `begin`.
  void reset(Lsn begin);
  void push(Commit commit);
  // Drops the oldest commits up to `durable` while the window is too large.
  void trim(Lsn durable);

  Lsn begin_lsn() const { return begin_; }
  size_t bytes() const { return bytes_; }
  size_t size() const { return commits_.size(); }
  // The first commit after `position`; requires position >= begin_lsn(). Valid until the next push or trim.
  Iterator find_after(Lsn position) const;
  Iterator end() const { return commits_.end(); }

 private:
  size_t bytes_max_;
  std::deque<Commit> commits_;
  Lsn begin_;
  size_t bytes_ = 0;
};

}  // namespace tidemark::replication
