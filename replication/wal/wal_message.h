// The messages of Postgres's pgoutput plugin (protocol version 1), as values.
//
// Text is viewed, not copied: a message lives as long as the bytes it was decoded from.
// A column of an old tuple that is not part of the replica identity arrives as kNull; it says nothing about the row.
// Threads: plain values. I/O: none.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "base/proof/lsn.h"

namespace tidemark::replication {

using RelationId = uint32_t;  // pg_class.oid

struct BeginMessage {
  Lsn commit_lsn;         // start of the commit record
  int64_t commit_us = 0;  // Unix microseconds
  uint32_t xid_low = 0;   // only 32 bits travel; see widen_xid()
};
struct CommitMessage {
  Lsn commit_lsn;
  Lsn end_lsn;  // just after the commit record: what "contains this commit" is compared with
  int64_t commit_us = 0;
};
struct OriginMessage {
  Lsn lsn;
  std::string_view name;
};
struct RelationColumn {
  bool is_identity = false;  // part of the replica identity
  std::string_view name;
  uint32_t type = 0;  // pg_type.oid
};
struct RelationMessage {
  RelationId id = 0;
  std::string_view schema;  // empty: pg_catalog
  std::string_view name;
  char identity = 'd';  // d default, n nothing, f full, i index
  std::vector<RelationColumn> columns;
};
struct TypeMessage {
  uint32_t id = 0;
  std::string_view schema;
  std::string_view name;
};
struct TupleColumn {
  enum class Kind : uint8_t { kNull, kUnchanged, kText };
  Kind kind = Kind::kNull;
  std::string_view text;
};
using Tuple = std::vector<TupleColumn>;

struct InsertMessage {
  RelationId relation = 0;
  Tuple after;
};
struct UpdateMessage {
  RelationId relation = 0;
  bool has_before = false;  // sent when the identity changed, or always under REPLICA IDENTITY FULL
  Tuple before;
  Tuple after;
};
struct DeleteMessage {
  RelationId relation = 0;
  Tuple before;
};
struct TruncateMessage {
  std::vector<RelationId> relations;
};
struct LogicalMessage {
  bool is_transactional = false;
  Lsn lsn;
  std::string_view prefix;
  std::string_view content;
};

using WalMessage = std::variant<BeginMessage, CommitMessage, OriginMessage, RelationMessage, TypeMessage, InsertMessage,
                                UpdateMessage, DeleteMessage, TruncateMessage, LogicalMessage>;

}  // namespace tidemark::replication
