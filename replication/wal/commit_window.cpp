#include "replication/wal/commit_window.h"

#include <algorithm>

#include "base/invariant.h"

namespace tidemark::replication {

void CommitWindow::reset(Lsn begin) {
  commits_.clear();
  bytes_ = 0;
  begin_ = begin;
}

void CommitWindow::push(Commit commit) {
  INVARIANT(commit.end_lsn > (commits_.empty() ? begin_ : commits_.back().end_lsn), commit.end_lsn.value, begin_.value);
  bytes_ += commit.bytes();
  commits_.push_back(std::move(commit));
}

void CommitWindow::trim(Lsn durable) {
  while (bytes_ > bytes_max_ && !commits_.empty() && commits_.front().end_lsn <= durable) {
    bytes_ -= commits_.front().bytes();
    begin_ = commits_.front().end_lsn;
    commits_.pop_front();
  }
}

CommitWindow::Iterator CommitWindow::find_after(Lsn position) const {
  INVARIANT(position >= begin_, position.value, begin_.value);
  return std::ranges::upper_bound(commits_, position, {}, &Commit::end_lsn);
}

}  // namespace tidemark::replication
