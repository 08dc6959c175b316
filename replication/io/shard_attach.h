// Attaching to one shard: everything that must be true before the first commit may be believed.
//
//   1 SQL connection to the primary; not in recovery      5 slot: exists (else made), pgoutput, not lost
//   2 advisory lock: the only active invalidator          6 tidemark.open_incarnation() -> db_epoch
//   3 families' tables are fit and published              7 START_REPLICATION, paused
//   4 replication connection; same system and timeline    8 the slot's walsender is ours: both connections are on one
//                                                            server; confirmed_flush_lsn is where the stream starts
//                                                         9 an own xid and a sample, taken after the slot was active
// After 6, on a timeline that was opened by a promotion: where the one before ended (TIMELINE_HISTORY), and whether the
// slot is old enough to follow it without a hole.
// Threads: the io_context's thread. Every step has a timeout. Any failure gives up both connections.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "replication/io/pg_connection.h"
#include "replication/io/pg_observer.h"
#include "replication/io/pg_stream.h"
#include "replication/wal/keymap.h"
#include "replication/wal/worker_feed.h"

namespace tidemark::replication::io {

struct AttachOptions {
  ShardId shard = 0;
  std::string conninfo;
  std::string user;
  std::string passfile;
  std::string slot;
  std::string publication;
  bool is_slot_unusable = false;  // its WAL is gone though its status does not say so: drop it and make a new one
};

struct Attachment {
  std::shared_ptr<PgConnection> observer;
  std::shared_ptr<PgConnection> stream;  // paused; resume with pause_copy(false)
  SystemIdentity identity;
  DbEpoch db_epoch = 0;
  bool is_slot_new = false;
  Lsn confirmed;  // the stream holds every commit after this
  // The db_epoch began with this timeline, and the stream holds every commit after the switch that concerns a cache.
  std::optional<Succession> succession;
  Xid own_xid = 0;
  Sample sample;
};

// Did Postgres say that WAL which the slot needs has been removed (58P01)? pg_replication_slots may not know it yet:
// after pg_resetwal, or when files were deleted by hand.
bool says_that_wal_is_gone(const Error& error);

using AttachHandler = std::move_only_function<void(Result<Attachment>)>;

// kAborted: another invalidator is active. kFailedPrecondition: something must be set right by an operator.
// `keymap` outlives the call.
void attach(boost::asio::io_context& context, AttachOptions options, const Keymap& keymap, StreamEvents events,
            AttachHandler handler);

}  // namespace tidemark::replication::io
