#include "replication/io/pg_stream.h"

#include <fmt/format.h>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "replication/wal/byte_reader.h"
#include "replication/wal/pgoutput_decoder.h"

namespace tidemark::replication::io {
namespace {

std::string quote_identifier(std::string_view name) {
  std::string out = "\"";
  for (char c : name) {
    out += c;
    if (c == '"') out += c;
  }
  return out + "\"";
}

void append_u64(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xff);
}

}  // namespace

std::string start_replication_command(std::string_view slot, std::string_view publication) {
  // Without messages 'true' the keys of pg_logical_emit_message would be silently absent.
  return fmt::format("START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {}, messages 'true')",
                     quote_identifier(slot), quote_literal(quote_identifier(publication)));
}

std::string create_slot_command(std::string_view slot) {
  return fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT", quote_identifier(slot));
}

Result<SystemIdentity> read_identity(const PgRows& rows) {
  if (rows.size() != 1 || rows[0].size() < 3 || !rows[0][0] || !rows[0][1]) {
    return fail(ErrorCode::kInternal, "IDENTIFY_SYSTEM gave no row");
  }
  auto timeline = parse_u64(*rows[0][1]);
  if (!timeline) return fail(ErrorCode::kInternal, "IDENTIFY_SYSTEM: timeline '" + *rows[0][1] + "'");
  return SystemIdentity{*rows[0][0], static_cast<uint32_t>(*timeline)};
}

PgConnection::CopyEvents stream_frames(StreamEvents events) {
  auto on_data = [on_message = events.on_message, on_keepalive = events.on_keepalive,
                  on_garbage = events.on_garbage](std::string_view frame) {
    ByteReader in(frame);
    uint8_t kind = in.u8();
    if (kind == 'w') {  // XLogData: start, end, time, then the plugin's message
      in.bytes(24);
      if (!in.is_cut()) return on_message(in.bytes(in.remaining()));
    } else if (kind == 'k') {
      Lsn wal_end{in.u64()};
      in.u64();  // the server's clock: says nothing about wal_end (E8)
      bool wants_reply = in.u8() == 1;
      if (!in.is_cut()) return on_keepalive(wal_end, wants_reply);
    }
    on_garbage(
        {ErrorCode::kCorrupt, fmt::format("frame of kind 0x{:02x} and {} bytes in the stream", kind, frame.size())});
  };
  return {.on_data = on_data, .on_burst_end = events.on_burst_end};
}

void send_status(PgConnection& connection, Lsn durable, bool wants_reply) {
  std::string message = "r";
  for (int i = 0; i < 3; ++i) append_u64(message, durable.value);  // written, flushed, applied
  append_u64(message, static_cast<uint64_t>(tidemark::io::unix_now_us() - kPostgresEpochUs));
  message += static_cast<char>(wants_reply ? 1 : 0);
  connection.send_copy(message);
}

}  // namespace tidemark::replication::io
