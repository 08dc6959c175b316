#include "shardrouter/routing/ownership.h"

#include <fmt/format.h>

#include <set>

namespace tidemark::shardrouter {
namespace {

struct Sighting {
  ShardId shard = 0;
  BucketRow row;
};

// The owner of a bucket that has rows somewhere.
Result<BucketOwner> owner_of(Bucket bucket, const std::vector<Sighting>& seen) {
  const Sighting* owner = nullptr;
  const Sighting* newest = &seen.front();
  for (const Sighting& sighting : seen) {
    if (sighting.row.epoch > newest->row.epoch) newest = &sighting;
    if (sighting.row.state != BucketState::kOwned) continue;
    if (owner)
      return fail(
          ErrorCode::kFailedPrecondition,
          fmt::format(
              "bucket {} is owned by shard {} (epoch {}) and by shard {} (epoch {}): one of the two must give it "
              "up by hand before anything else is done",
              bucket, owner->shard, owner->row.epoch, sighting.shard, sighting.row.epoch));
    owner = &sighting;
  }
  if (owner) return BucketOwner{owner->shard, owner->row.epoch};
  if (newest->row.forward) return BucketOwner{*newest->row.forward, newest->row.epoch};
  return BucketOwner{newest->shard, newest->row.epoch};
}

}  // namespace

Result<Ownership> derive_ownership(const std::map<ShardId, std::vector<BucketRow>>& rows) {
  if (rows.empty()) return fail(ErrorCode::kInvalidArgument, "no shard is given: at least one must own the buckets");
  std::vector<ShardId> shards;
  std::vector<std::vector<Sighting>> seen(kBucketCount);
  for (const auto& [shard, list] : rows) {
    shards.push_back(shard);
    for (const BucketRow& row : list) {
      if (row.bucket >= kBucketCount)
        return fail(ErrorCode::kCorrupt, fmt::format("shard {} has a row for bucket {}", shard, row.bucket));
      seen[row.bucket].push_back({shard, row});
    }
  }
  Ownership ownership;
  for (uint32_t b = 0; b < kBucketCount; ++b) {
    const Bucket bucket = static_cast<Bucket>(b);
    BucketOwner owner{shards[b * shards.size() / kBucketCount], 1};
    if (!seen[b].empty()) {
      const auto found = owner_of(bucket, seen[b]);
      if (!found) return std::unexpected(found.error());
      owner = *found;
    }
    ownership.map.push_back(owner);
    std::set<ShardId> have;
    for (const Sighting& sighting : seen[b]) have.insert(sighting.shard);
    for (const ShardId shard : shards) {
      if (have.contains(shard)) continue;
      // A shard that lost its row of a bucket it seems to own must not be made its owner by a guess.
      const bool is_new = seen[b].empty() && owner.shard == shard;
      if (is_new)
        ownership.missing[shard].push_back({bucket, BucketState::kOwned, owner.epoch, std::nullopt});
      else
        ownership.missing[shard].push_back({bucket, BucketState::kMoved, owner.epoch, owner.shard});
    }
  }
  return ownership;
}

}  // namespace tidemark::shardrouter
