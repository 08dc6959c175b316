// One shard's stream, from pgoutput messages to what workers and the journal are given: the position, the recent
// commits, what is settled.
//
// A connection to the slot may come and go (begin_session); the slot then sends again what was not confirmed, and
// commits seen before are recognised by their position. Only restart_at() forgets.
// Threads: one. I/O: none. Limits: the window's bytes (CommitWindow); one transaction's keys (CommitAssembler).
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "replication/wal/commit_assembler.h"
#include "replication/wal/commit_window.h"
#include "replication/wal/settled_tracker.h"

namespace tidemark::replication {

class StreamIntake {
 public:
  struct Counters {
    uint64_t commits = 0, keys = 0, unknown_keys = 0, repeated = 0;
  };

  explicit StreamIntake(size_t window_bytes_max) : window_(window_bytes_max) {}

  // The journal is whole up to `tail`, but commits after `settled` may still be invisible on the primary; they follow
  // by restore_commit(), ascending. No settled (0/0): a barrier has to be passed again.
  void restore(Lsn tail, Lsn settled, Xid own_xid);
  void restore_commit(const Commit& commit) { tracker_.on_commit(commit.end_lsn, commit.xid); }
  void restored() { tracker_.on_position(position_); }

  // Nothing before `position` is known; own_xid was taken on the primary after the slot was active.
  void restart_at(Lsn position, Xid own_xid);

  // A new connection to the slot. `keymap` outlives the session.
  void begin_session(const Keymap& keymap);
  void end_session() { assembler_.reset(); }

  // One message of the session. kCorrupt: give up the connection.
  Status on_message(std::string_view pgoutput);
  // Nothing up to `wal_end` is missing; ignored inside a transaction.
  void on_keepalive(Lsn wal_end);
  void on_snapshot(const PgSnapshot& snapshot);

  // Commits after `journaled`, in order, that were not given before.
  std::vector<Commit> take_for_journal() { return std::exchange(for_journal_, {}); }
  void set_journaled(Lsn journaled) { journaled_ = journaled; }
  std::vector<std::string> take_refusals() {
    return assembler_ ? assembler_->take_refusals() : std::vector<std::string>();
  }

  void trim_window(Lsn durable) { window_.trim(durable); }

  Lsn position() const { return position_; }
  const CommitWindow& window() const { return window_; }
  const SettledTracker& tracker() const { return tracker_; }
  const Counters& counters() const { return counters_; }

 private:
  void on_commit(Commit commit);

  std::optional<CommitAssembler> assembler_;
  SettledTracker tracker_;
  CommitWindow window_;
  Lsn position_;
  Lsn journaled_;
  Xid xid_reference_ = 0;
  std::vector<Commit> for_journal_;
  Counters counters_;
};

}  // namespace tidemark::replication
