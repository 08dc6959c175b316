// What several of the freshness commands need: the database behind a key, and why an invalidation of it is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/topology/topology.h"
#include "cacheserver/command/command.h"
#include "cacheserver/freshness/freshness_state.h"

namespace tidemark::cacheserver {

inline constexpr uint64_t kTtlMsMax = 10ull * 365 * 24 * 3600 * 1000;  // ten years

struct DatabaseKey {
  const Family* family = nullptr;
  BucketOwner owner;

  // `asked_ms`: PX. Without it the family's.
  uint64_t ttl_ms(std::optional<uint64_t> asked_ms, bool is_absent) const;
};

std::optional<DatabaseKey> database_key(const WorkerView& worker, std::string_view key);  // nothing: no_family()
std::string no_family(std::string_view key);

// Why a writer's invalidation of `keys` keys (INVAL, STAGE) is refused; empty: it is not. An end of 0/0 (STAGE before
// the commit) needs no room.
std::string refusal_of_hint(const FreshnessState& freshness, const FreshnessState::Commit& commit, size_t keys);

}  // namespace tidemark::cacheserver
