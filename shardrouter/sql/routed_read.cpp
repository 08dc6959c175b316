#include "shardrouter/sql/routed_read.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/parse.h"
#include "shardrouter/routing/bucket_refusal.h"
#include "shardrouter/sql/read_gate.h"
#include "shardrouter/sql/sqlstate.h"

namespace tidemark::shardrouter {
namespace {

constexpr std::string_view kBegin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

// Statement texts are built once: servers prepare them by their text.
Statement gate(const std::vector<Bucket>& buckets) {
  static const std::string kOne = fmt::format(
      "SELECT {}, b.bucket, b.state, b.epoch, b.forward FROM tidemark.epoch e, shard.bucket b WHERE b.bucket = $1::int",
      kServerColumns);
  static const std::string kMany = fmt::format(
      "SELECT {}, b.bucket, b.state, b.epoch, b.forward FROM tidemark.epoch e, shard.bucket b "
      "WHERE b.bucket = ANY ($1::int[])",
      kServerColumns);
  if (buckets.size() == 1) return {kOne, {std::to_string(buckets[0])}};
  return {kMany, {fmt::format("{{{}}}", fmt::join(buckets, ","))}};
}

BucketRefusal refusal_of_row(const std::vector<std::optional<std::string>>& cells) {
  BucketRefusal refusal;
  refusal.state = parse_bucket_state(cells[kServerColumnCount + 1].value_or("")).value_or(BucketState::kAbsent);
  refusal.epoch = static_cast<BucketEpoch>(parse_u64(cells[kServerColumnCount + 2].value_or("")).value_or(0));
  if (const auto& forward = cells[kServerColumnCount + 3])
    if (const auto shard = parse_u64(*forward); shard && *shard <= UINT16_MAX)
      refusal.forward = static_cast<ShardId>(*shard);
  return refusal;
}

bool is_row_of(const std::vector<std::optional<std::string>>& cells, Bucket bucket) {
  if (cells.size() != kServerColumnCount + 4 || !cells[kServerColumnCount]) return false;
  return parse_u64(*cells[kServerColumnCount]) == bucket;
}

// Every expected bucket stands there, owned, at its epoch.
Status check_owned(std::span<const BucketAtEpoch> expected, const ResultSet& gate) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto [bucket, epoch] = expected[i];
    auto row = i < gate.rows.size() && is_row_of(gate.rows[i], bucket)
                   ? gate.rows.begin() + static_cast<ptrdiff_t>(i)
                   : std::ranges::find_if(gate.rows, [&](const auto& cells) { return is_row_of(cells, bucket); });
    const BucketRefusal found = row == gate.rows.end() ? BucketRefusal{} : refusal_of_row(*row);
    if (found.state == BucketState::kOwned && found.epoch == epoch) continue;
    return std::unexpected(error_of_sqlstate(
        "SH001", fmt::format("bucket {} at epoch {} is not owned here", bucket, epoch), found.to_string()));
  }
  return {};
}

}  // namespace

bool is_query(std::string_view sql) {
  static constexpr std::array<std::string_view, 4> kQueries{"SELECT", "WITH", "VALUES", "TABLE"};
  return std::ranges::find(kQueries, first_word(sql)) != kQueries.end();
}

Result<Pipeline> make_routed_read(std::vector<Bucket> buckets, std::vector<Statement> statements, Freshness freshness) {
  std::ranges::sort(buckets);
  buckets.erase(std::ranges::unique(buckets).begin(), buckets.end());
  if (buckets.empty()) return fail(ErrorCode::kInvalidArgument, "a routed read names at least one bucket");
  if (statements.empty()) return fail(ErrorCode::kInvalidArgument, "a routed read has at least one statement");
  for (const Statement& statement : statements)
    if (!is_query(statement.sql))
      return fail(ErrorCode::kInvalidArgument,
                  "a read begins with SELECT, WITH, VALUES or TABLE, not like this: " + statement.sql.substr(0, 60));
  Pipeline pipeline{.kind = Pipeline::Kind::kRead};
  if (freshness == Freshness::kSettled) pipeline.groups.push_back({fresh_xid_statement()});
  Statement check = gate(buckets);
  if (statements.size() == 1) {
    auto& group = pipeline.groups.emplace_back();
    group.reserve(3);
    group.push_back(check);
    group.push_back(std::move(statements[0]));
    group.push_back(std::move(check));
    return pipeline;
  }
  pipeline.groups.push_back({check});
  auto& group = pipeline.groups.emplace_back();
  group.push_back({std::string(kBegin)});
  for (Statement& statement : statements) group.push_back(std::move(statement));
  group.push_back(std::move(check));
  group.push_back({"COMMIT"});
  return pipeline;
}

Result<RoutedRead> read_routed_read(std::span<const BucketAtEpoch> expected, std::vector<ResultSet> results,
                                    Freshness freshness) {
  // xid? gate row gate, or xid? gate BEGIN rows… gate COMMIT
  const size_t start = freshness == Freshness::kSettled ? 1 : 0;
  const size_t begins = results.size() > 3 + start ? 1 : 0;
  if (results.size() < 3 + 2 * begins + start)
    return fail(ErrorCode::kInternal, fmt::format("a routed read gave only {} results", results.size()));
  const ResultSet& first = results[start];
  const ResultSet& last = results[results.size() - 1 - begins];
  for (const ResultSet* gate : {&first, &last}) {
    const Status owned = check_owned(expected, *gate);
    if (!owned) return std::unexpected(owned.error());
  }
  const auto before = read_server_row(first, 0);
  if (!before) return std::unexpected(before.error());
  if (start > 0)
    if (const Status settled = check_settled(results.front(), *before); !settled)
      return std::unexpected(settled.error());
  const auto after = read_server_row(last, 0);
  if (!after) return std::unexpected(after.error());
  RoutedRead read;
  read.is_replica = before->is_replica;
  read.db_epoch = before->db_epoch;
  if (before->replayed) read.replayed = *before->replayed;
  read.upper = upper_bound_of(*after);
  const auto begin = results.begin() + static_cast<ptrdiff_t>(start + 1 + begins);
  read.results.assign(std::make_move_iterator(begin),
                      std::make_move_iterator(results.end() - 1 - static_cast<ptrdiff_t>(begins)));
  return read;
}

}  // namespace tidemark::shardrouter
