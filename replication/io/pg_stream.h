// The logical replication stream of one slot: a libpq copy-both connection that speaks pgoutput.
//
// start() goes on from the slot's own confirmed position. Postgres silently starts later than asked when the slot was
// confirmed further, so no position is asked for: the caller compares confirmed_flush_lsn with what it has.
// Threads: the io_context's thread. Commands: IDENTIFY_SYSTEM, CREATE_REPLICATION_SLOT, START_REPLICATION.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/proof/lsn.h"
#include "replication/io/pg_connection.h"

namespace tidemark::replication::io {

struct SystemIdentity {
  std::string system_id;
  uint32_t timeline = 0;
  bool operator==(const SystemIdentity&) const = default;
};

struct StreamEvents {
  std::function<void(std::string_view pgoutput)> on_message;
  std::function<void(Lsn wal_end, bool wants_reply)> on_keepalive;  // nothing up to wal_end is missing
  std::function<void()> on_burst_end;
  std::function<void(Error)> on_garbage;  // a frame that is none; the connection should be given up
};

// The SQL and the frames of copy-both mode; the connection itself is a PgConnection made with is_replication.
std::string start_replication_command(std::string_view slot, std::string_view publication);
std::string create_slot_command(std::string_view slot);
Result<SystemIdentity> read_identity(const PgRows& rows);

PgConnection::CopyEvents stream_frames(StreamEvents events);

// A standby status update: everything up to `durable` may be forgotten by the server.
void send_status(PgConnection& connection, Lsn durable, bool wants_reply);

}  // namespace tidemark::replication::io
