#include "shardrouter/rebalance/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

namespace tidemark::shardrouter {
namespace {

// Costs are sums of doubles; what differs by less is equal.
constexpr double kNothing = 1e-9;

struct Range {
  size_t begin = 0;  // indexes into the buckets
  size_t end = 0;
  double cost = 0;
  bool is_edge = false;
  bool touches_receiver = false;
};

class Planner {
 public:
  Planner(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
          const PlannerOptions& options)
      : buckets_(buckets), options_(options) {
    for (const ShardWeight& shard : shards) weights_[shard.shard] += shard.weight;
    for (const BucketStats& bucket : buckets_) owners_.push_back(bucket.owner);
  }

  Result<RebalancePlan> run() {
    const Status fit = check();
    if (!fit) return std::unexpected(fit.error());
    price();
    plan_.before = shares();
    while (plan_.moves.size() < RebalancePlan::kMovesMax && add_move()) {
    }
    plan_.after = shares();
    add_notes();
    return std::move(plan_);
  }

 private:
  Status check() {
    for (const auto& [shard, weight] : weights_) {
      if (!(weight >= 0) || !std::isfinite(weight))
        return fail(ErrorCode::kInvalidArgument, fmt::format("the weight of shard {} must be 0 or more", shard));
      weight_total_ += weight;
    }
    if (weight_total_ <= 0) return fail(ErrorCode::kInvalidArgument, "no shard has a weight above 0");
    if (options_.buckets_per_move == 0 || !(options_.tolerance >= 0))
      return fail(ErrorCode::kInvalidArgument, "buckets per move must be at least 1, the tolerance at least 0");
    for (size_t i = 0; i < buckets_.size(); ++i) {
      if (!weights_.contains(buckets_[i].owner))
        return fail(ErrorCode::kInvalidArgument, fmt::format("bucket {} belongs to shard {}, which is not among those "
                                                             "given",
                                                             buckets_[i].bucket, buckets_[i].owner));
      if (i > 0 && buckets_[i].bucket <= buckets_[i - 1].bucket)
        return fail(ErrorCode::kInvalidArgument, "the buckets must be ascending, each once");
    }
    return {};
  }

  void price() {
    double rows = 0, bytes = 0, writes = 0;
    for (const BucketStats& bucket : buckets_) {
      rows += static_cast<double>(bucket.rows);
      bytes += static_cast<double>(bucket.bytes);
      writes += bucket.writes_per_second;
    }
    // With fewer rows than buckets a single row would weigh like thousands: what is to come spreads over the buckets.
    if (rows < static_cast<double>(buckets_.size())) rows = bytes = 0;
    const double parts = (rows > 0) + (bytes > 0) + (writes > 0);
    counts_buckets_ = parts == 0;
    for (const BucketStats& bucket : buckets_) {
      double cost = 0;
      if (rows > 0) cost += static_cast<double>(bucket.rows) / rows;
      if (bytes > 0) cost += static_cast<double>(bucket.bytes) / bytes;
      if (writes > 0) cost += bucket.writes_per_second / writes;
      costs_.push_back(parts > 0 ? cost / parts : 1.0 / static_cast<double>(buckets_.size()));
      carried_[bucket.owner] += costs_.back();
    }
  }

  double target_of(ShardId shard) const { return weights_.at(shard) / weight_total_; }
  double above(ShardId shard) const {
    const auto found = carried_.find(shard);
    return (found == carried_.end() ? 0 : found->second) - target_of(shard);
  }
  bool is_leaving(ShardId shard) const { return weights_.at(shard) == 0; }
  bool owns_any(ShardId shard) const {
    for (size_t i = 0; i < owners_.size(); ++i)
      if (owners_[i] == shard && is_free(i)) return true;
    return false;
  }
  bool is_free(size_t i) const { return !buckets_[i].is_moving; }

