// Are two shards' tables the same? What rows need on their way: columns, types, primary keys, indexes' validity.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "tools/shards/pg_session.h"

namespace tidemark::shards {

// "shop.item" -> "bucket integer not null, id bigint not null; primary key (bucket, id)"; the tables that belong to
// buckets and the reference tables.
using TableShapes = std::map<std::string, std::string>;
Result<TableShapes> read_table_shapes(PgSession& session);

// One line per difference, naming both.
std::vector<std::string> compare_shapes(const std::string& name_a, const TableShapes& a, const std::string& name_b,
                                        const TableShapes& b);

}  // namespace tidemark::shards
