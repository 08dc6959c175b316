// Loads that carry their own proof: the pipeline of statements, and what its results prove.
//
//   group 1   SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn(), the next xid   own transaction, ended before the
//             data's snapshot
//   group 2   BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY
//             the data, joined to one proof row per bucket (zero rows still prove an absence)
//             positions after the data: upper bounds of what it can contain; and that no xid was assigned
//             COMMIT
//
// The same pipeline serves both roles, for a server may be promoted at any moment: whether it was a replica is read
// before the snapshot. Replica: R proof, the LSN of group 1. Primary: S proof, the snapshot of the data statement
// itself. db_epoch and the bucket's state and epoch are read in that same snapshot. Threads: pure functions and values.
// I/O: none. Limits: kBatchKeysMax keys in one statement.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/proof/proof.h"
#include "base/result.h"
#include "base/slot.h"
#include "shardrouter/routing/bucket_refusal.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::client {

inline constexpr size_t kBatchKeysMax = 1024;

struct LoadKey {
  Bucket bucket = 0;
  std::vector<std::string> parts;
};

// `sql` takes $1 = bucket, $2… = parts. Its text is constant for a family, so that servers prepare it once.
shardrouter::Pipeline make_single_load(const std::string& sql, const LoadKey& key);
// `sql` takes arrays: $1 = buckets, $2… = one array per part, all of the same length, and returns a column `bucket`.
shardrouter::Pipeline make_batch_load(const std::string& sql, std::span<const LoadKey> keys);

struct ProvenBucket {
  shardrouter::BucketState state = shardrouter::BucketState::kAbsent;
  BucketEpoch epoch = 0;
  std::optional<ShardId> forward;

  // The shard's refusal in the form of SH001.
  shardrouter::BucketRefusal refusal() const { return {state, epoch, forward}; }
};

struct ProvenRows {
  Proof::Kind kind = Proof::Kind::kReplica;
  DbEpoch db_epoch = 0;
  Lsn replayed;           // kReplica: every commit up to here is in the rows
  PgSnapshot snapshot;    // kSnapshot
  std::optional<Lsn> hi;  // no commit beyond is in the rows; nothing: unknown (a replica that cannot say)
  // In group 1 no xid from here on had been given out: whoever had committed by then has a lower one, and is in every
  // snapshot whose xmin is not below this. Nothing: the server did not say.
  std::optional<Xid> next_xid;
  std::map<Bucket, ProvenBucket> buckets;
  shardrouter::ResultSet set;
  std::vector<size_t> rows;  // of `set`, those that hold data

  // The proof of a value of this bucket; requires buckets.contains(bucket).
  Proof proof(ShardId shard, Bucket bucket) const;
};

// kFailedPrecondition when the shard has no epoch or bucket row; kInternal when results do not have the expected form
// or the load ran inside a transaction that writes.
Result<ProvenRows> read_load(std::vector<shardrouter::ResultSet> results);

// {"a","b\"c"}: a Postgres array literal.
std::string array_literal(std::span<const std::string> items);

}  // namespace tidemark::client
