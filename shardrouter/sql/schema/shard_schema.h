// The text of shard.sql, built into the program: what every Postgres shard must hold. Idempotent; run by the owner.
#pragma once

#include <string_view>

namespace tidemark::shardrouter {

std::string_view shard_schema_sql();

inline constexpr std::string_view kAppRole = "tidemark_app";
inline constexpr std::string_view kInvalidatorRole = "tidemark_invalidator";
inline constexpr std::string_view kAdminRole = "tidemark_admin";
inline constexpr std::string_view kPublication = "tidemark";
inline constexpr std::string_view kSlot = "tidemark";

}  // namespace tidemark::shardrouter
