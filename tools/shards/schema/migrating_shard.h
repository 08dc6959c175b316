// One shard as a migration sees it: what its ledger says, and each action of the machine as one transaction.
//
// Locks are asked for with a limit (kLockTimeout) and never waited for: an ALTER that waits makes every reader wait
// behind it. Who cannot have one gets kAborted, nothing done. Contract and undo also lock shard.bucket and shard.move
// against a bucket move that would begin now, and look at the readers again, in their own transaction.
// Threads: one. I/O: libpq, blocking.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "shardrouter/schema/migration_machine.h"
#include "tools/shards/pg_session.h"
#include "tools/shards/shards_file.h"
#include "tools/shards/table_lint.h"

namespace tidemark::shards {

class MigratingShard {
 public:
  static constexpr const char* kLockTimeout = "100ms";
  static constexpr const char* kRowLockTimeout = "200ms";       // a backfill's batch
  static constexpr const char* kConcurrentLockTimeout = "30s";  // CREATE INDEX CONCURRENTLY waits, and blocks nobody
  static constexpr const char* kBatchTimeout = "30s";

  // Connects as the owner; kFailedPrecondition if another migration tool is at work there, or init never was.
  static Result<MigratingShard> open(const AdminShard& shard, bool is_alone = true);

  ShardId id() const { return id_; }
  PgSession& session() { return session_; }
  Result<shardrouter::ShardSituation> read_situation();

  // kAborted: a lock was not to be had, nothing was done. `families` are what the tables are checked against.
  Status run_script(const shardrouter::Migration& migration, shardrouter::Phase phase, ShardId original,
                    const std::vector<SourceTable>& families);

  Result<uint64_t> count_remaining(const shardrouter::Backfill& backfill);
  Result<shardrouter::migration::BucketList> read_buckets(const shardrouter::Backfill& backfill);
  // Nothing: the bucket is not owned here any more.
  Result<std::optional<shardrouter::BatchAnswer>> run_batch(const shardrouter::Migration& migration,
                                                            const shardrouter::Backfill& backfill,
                                                            const shardrouter::BatchRequest& request);
  Status mark_backfilled(const shardrouter::Migration& migration);
  Result<uint64_t> lag_bytes();  // of the replica, or of the invalidator, that is furthest behind

  std::string oldest_transaction();  // for the one who waits: "pid 42 (psql), 3 s: UPDATE …"

 private:
  MigratingShard(ShardId id, PgSession session) : id_(id), session_(std::move(session)) {}
  Status in_transaction(const std::string& lock_timeout, const std::function<Status()>& work);
  Status run_in_transaction(const shardrouter::Migration& migration, const shardrouter::MigrationFile& file,
                            ShardId original, const std::vector<SourceTable>& families);
  Status run_concurrently(const shardrouter::Migration& migration, const shardrouter::MigrationFile& file);
  Status build_index(const shardrouter::SqlStatement& statement);
  Status forbid_moves_and_readers(const shardrouter::Migration& migration, shardrouter::Phase phase);
  Status refuse_full_tables(const shardrouter::MigrationFile& file);
  Result<std::vector<std::string>> lint(const std::vector<SourceTable>& families);
  Status write_ledger(const shardrouter::Migration& migration, shardrouter::Phase phase, std::string_view state,
                      uint64_t rows = 0);
  Result<bool> has_buckets(const std::string& table);
  Result<std::vector<shardrouter::KeyColumn>> key_of(const std::string& table);

  ShardId id_;
  PgSession session_;
  std::map<std::string, std::vector<shardrouter::KeyColumn>> keys_;  // by table; DDL in between is our own
};

}  // namespace tidemark::shards
