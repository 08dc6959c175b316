// One side of a move: a shard, how its owner reaches the primary, and which standbys may be promoted.
// Names of what a move leaves in Postgres while it runs, all derived from its id:
//   slot, publication and origin  mv_ID       source's stream and what the target holds of it
//                                 mv_ID_r     the reverse stream, for a rollback
//   origin                        mv_ID_c     whose clean-up it is
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "tools/shards/move/apply_sql.h"
#include "tools/shards/move/pg_link.h"

namespace tidemark::shards {

struct ShardEnd {
  ShardId id = 0;
  std::string admin;                  // conninfo of a superuser at the primary
  std::vector<std::string> standbys;  // application_name of every server that may be promoted
};

inline std::string stream_name(const std::string& move_id) {
  return "mv_" + move_id;
}
inline std::string reverse_name(const std::string& move_id) {
  return "mv_" + move_id + "_r";
}
inline std::string cleaner_name(const std::string& move_id) {
  return "mv_" + move_id + "_c";
}

struct BucketRange {
  int lo = 0;
  int hi = 0;
  int count() const { return hi - lo + 1; }
};

// Every table whose rows belong to buckets, those that others refer to first.
Result<std::vector<MovedTable>> read_tables(PgLink& link);

std::string table_list(const std::vector<MovedTable>& tables);  // "{shop.orders,shop.order_line}", an array literal

// CREATE PUBLICATION of these tables' rows of the range, and of the move's markers.
std::string publication_sql(PgLink& link, const std::string& name, const std::vector<MovedTable>& tables,
                            BucketRange range, const std::string& marker_of);

// Is the WAL up to `position` on the disks of the primary and of every named standby? (One that is not connected holds
// nothing.)
Result<bool> is_durable(PgLink& primary, const std::vector<std::string>& standbys, Lsn position);
Result<Lsn> insert_position(PgLink& link);

// Drops the slots, publications and origins of the move; waits while a dying session still holds one (kDropLimit).
Status drop_artifacts(PgLink& link, const std::string& move_id);
Status drop_slot(PgLink& link, const std::string& slot);
Status drop_publication(PgLink& link, const std::string& publication);
Status drop_origin(PgLink& link, const std::string& origin);

// Deletes the range's rows in batches; returns how many. `on_batch` is called between them and may stop it.
Result<int64_t> clean_rows(const ShardEnd& end, const std::string& move_id, const std::vector<std::string>& tables,
                           const std::function<Status()>& on_batch);

}  // namespace tidemark::shards
