// One shard's part of a scatter read: its rows, and in the same snapshot which buckets it owns.
//
//   server row                                      Sync
//   BEGIN REPEATABLE READ READ ONLY
//   rows of owned buckets, ordered, limited         scatter_sql()
//   server row, owned buckets as ranges             {[0,2048)}
//   COMMIT                                          Sync
//
// A bucket that is handed over is owned by nobody for a moment, and two shards' snapshots are never of the same moment,
// so between two parts a bucket may be missing or doubled: find_gap() says so, and the read is done again. If every
// bucket is there once, each row came from the shard that owned its bucket when it was read. Threads: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/slot.h"
#include "shardrouter/sql/routed_read.h"
#include "shardrouter/sql/scatter_merge.h"

namespace tidemark::shardrouter {

struct BucketRange {
  uint32_t begin = 0, end = 0;  // end is not in it
  auto operator<=>(const BucketRange&) const = default;
};

struct ScatterPart {
  RoutedRead read;                 // with one result: the rows
  std::vector<BucketRange> owned;  // ascending, apart
};

Pipeline make_scatter_read(Statement rows, Freshness freshness);
Result<ScatterPart> read_scatter_part(std::vector<ResultSet> results, Freshness freshness);

// Postgres's text of an int4multirange: {[0,2048),[2050,4096)}
std::optional<std::vector<BucketRange>> parse_bucket_ranges(std::string_view text);

struct OwnershipGap {
  BucketRange buckets;
  size_t owners = 0;  // 0: none; 2 or more: too many
};
// The first buckets that are not owned by exactly one of the shards; nothing: all 4,096 are.
std::optional<OwnershipGap> find_gap(std::span<const std::vector<BucketRange>> owned);

}  // namespace tidemark::shardrouter
