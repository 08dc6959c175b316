// The invalidator's durable copy of the invalidation stream, in RocksDB: one database for all shards of this process.
//
//   'm' shard           -> JournalMeta: where the journal begins and ends, and under which circumstances it was written
//   'r' shard lsn       -> JournalRecord (prev_lsn, lsn, commits); numbers big-endian, so that a shard's records are in
//   order
//
// For each shard the records cover (begin, tail] without a hole: every commit in between that touches a key is there.
// append() returns after its fsync; only then may the slot be confirmed. After cut() nothing before can be replayed.
// Threads: any, one call per shard at a time. Errors: kNotFound when a replay would have to begin before `begin`;
// kCorrupt when a record does not decode (the caller then cuts).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "replication/wal/invalidation_batch.h"
#include "replication/wal/journal_retention.h"

namespace tidemark::replication::io {

struct JournalMeta {
  Lsn begin;
  Lsn tail;
  Lsn settled;  // commits beyond it may be invisible on the primary
  std::string system_id;
  uint32_t timeline = 0;
  DbEpoch db_epoch = 0;
  uint64_t families_fingerprint = 0;  // every worker has revalidated under these families …
  uint32_t slots_version = 0;         // … and this slot table, or was never joined
  bool operator==(const JournalMeta&) const = default;
};

class Journal {
 public:
  static constexpr size_t kReplayBytesMax = 8u << 20;  // per read_after()

  static Result<std::unique_ptr<Journal>> open(const std::filesystem::path& directory);
  virtual ~Journal() = default;

  // kNotFound: nothing is known about this shard.
  virtual Result<JournalMeta> load_meta(ShardId shard) = 0;
  // Feeds the records' sizes and times into `retention`, as after a restart.
  virtual Status load_retention(ShardId shard, JournalRetention& retention) = 0;

  // Records and meta in one atomic, synced write.
  virtual Status append(ShardId shard, const std::vector<JournalRecord>& records, const JournalMeta& meta) = 0;
  // Drops every record and begins anew at meta.begin == meta.tail.
  virtual Status cut(ShardId shard, const JournalMeta& meta) = 0;
  // Drops records up to `through`; meta.begin is that position already.
  virtual Status trim(ShardId shard, Lsn through, const JournalMeta& meta) = 0;

  // Commits after `position`, at most about kReplayBytesMax; the result's lsn is the position they reach.
  virtual Result<JournalRecord> read_after(ShardId shard, Lsn position) = 0;
};

}  // namespace tidemark::replication::io
