#include "shardrouter/rebalance/split_hot.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace tidemark::shardrouter {
namespace {

using Loads = std::map<ShardId, double>;

constexpr double kGainMin = 1e-6;  // of all writes; less is the rounding of sums

std::vector<ShardShare> shares_of(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
                                  double total) {
  std::map<ShardId, ShardShare> all;
  for (const ShardWeight& one : shards)
    all[one.shard] = {.shard = one.shard, .share_target = 1.0 / static_cast<double>(shards.size())};
  for (const BucketStats& bucket : buckets) {
    ShardShare& one = all[bucket.owner];
    ++one.buckets;
    one.rows += bucket.rows;
    one.bytes += bucket.bytes;
    one.writes_per_second += bucket.writes_per_second;
    one.share += total > 0 ? bucket.writes_per_second / total : 0;
  }
  std::vector<ShardShare> list;
  for (auto& [shard, share] : all) list.push_back(share);
  return list;
}

ShardId coldest(const Loads& loads, ShardId but) {
  const auto colder = [but](const auto& a, const auto& b) {
    return std::pair(a.first == but, a.second) < std::pair(b.first == but, b.second);
  };
  return std::ranges::min_element(loads, colder)->first;
}

// One move for neighbours that go to the same shard; the hottest first.
std::vector<PlannedMove> moves_of(const std::map<Bucket, std::pair<const BucketStats*, ShardId>>& taken, ShardId from,
                                  double from_load, const PlannerOptions& options) {
  std::vector<PlannedMove> moves;
  for (const auto& [bucket, one] : taken) {
    const auto& [stats, to] = one;
    const bool continues = !moves.empty() && moves.back().to == to && moves.back().last + 1 == bucket &&
                           moves.back().last - moves.back().first + 1U < options.buckets_per_move;
    if (!continues) moves.emplace_back();
    PlannedMove& move = moves.back();
    if (!continues) move.from = from, move.to = to, move.first = bucket;
    move.last = bucket;
    move.rows += stats->rows;
    move.bytes += stats->bytes;
    move.writes_per_second += stats->writes_per_second;
  }
  for (PlannedMove& move : moves) {
    predict_move(move, move.last - move.first + 1U, options);
    move.reason =
        fmt::format("they take {:.1f} of the {:.1f} writes/s of shard {}", move.writes_per_second, from_load, from);
  }
  std::ranges::sort(moves, {}, [](const PlannedMove& one) { return std::pair(-one.writes_per_second, one.first); });
  return moves;
}

Status check(const Loads& loads, const SplitHotOptions& options) {
  for (const auto& named : {options.from, options.to})
    if (named && !loads.contains(*named))
      return fail(ErrorCode::kInvalidArgument, fmt::format("there is no shard {}", *named));
  if (loads.size() < 2) return fail(ErrorCode::kFailedPrecondition, "there is no other shard to move a bucket to");
  if (options.from && options.from == options.to)
    return fail(ErrorCode::kInvalidArgument, "the shard to take from and the one to give to are the same");
  if (options.buckets_max == 0) return fail(ErrorCode::kInvalidArgument, "at least one bucket must be allowed to move");
  return {};
}

}  // namespace

Result<RebalancePlan> plan_split_hot(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
                                     const SplitHotOptions& options) {
  const auto fit = plan_rebalance(buckets, shards, options.costs);  // for its checks
  if (!fit) return std::unexpected(fit.error());
  Loads loads;
  for (const ShardWeight& one : shards) loads[one.shard] = 0;
  double total = 0;
  for (const BucketStats& bucket : buckets) {
    loads[bucket.owner] += bucket.writes_per_second;
    total += bucket.writes_per_second;
  }
  if (const Status good = check(loads, options); !good) return std::unexpected(good.error());
  RebalancePlan plan;
  plan.before = plan.after = shares_of(buckets, shards, total);
  if (total <= 0) {
    plan.notes.emplace_back("nothing was written meanwhile: there is no hot bucket");
    return plan;
  }
  const ShardId from =
      options.from.value_or(std::ranges::max_element(loads, {}, [](const auto& one) { return one.second; })->first);
  const double from_load = loads[from];
  std::vector<const BucketStats*> hottest;
  for (const BucketStats& bucket : buckets)
    if (bucket.owner == from && !bucket.is_moving && bucket.writes_per_second > 0) hottest.push_back(&bucket);
  std::ranges::sort(hottest, {},
                    [](const BucketStats* one) { return std::pair(-one->writes_per_second, one->bucket); });
  std::vector<BucketStats> after = buckets;
  std::map<Bucket, std::pair<const BucketStats*, ShardId>> taken;
  for (const BucketStats* bucket : hottest) {
    if (taken.size() == options.buckets_max) break;
    const ShardId to = options.to.value_or(coldest(loads, from));
    if (loads[to] + bucket->writes_per_second >= loads[from] - kGainMin * total) {
      if (bucket == hottest.front())
        plan.notes.push_back(
            fmt::format("bucket {} alone takes {:.1f} of the {:.1f} writes/s of shard {}: on shard {} it would be as "
                        "hot; spread its "
                        "rows over more roots",
                        bucket->bucket, bucket->writes_per_second, from_load, from, to));
      continue;
    }
    loads[from] -= bucket->writes_per_second;
    loads[to] += bucket->writes_per_second;
    taken[bucket->bucket] = {bucket, to};
    std::ranges::find(after, bucket->bucket, &BucketStats::bucket)->owner = to;
  }
  plan.moves = moves_of(taken, from, from_load, options.costs);
  plan.after = shares_of(after, shards, total);
  return plan;
}

}  // namespace tidemark::shardrouter
