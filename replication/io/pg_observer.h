// What the invalidator asks its primary over SQL, beside the stream: is it the server of the stream, which incarnation
// is it, does the slot go on where the journal ends, what do snapshots see now, are the families' tables fit.
//
// Threads: pure functions (texts and readers of rows); the queries run on a PgConnection.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/proof/pg_snapshot.h"
#include "replication/io/pg_connection.h"
#include "replication/io/pg_stream.h"
#include "replication/wal/keymap.h"

namespace tidemark::replication::io {

// Advisory lock (kInvalidatorLock, shard): held by the one active invalidator of a shard.
inline constexpr int kInvalidatorLock = 7004;

struct PrimaryState {
  bool is_in_recovery = false;
  SystemIdentity identity;
};
std::string primary_state_sql();
Result<PrimaryState> read_primary_state(const PgRows& rows);

std::string try_lock_sql(ShardId shard);

struct SlotState {
  std::string plugin;
  std::string wal_status;  // "lost": its WAL is gone
  bool is_of_this_database = false;
  Lsn confirmed;
  int active_pid = 0;
};
std::string slot_sql(std::string_view slot);
Result<std::optional<SlotState>> read_slot(const PgRows& rows);  // nothing: there is none
std::string drop_slot_sql(std::string_view slot);

std::string open_incarnation_sql();

// How the running timeline was opened, if its first db_epoch is still the current one and it had a predecessor.
struct TimelineOpening {
  uint32_t prev_timeline = 0;
  DbEpoch prev_epoch = 0;
  Lsn opened;  // nothing that concerns a cache was committed on this timeline before here
};
std::string timeline_opening_sql();
std::optional<TimelineOpening> read_timeline_opening(const PgRows& rows);

// One look at the primary: a snapshot, and an upper bound of the ends of all commits so far.
struct Sample {
  PgSnapshot snapshot;
  Lsn insert_lsn;
};
std::string sample_sql();
Result<Sample> read_sample(const PgRows& rows);
std::string own_xid_sql();  // assigns a transaction id

// A transactional message whose commit flushes the WAL and reaches the stream.
std::string tick_sql();

// Columns of a family's table as Postgres would describe them in the stream, and whether the publication is whole.
std::string table_sql(std::string_view table, std::string_view publication);
// What is wrong with the table for these families; empty: it is fit.
std::vector<std::string> check_table(const std::string& table, const std::string& publication, const PgRows& rows,
                                     const Keymap& keymap);

}  // namespace tidemark::replication::io
