// What a server says about itself next to the rows of a read: role, positions, db_epoch. Used by routed_read and
// scatter_read; the statements that ask for it are theirs. Threads: values. I/O: none.
#pragma once

#include <optional>
#include <string_view>

#include "base/proof/lsn.h"
#include "base/result.h"
#include "shardrouter/sql/statement.h"

namespace tidemark::shardrouter {

// Columns standby, replayed, upper, xmin, e; `tidemark.epoch e` stands in FROM. The last one fails, with its text in
// the message, when the transaction was given an id.
inline constexpr std::string_view kServerColumns =
    "pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, "
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_insert_lsn() END::text, "
    "pg_snapshot_xmin(pg_current_snapshot())::text, e.e, "
    "('a query must not write or lock rows, but was given transaction id ' || "
    "pg_current_xact_id_if_assigned()::text)::int";
inline constexpr size_t kServerColumnCount = 6;

struct ServerRow {
  bool is_replica = false;
  std::optional<Lsn> replayed;
  std::optional<Lsn> upper;
  Xid xmin = 0;
  DbEpoch db_epoch = 0;
};

// kInternal when the first columns of the row are not those.
Result<ServerRow> read_server_row(const ResultSet& set, size_t row);

// For Freshness::kSettled (routed_read.h): runs first, in a transaction of its own.
Statement fresh_xid_statement();
// kAborted: a transaction that was running when the id was taken still is. `before` was read after the id, and before
// the rows.
Status check_settled(const ResultSet& fresh_xid, const ServerRow& before);

// The rows were read between the two. A replica's `received` is an upper bound only if it is not below what it had
// replayed after the rows (a restarted one begins to receive at the start of a segment).
inline std::optional<Lsn> upper_bound_of(const ServerRow& after) {
  if (!after.is_replica) return after.upper;
  return after.upper && after.replayed && *after.upper >= *after.replayed ? after.upper : std::nullopt;
}

}  // namespace tidemark::shardrouter
