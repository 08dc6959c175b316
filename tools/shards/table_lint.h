// Is a table fit to be the source of a key family? Every commit on it must reach the caches, with the key's columns.
//
// Refused: no such table; unlogged; no column "bucket int NOT NULL"; no primary key that holds the bucket; a replica
// identity that lacks the bucket or a key column (a deleted or changed row would not say whose key it was); not in the
// publication, or with a row filter or a column list; a publication without insert, update or delete; the fence trigger
// missing or off.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "tools/shards/pg_session.h"

namespace tidemark::shards {

struct SourceTable {
  std::string table;                     // "catalog.product"
  std::vector<std::string> key_columns;  // may be empty: only the table itself is looked at
  std::string family;                    // for the message; may be empty
};

// One line per finding, each saying what is wrong and the statement that mends it. Empty: fit.
Result<std::vector<std::string>> lint_table(PgSession& session, const SourceTable& source);

}  // namespace tidemark::shards
