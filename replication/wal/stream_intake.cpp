#include "replication/wal/stream_intake.h"

#include <algorithm>

#include "replication/wal/pgoutput_decoder.h"

namespace tidemark::replication {

void StreamIntake::restore(Lsn tail, Lsn settled, Xid own_xid) {
  restart_at(tail, own_xid);
  tracker_.reset();
  if (settled.is_zero()) tracker_.require_barrier(own_xid);
}

void StreamIntake::restart_at(Lsn position, Xid own_xid) {
  position_ = journaled_ = position;
  window_.reset(position);
  for_journal_.clear();
  tracker_.reset();
  tracker_.on_position(position);
  tracker_.require_barrier(own_xid);
  xid_reference_ = std::max(xid_reference_, own_xid);
}

void StreamIntake::begin_session(const Keymap& keymap) {
  assembler_.emplace(keymap);
}

Status StreamIntake::on_message(std::string_view pgoutput) {
  if (!assembler_) return fail(ErrorCode::kCorrupt, "message outside a session");
  auto message = decode_pgoutput(pgoutput);
  if (!message) return std::unexpected(message.error());
  auto commit = assembler_->on_message(*message, xid_reference_);
  if (!commit) return std::unexpected(commit.error());
  if (*commit) on_commit(std::move(**commit));
  return {};
}

void StreamIntake::on_commit(Commit commit) {
  if (commit.end_lsn > journaled_) {
    for_journal_.push_back(commit);
    journaled_ = commit.end_lsn;
  }
  if (commit.end_lsn <= position_) {
    ++counters_.repeated;
    return;
  }
  ++counters_.commits;
  counters_.keys += commit.keys.size();
  counters_.unknown_keys += commit.invalidates_all ? 1 : 0;
  position_ = commit.end_lsn;
  tracker_.on_commit(commit.end_lsn, commit.xid);
  window_.push(std::move(commit));
}

void StreamIntake::on_keepalive(Lsn wal_end) {
  if (!assembler_ || assembler_->is_in_transaction()) return;
  position_ = std::max(position_, wal_end);
  tracker_.on_position(position_);
}

void StreamIntake::on_snapshot(const PgSnapshot& snapshot) {
  xid_reference_ = std::max(xid_reference_, snapshot.xmax);
  tracker_.on_snapshot(snapshot);
}

}  // namespace tidemark::replication