  // Shards that are to be emptied come first, then who is furthest above; nothing: all are within their tolerance.
  std::optional<ShardId> find_donor() const {
    std::optional<ShardId> donor;
    for (const auto& [shard, weight] : weights_) {
      if (is_leaving(shard)) {
        if (owns_any(shard)) return shard;
        continue;
      }
      if (stuck_.contains(shard)) continue;
      if (!donor || need(shard, above(shard)) > need(*donor, above(*donor)) + kNothing) donor = shard;
    }
    return donor;
  }
  std::optional<ShardId> find_receiver() const {
    std::optional<ShardId> receiver;
    for (const auto& [shard, weight] : weights_)
      if (!is_leaving(shard) &&
          (!receiver || need(shard, -above(shard)) > need(*receiver, -above(*receiver)) + kNothing))
        receiver = shard;
    return receiver;
  }
  // Whoever is beyond its tolerance comes before whoever is not; `by` is how far it is off, in the direction asked for.
  double need(ShardId shard, double by) const { return by + (by > 0 && !is_within(shard) ? 1 : 0); }
  bool is_within(ShardId shard) const {
    return std::abs(above(shard)) <= options_.tolerance * target_of(shard) + kNothing;
  }

  bool add_move() {
    const auto donor = find_donor();
    const auto receiver = find_receiver();
    if (!donor || !receiver || *donor == *receiver) return false;
    const bool leaves = is_leaving(*donor);
    if (!leaves && (above(*donor) <= kNothing || (is_within(*donor) && is_within(*receiver)))) return false;
    const double amount = leaves ? std::max(0.0, -above(*receiver)) : std::min(above(*donor), -above(*receiver));
    const auto range = choose(*donor, *receiver, amount, leaves);
    if (!range) {
      stuck_[*donor] = true;  // what it has is too big to be moved anywhere with profit
      return true;
    }
    take(*donor, *receiver, *range);
    return true;
  }

  // The best range that costs at most `amount`; for a shard that leaves, any range will do.
  std::optional<Range> choose(ShardId donor, ShardId receiver, double amount, bool leaves) const {
    std::optional<Range> edge, middle, smallest;
    for (size_t run = 0; run < owners_.size(); ++run) {
      if (owners_[run] != donor || !is_free(run)) continue;
      size_t run_end = run;
      while (run_end < owners_.size() && owners_[run_end] == donor && is_free(run_end) &&
             (run_end == run || buckets_[run_end].bucket == buckets_[run_end - 1].bucket + 1))
        ++run_end;
      for (size_t begin = run; begin < run_end; ++begin)
        consider(run, run_end, begin, receiver, amount, edge, middle, smallest);
      run = run_end - 1;
    }
    if (middle && (!edge || middle->cost > 2 * edge->cost)) edge = middle;
    if (edge) return edge;
    if (!smallest) return std::nullopt;
    // One bucket that is too much for the gap is still moved if that brings both nearer to their shares.
    if (leaves || smallest->cost < above(donor) - above(receiver) - kNothing) return smallest;
    return std::nullopt;
  }

  void consider(size_t run, size_t run_end, size_t begin, ShardId receiver, double amount, std::optional<Range>& edge,
                std::optional<Range>& middle, std::optional<Range>& smallest) const {
    Range range{begin, begin, 0, false, false};
    while (range.end < run_end && range.end - begin < options_.buckets_per_move &&
           range.cost + costs_[range.end] <= amount + kNothing)
      range.cost += costs_[range.end++];
    if (range.end == begin) {
      if (!smallest || costs_[begin] < smallest->cost - kNothing) smallest = Range{begin, begin + 1, costs_[begin]};
      return;
    }
    if (range.cost <= 0 && amount > kNothing && carries_anything(run, run_end)) return;  // empty buckets mend nothing
    range.is_edge = begin == run || range.end == run_end;
    range.touches_receiver =
        (begin > 0 && owners_[begin - 1] == receiver) || (range.end < owners_.size() && owners_[range.end] == receiver);
    auto& best = range.is_edge ? edge : middle;
    const auto rank = [](const Range& one) {
      return std::tuple(std::round(one.cost / kNothing), one.touches_receiver, one.end - one.begin);
    };
    if (!best || rank(range) > rank(*best)) best = range;
  }
  bool carries_anything(size_t begin, size_t end) const {
    for (size_t i = begin; i < end; ++i)
      if (costs_[i] > 0) return true;
    return false;
  }

