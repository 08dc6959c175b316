// Uncached reads of the sharded database: what they are asked with, and what they answer.
//
//   point, batch   rows of buckets of one shard. From a replica that has replayed what the session and max_stale ask
//                  for, else from the primary. Whether the shard owned the buckets is read before and after the rows in
//                  the same pipeline; a refusal heals the map, and the read is done again.
//   scatter        rows of all shards, merged in order. Each shard gives rows of buckets that it owns and says, in the
//                  same snapshot, which those are; only if together they are all 4,096, each once, is there an answer.
//
// Several statements of a point or batch read share one snapshot. Statements are SELECT, WITH, VALUES or TABLE and must
// not write nor lock rows: kInvalidArgument, and nothing has happened. Threads: values. I/O: none.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/proof/lsn.h"
#include "client/cached.h"
#include "shardrouter/sql/scatter_merge.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::client {

class Session;  // client/session_token.h

struct QueryOptions {
  Duration timeout = std::chrono::seconds(1);
  Duration max_stale = std::chrono::seconds(1);  // of a replica's answer; Duration::max(): of any age
  bool may_use_replica = true;
  // The answer contains what the session has written and read so far, and is absorbed before the handler runs.
  // kUnavailable: no server could prove that in time.
  std::shared_ptr<Session> session{};
};

// Where one shard's rows came from.
struct QuerySource {
  ShardId shard = 0;
  Origin origin = Origin::kPrimary;  // or kReplica
  DbEpoch db_epoch = 0;
  Lsn position;     // kReplica: every commit up to here is in the rows; kPrimary: no commit beyond here is
  Instant as_of{};  // every commit before this moment is in the rows
};

struct Queried {
  QuerySource source;
  std::vector<shardrouter::ResultSet> results;  // one for each statement
};

struct ScatterQuery {
  // Without ORDER BY and LIMIT: they are added, and reach into it. Returns a column `bucket` and those of order_by:
  //   SELECT bucket, sku, section FROM catalog.product WHERE sku >= $1
  std::string sql;
  std::vector<std::optional<std::string>> params{};
  std::vector<shardrouter::OrderColumn> order_by{};  // at least one; texts are ordered bytewise, as COLLATE "C" does
  size_t limit = 100;                                // 1 .. kScatterRowsMax, of each shard and of all
};

struct Scattered {
  shardrouter::ResultSet rows;       // merged, at most `limit`
  std::vector<QuerySource> sources;  // ascending by shard
};

}  // namespace tidemark::client
