#include "cacheserver/command/freshness_support.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/slot.h"
#include "cacheserver/command/freshness_arguments.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

// A writer's word may be this far ahead of the stream. Further, and its tombstone would outlive every floor for long.
constexpr uint64_t kHintAheadBytesMax = uint64_t{16} << 30;

}  // namespace

uint64_t DatabaseKey::ttl_ms(std::optional<uint64_t> asked_ms, bool is_absent) const {
  const uint64_t of_family = is_absent ? family->negative_ttl_ms : family->ttl_ms;
  return asked_ms.value_or(std::clamp<uint64_t>(of_family, 1, kTtlMsMax));
}

std::optional<DatabaseKey> database_key(const WorkerView& worker, std::string_view key) {
  const Family* family = worker.database_family_of_key(key);
  auto owner = worker.database_of_slot(slot_of_key(key));
  if (family == nullptr || !owner) return std::nullopt;
  return DatabaseKey{family, *owner};
}

std::string no_family(std::string_view key) {
  return fmt::format(
      "ERR NOFAMILY key {} has no database behind it here: no family with a table owns its prefix, or its bucket has "
      "no shard; "
      "see `tidemarkctl families`",
      quoted(key));
}

std::string refusal_of_hint(const FreshnessState& freshness, const FreshnessState::Commit& commit, size_t keys) {
  const ShardTide* tide = freshness.find_shard(commit.shard);
  DbEpoch ours = tide == nullptr ? 0 : tide->db_epoch();
  if (tide == nullptr || commit.db_epoch != ours) {
    return fmt::format("EPOCH {} is the db_epoch of shard {} here", ours, commit.shard);
  }
  if (commit.end_lsn.is_zero()) return {};
  Lsn position = tide->complete_through();
  if (tide->is_joined() && commit.end_lsn > position && commit.end_lsn.value - position.value > kHintAheadBytesMax) {
    return fmt::format(
        "ERR lsn '{}' is more than 16 GiB beyond this node's tide mark {}: the stream will invalidate the keys",
        commit.end_lsn.to_string(), position.to_string());
  }
  if (!freshness.has_room_for_hints(keys)) {
    return "ERR tombstones known from INVAL alone fill their half of the tombstone memory: the stream will invalidate "
           "the keys";
  }
  return {};
}

}  // namespace tidemark::cacheserver
