// The text of schema.sql, built into the program: ledger, readers, reference tables. Run after shard.sql; idempotent.
#pragma once

#include <string_view>

namespace tidemark::shardrouter {

std::string_view migration_schema_sql();

}  // namespace tidemark::shardrouter
