// Applies the stream at the target, in batches that end between commits.
//
// A batch is one transaction: shard.move_applying first (nobody has decided against the move), the rows, and the
// origin's new position, so that after any crash the target knows exactly which commits it holds. Commits of another
// move (origin "mv_…") are not the application's and are left out. Threads: one.
// Limits: kPipelineMax statements are sent before their results are read.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/proof/lsn.h"
#include "replication/wal/wal_message.h"
#include "tools/shards/move/apply_sql.h"
#include "tools/shards/move/pg_link.h"

namespace tidemark::shards {

class ChangeApplier {
 public:
  static constexpr size_t kPipelineMax = 500;

  // `link` has the origin set up and is in no transaction; `held` is the origin's position. `tables` outlives this.
  ChangeApplier(PgLink& link, std::string move_id, const std::vector<MovedTable>& tables, Lsn held)
      : link_(&link), move_id_(std::move(move_id)), tables_(&tables), applied_(held), durable_from_(held) {}

  Status on_message(std::string_view pgoutput);

  // Commits what was applied; only between the stream's transactions. is_lazy: without waiting for the disk (a later
  // commit, waited for, makes it durable too).
  Status flush(bool is_lazy = false);

  // The stream has come to `position` without rows of ours: kept too, or the source would keep its WAL for ever.
  Status note_idle(Lsn position);

  size_t pending() const { return statements_; }  // statements of the open batch
  Lsn applied() const { return applied_; }        // end of the last commit that was flushed
  int64_t rows() const { return rows_; }
  int marker() const { return marker_; }          // newest attempt whose marker was seen, 0: none
  Lsn marker_end() const { return marker_end_; }  // end of that commit
  int rehearsal() const { return rehearsal_; }    // number of the newest that was seen
  Lsn rehearsal_end() const { return rehearsal_end_; }
  bool is_between_transactions() const { return !is_in_transaction_; }

 private:
  Status apply(const replication::RelationMessage& message);
  Status send(const std::string& sql, const std::vector<std::optional<std::string>>& params, bool must_hit);
  Status send_prepared(const RowStatement& statement);
  Status drain();
  Status begin();
  template <typename Message>
  Status on_row(const Message& message);

  PgLink* link_;
  std::string move_id_;
  const std::vector<MovedTable>* tables_;
  std::unordered_map<replication::RelationId, BoundRelation> relations_;
  replication::RelationId marker_relation_ = 0;
  std::map<std::string, std::string> prepared_;  // statement's name -> the server's short one
  std::vector<bool> expected_;                   // of each statement sent and not yet read: must it hit one row?
  bool is_in_transaction_ = false, is_skipped_ = false, is_open_ = false, is_pipelined_ = false;
  size_t statements_ = 0;
  int64_t rows_ = 0;
  Lsn applied_, durable_from_, last_end_;
  int marker_ = 0, seen_marker_ = 0, rehearsal_ = 0;
  Lsn marker_end_, rehearsal_end_;
};

}  // namespace tidemark::shards
