// A write that its shard may refuse: guard first, commit token last, all in one round trip.
//
//   BEGIN ISOLATION LEVEL READ COMMITTED
//   SELECT shard.guard(bucket, epoch, at_least)   for every bucket, ascending; gives the db_epoch
//   …the caller's statements…
//   SELECT pg_current_xact_id()::text
//   COMMIT                              Sync
//   SELECT pg_current_wal_insert_lsn()  Sync: after the commit, hence >= the end of its record
//
// The guard is also refused when the statements would match no row. Threads: pure functions. I/O: none.
#pragma once

#include <vector>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "base/slot.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shardrouter {

struct BucketAtEpoch {
  Bucket bucket = 0;
  BucketEpoch epoch = 0;
  auto operator<=>(const BucketAtEpoch&) const = default;
};

// Names a commit: enough for INVAL, and for a session that must read its own write.
struct CommitToken {
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  Lsn lsn;  // upper bound of the commit record's end
  Xid xid = 0;
  bool operator==(const CommitToken&) const = default;
};

struct RoutedWriteResult {
  CommitToken token;
  std::vector<ResultSet> results;  // one per statement of the caller
};

// Locks of one transaction; the server must have room for them (max_locks_per_transaction).
inline constexpr size_t kGuardedBucketsMax = 1024;

// `at_least`: the greatest db_epoch of the shard that was heard of; a primary with an older one refuses (SH007,
// kUnavailable). kInvalidArgument: no bucket, too many, or one bucket with two epochs.
Result<Pipeline> make_routed_write(std::vector<BucketAtEpoch> buckets, std::vector<Statement> statements,
                                   DbEpoch at_least = 0);

// `results` is what the pool gave for that pipeline, run on the primary of `shard`.
Result<RoutedWriteResult> read_routed_write(ShardId shard, std::vector<ResultSet> results);

}  // namespace tidemark::shardrouter
