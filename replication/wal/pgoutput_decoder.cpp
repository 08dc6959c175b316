#include "replication/wal/pgoutput_decoder.h"

#include <fmt/format.h>

#include "replication/wal/byte_reader.h"

namespace tidemark::replication {
namespace {

// Modulo 2^64: a time that no Postgres ever sent still decodes to something.
int64_t unix_us(uint64_t postgres_us) {
  return static_cast<int64_t>(postgres_us + static_cast<uint64_t>(kPostgresEpochUs));
}

// A tuple whose column kinds are all known, or false.
bool read_tuple(ByteReader& in, Tuple& tuple) {
  size_t count = in.u16();
  if (count > in.remaining()) return false;  // each column takes a byte at least
  tuple.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    TupleColumn column;
    switch (in.u8()) {
      case 'n':
        break;
      case 'u':
        column.kind = TupleColumn::Kind::kUnchanged;
        break;
      case 't':  // 'b' is sent only on request of the option binary, which we never set
        column.kind = TupleColumn::Kind::kText;
        column.text = in.bytes(in.u32());
        break;
      default:
        return false;
    }
    if (in.is_cut()) return false;
    tuple.push_back(column);
  }
  return true;
}

BeginMessage read_begin(ByteReader& in) {
  BeginMessage message;
  message.commit_lsn = {in.u64()};
  message.commit_us = unix_us(in.u64());
  message.xid_low = in.u32();
  return message;
}

CommitMessage read_commit(ByteReader& in) {
  in.u8();  // flags, unused
  CommitMessage message;
  message.commit_lsn = {in.u64()};
  message.end_lsn = {in.u64()};
  message.commit_us = unix_us(in.u64());
  return message;
}

RelationMessage read_relation(ByteReader& in) {
  RelationMessage message;
  message.id = in.u32();
  message.schema = in.c_string();
  message.name = in.c_string();
  message.identity = static_cast<char>(in.u8());
  size_t count = in.u16();
  for (size_t i = 0; i < count && !in.is_cut(); ++i) {
    RelationColumn column;
    column.is_identity = (in.u8() & 1) != 0;
    column.name = in.c_string();
    column.type = in.u32();
    in.u32();  // type modifier
    message.columns.push_back(column);
  }
  return message;
}

TruncateMessage read_truncate(ByteReader& in) {
  TruncateMessage message;
  size_t count = in.u32();
  in.u8();  // CASCADE, RESTART IDENTITY
  for (size_t i = 0; i < count && !in.is_cut(); ++i) message.relations.push_back(in.u32());
  return message;
}

LogicalMessage read_logical_message(ByteReader& in) {
  LogicalMessage message;
  message.is_transactional = (in.u8() & 1) != 0;
  message.lsn = {in.u64()};
  message.prefix = in.c_string();
  message.content = in.bytes(in.u32());
  return message;
}

// Insert, Update and Delete: relation, then tuples each announced by a letter.
bool read_insert(ByteReader& in, InsertMessage& message) {
  message.relation = in.u32();
  return in.u8() == 'N' && read_tuple(in, message.after);
}

bool read_update(ByteReader& in, UpdateMessage& message) {
  message.relation = in.u32();
  uint8_t kind = in.u8();
  if (kind == 'K' || kind == 'O') {
    message.has_before = true;
    if (!read_tuple(in, message.before)) return false;
    kind = in.u8();
  }
  return kind == 'N' && read_tuple(in, message.after);
}

bool read_delete(ByteReader& in, DeleteMessage& message) {
  message.relation = in.u32();
  uint8_t kind = in.u8();
  return (kind == 'K' || kind == 'O') && read_tuple(in, message.before);
}

// False: the bytes do not make this kind of message. A cut is seen by the caller.
bool read_message(char kind, ByteReader& in, WalMessage& out) {
  switch (kind) {
    case 'B':
      out = read_begin(in);
      return true;
    case 'C':
      out = read_commit(in);
      return true;
    case 'R':
      out = read_relation(in);
      return true;
    case 'T':
      out = read_truncate(in);
      return true;
    case 'M':
      out = read_logical_message(in);
      return true;
    case 'I':
      return read_insert(in, out.emplace<InsertMessage>());
    case 'U':
      return read_update(in, out.emplace<UpdateMessage>());
    case 'D':
      return read_delete(in, out.emplace<DeleteMessage>());
    case 'O': {
      Lsn lsn{in.u64()};
      out = OriginMessage{lsn, in.c_string()};
      return true;
    }
    case 'Y': {
      TypeMessage message;
      message.id = in.u32();
      message.schema = in.c_string();
      message.name = in.c_string();
      out = message;
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

Result<WalMessage> decode_pgoutput(std::string_view bytes) {
  if (bytes.empty()) return fail(ErrorCode::kCorrupt, "empty pgoutput message");
  ByteReader in(bytes.substr(1));
  WalMessage message;
  if (!read_message(bytes[0], in, message) || in.is_cut()) {
    return fail(ErrorCode::kCorrupt, fmt::format("pgoutput message of kind 0x{:02x} is malformed near byte {} of {}",
                                                 static_cast<uint8_t>(bytes[0]), in.offset() + 1, bytes.size()));
  }
  if (in.remaining() > 0) {
    return fail(ErrorCode::kCorrupt, fmt::format("pgoutput message '{}' has {} bytes left over (a newer protocol?)",
                                                 bytes[0], in.remaining()));
  }
  return message;
}

}  // namespace tidemark::replication
