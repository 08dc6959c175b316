// What may stand in an expand, a contract and an undo, judged by the words of each statement.
//
// Two things are kept out. First, what breaks code that runs: in an expand nothing is taken away, renamed or made
// stricter, and no lock is held while a table is scanned. Second, what changes rows without an event, so that no cache
// would hear of it: TRUNCATE, a rewritten column, partitions attached or detached, a publication that is altered, a
// table dropped with its rows, DML outside a backfill. What words cannot show (a type change that rewrites the table,
// a protection lost) the shard refuses in the migration's transaction: its event trigger and the table lint.
// Each finding names the line and the way that works instead. Threads: pure functions. I/O: none.
#pragma once

#include <string>
#include <vector>

#include "shardrouter/schema/sql_text.h"

namespace tidemark::shardrouter {

struct MigrationFile;

// Empty: may be run. Not for backfills.
std::vector<std::string> check_ddl(const MigrationFile& file);

bool is_concurrent(const SqlStatement& statement);  // CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY
std::vector<std::string> dropped_tables_of(const std::vector<SqlStatement>& statements);

// Of a concurrent statement: the index it makes or drops.
struct ConcurrentIndex {
  bool is_created = true;
  std::string name;
  std::string table;  // of one that is made
};
ConcurrentIndex concurrent_index_of(const SqlStatement& statement);

}  // namespace tidemark::shardrouter
