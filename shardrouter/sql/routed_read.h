// Reads whose shard says, before and after the rows, what it is and which of the buckets it owns.
//
//   gate    am I a replica, what have I replayed, which db_epoch; state and epoch of every bucket    Sync
//   rows    the caller's statement                                                                    (one group with
//   gate    the same once more                                                                        the next two)
//
// The state of a bucket only moves on (its epoch grows whenever it changes), so "owned at epoch 5" before and after
// means owned at epoch 5 while the rows were read, on a replica too, where all three are moments of its replay. A check
// after the rows alone would let a lagging replica answer with the rows from before a bucket was copied to it.
//
// One statement runs without BEGIN: three statements, one Sync. Several run in one REPEATABLE READ transaction, hence
// in one snapshot, the second gate with them. A transaction id given to the reader means that it wrote or locked
// something: the second gate then fails, and with it everything in the group.
//
// Freshness::kSettled, for a session that has seen commits on replicas: a commit that waits for a synchronous standby
// is in the log, hence on replicas, before the primary shows it. A transaction id taken first is above that of every
// commit in the log so far; once all below it have ended (xmin), the primary shows them all. Until then: kAborted.
// Threads: pure functions. I/O: none.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "base/slot.h"
#include "shardrouter/sql/routed_write.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shardrouter {

struct RoutedRead {
  bool is_replica = false;
  DbEpoch db_epoch = 0;
  Lsn replayed;              // replica: every commit up to here is in the rows
  std::optional<Lsn> upper;  // no commit beyond here is in the rows; nothing: a replica that cannot say
  std::vector<ResultSet> results;
};

// True if the text may be run as a read: it begins with SELECT, WITH, VALUES or TABLE.
bool is_query(std::string_view sql);

enum class Freshness : uint8_t { kPlain, kSettled };

// kInvalidArgument: no or too many buckets, no statement, or one that is no query.
Result<Pipeline> make_routed_read(std::vector<Bucket> buckets, std::vector<Statement> statements,
                                  Freshness freshness = Freshness::kPlain);

// `results` is what the pool gave for that pipeline; `expected` are its buckets at the epochs of the map. A bucket that
// is not owned at that epoch gives the same kFailedPrecondition as a refused write (bucket_refusal.h reads it back).
Result<RoutedRead> read_routed_read(std::span<const BucketAtEpoch> expected, std::vector<ResultSet> results,
                                    Freshness freshness = Freshness::kPlain);

}  // namespace tidemark::shardrouter
