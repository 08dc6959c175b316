// Row changes of the stream as statements for the target.
//
// The copy is exact and every commit is applied once, so an insert must insert, and an update or delete must find
// exactly one row; the applier stops when one does not. An upsert would hide such a mistake: it leaves the old row of a
// changed key behind. Columns that the stream leaves out (unchanged TOASTed values) stay as they are.
// Threads: pure functions. I/O: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replication/wal/wal_message.h"

namespace tidemark::shards {

struct TableColumn {
  std::string name;  // quoted
  std::string plain_name;
  bool is_primary_key = false;
  bool is_identity_always = false;  // GENERATED ALWAYS AS IDENTITY: an UPDATE may not name it
};
struct MovedTable {
  std::string name;  // "shop.orders", quoted where needed
  std::string schema, relation;
  std::vector<TableColumn> columns;  // those that are stored as given: no generated ones
  int64_t bytes = 0;                 // of the whole table at the source
};

struct RowStatement {
  std::string name;  // of the prepared statement: the same name, the same text
  std::string sql;
  std::vector<std::optional<std::string>> params;
};

// A table as the stream describes it, bound to the table that is moved.
struct BoundRelation {
  const MovedTable* table = nullptr;
  std::vector<size_t> columns;    // of the tuple -> of the table
  std::vector<bool> is_identity;  // of the tuple's columns
  bool is_identity_full = false;
};

// kFailedPrecondition: its columns are not those of the copy, somebody changed the table.
Result<BoundRelation> bind_relation(const replication::RelationMessage& relation,
                                    const std::vector<MovedTable>& tables);

Result<RowStatement> insert_statement(const BoundRelation& bound, const replication::InsertMessage& message);
Result<RowStatement> update_statement(const BoundRelation& bound, const replication::UpdateMessage& message);
Result<RowStatement> delete_statement(const BoundRelation& bound, const replication::DeleteMessage& message);

}  // namespace tidemark::shards
