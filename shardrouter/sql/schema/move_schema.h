// The text of move.sql, built into the program: what a shard keeps about moves. Idempotent; run by the owner, after
// shard.sql.
#pragma once

#include <string_view>

namespace tidemark::shardrouter {

std::string_view move_schema_sql();

}  // namespace tidemark::shardrouter