  void take(ShardId donor, ShardId receiver, const Range& range) {
    PlannedMove move;
    move.from = donor;
    move.to = receiver;
    move.first = buckets_[range.begin].bucket;
    move.last = buckets_[range.end - 1].bucket;
    for (size_t i = range.begin; i < range.end; ++i) {
      move.rows += buckets_[i].rows;
      move.bytes += buckets_[i].bytes;
      move.writes_per_second += buckets_[i].writes_per_second;
    }
    predict_move(move, range.end - range.begin, options_);
    move.reason = reason(donor, receiver);
    for (size_t i = range.begin; i < range.end; ++i) owners_[i] = receiver;
    carried_[donor] -= range.cost;
    carried_[receiver] += range.cost;
    stuck_.clear();
    plan_.moves.push_back(std::move(move));
  }

  std::string reason(ShardId donor, ShardId receiver) const {
    const auto percent = [](double part) { return part * 100; };
    const double gives = carried_.at(donor);
    const double has = above(receiver) + target_of(receiver);
    if (is_leaving(donor))
      return fmt::format("shard {} is to be emptied; shard {} carries {:.1f} % (share {:.1f} %)", donor, receiver,
                         percent(std::abs(has)), percent(target_of(receiver)));
    return fmt::format("shard {} carries {:.1f} % (share {:.1f} %), shard {} {:.1f} % (share {:.1f} %)", donor,
                       percent(gives), percent(target_of(donor)), receiver, percent(std::abs(has)),
                       percent(target_of(receiver)));
  }

  std::vector<ShardShare> shares() const {
    std::map<ShardId, ShardShare> all;
    for (const auto& [shard, weight] : weights_) all[shard] = {.shard = shard, .share_target = target_of(shard)};
    for (size_t i = 0; i < buckets_.size(); ++i) {
      ShardShare& one = all[owners_[i]];
      ++one.buckets;
      one.rows += buckets_[i].rows;
      one.bytes += buckets_[i].bytes;
      one.writes_per_second += buckets_[i].writes_per_second;
      one.share += costs_[i];
    }
    std::vector<ShardShare> list;
    for (auto& [shard, share] : all) list.push_back(share);
    return list;
  }

  void add_notes() {
    if (counts_buckets_)
      plan_.notes.push_back("there are fewer rows than buckets and no writes, so buckets are counted");
    size_t moving = 0;
    for (const BucketStats& bucket : buckets_) moving += bucket.is_moving;
    if (moving > 0)
      plan_.notes.push_back(
          fmt::format("{} buckets are in the middle of a move and stay where they are in this plan", moving));
    double share_max = 0;
    for (const auto& [shard, weight] : weights_) share_max = std::max(share_max, target_of(shard));
    for (size_t i = 0; i < buckets_.size(); ++i)
      if (buckets_.size() > 1 && weights_.size() > 1 && costs_[i] > share_max * (1 + options_.tolerance))
        plan_.notes.push_back(
            fmt::format("bucket {} alone carries {:.1f} %, more than any shard's share: no move can "
                        "mend that; spread its rows over more roots",
                        buckets_[i].bucket, costs_[i] * 100));
    if (plan_.moves.size() == RebalancePlan::kMovesMax)
      plan_.notes.push_back("the plan was cut: run it, then plan again");
  }

  const std::vector<BucketStats>& buckets_;
  const PlannerOptions& options_;
  std::map<ShardId, double> weights_;
  double weight_total_ = 0;
  bool counts_buckets_ = false;
  std::vector<ShardId> owners_;  // as the plan goes on
  std::vector<double> costs_;
  std::map<ShardId, double> carried_;
  std::map<ShardId, bool> stuck_;
  RebalancePlan plan_;
};

}  // namespace

void predict_move(PlannedMove& move, size_t buckets, const PlannerOptions& options) {
  move.copy_seconds = std::max(static_cast<double>(move.rows) / options.copy_rows_per_second,
                               static_cast<double>(move.bytes) / options.copy_bytes_per_second);
  move.blocked_ms = std::min(options.blocked_ms_max,
                             options.blocked_ms_base + static_cast<double>(buckets) * options.blocked_ms_per_bucket);
}

Result<RebalancePlan> plan_rebalance(const std::vector<BucketStats>& buckets, const std::vector<ShardWeight>& shards,
                                     const PlannerOptions& options) {
  return Planner(buckets, shards, options).run();
}

}  // namespace tidemark::shardrouter
