#include "shardrouter/sql/routed_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "base/parse.h"

namespace tidemark::shardrouter {
namespace {

constexpr size_t kStatementsBefore = 2;  // BEGIN, guard
constexpr size_t kStatementsAfter = 3;   // xid, COMMIT, LSN

Statement guard_statement(const std::vector<BucketAtEpoch>& buckets, DbEpoch at_least) {
  if (buckets.size() == 1)
    return {"SELECT shard.guard($1::int, $2::bigint, $3::int)",
            {std::to_string(buckets[0].bucket), std::to_string(buckets[0].epoch), std::to_string(at_least)}};
  std::string numbers = "{";
  std::string epochs = "{";
  for (const BucketAtEpoch& one : buckets) {
    const std::string_view comma = numbers.size() > 1 ? "," : "";
    numbers += fmt::format("{}{}", comma, one.bucket);
    epochs += fmt::format("{}{}", comma, one.epoch);
  }
  return {"SELECT shard.guard(g.b, g.e, $3::int) FROM unnest($1::int[], $2::bigint[]) AS g(b, e)",
          {numbers + "}", epochs + "}", std::to_string(at_least)}};
}

std::optional<std::string_view> only_cell(const ResultSet& set) {
  if (set.rows.empty() || set.rows[0].empty() || !set.rows[0][0]) return std::nullopt;
  return std::string_view(*set.rows[0][0]);
}

}  // namespace

Result<Pipeline> make_routed_write(std::vector<BucketAtEpoch> buckets, std::vector<Statement> statements,
                                   DbEpoch at_least) {
  std::sort(buckets.begin(), buckets.end());
  buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
  if (buckets.empty()) return fail(ErrorCode::kInvalidArgument, "a routed write names at least one bucket");
  if (buckets.size() > kGuardedBucketsMax)
    return fail(ErrorCode::kInvalidArgument, fmt::format("a routed write of {} buckets: at most {} in one transaction",
                                                         buckets.size(), kGuardedBucketsMax));
  for (size_t i = 1; i < buckets.size(); ++i)
    if (buckets[i].bucket == buckets[i - 1].bucket)
      return fail(ErrorCode::kInvalidArgument, fmt::format("bucket {} is given with epochs {} and {}",
                                                           buckets[i].bucket, buckets[i - 1].epoch, buckets[i].epoch));
  std::vector<Statement> group;
  group.push_back({"BEGIN ISOLATION LEVEL READ COMMITTED", {}});
  group.push_back(guard_statement(buckets, at_least));
  for (Statement& statement : statements) group.push_back(std::move(statement));
  group.push_back({"SELECT pg_current_xact_id()::text", {}});
  group.push_back({"COMMIT", {}});
  Pipeline pipeline;
  pipeline.groups.push_back(std::move(group));
  pipeline.groups.push_back({{"SELECT pg_current_wal_insert_lsn()::text", {}}});
  return pipeline;
}

Result<RoutedWriteResult> read_routed_write(ShardId shard, std::vector<ResultSet> results) {
  if (results.size() < kStatementsBefore + kStatementsAfter)
    return fail(ErrorCode::kInternal, fmt::format("a routed write gave only {} results", results.size()));
  const ResultSet& commit = results[results.size() - 2];
  // A transaction that failed answers COMMIT with ROLLBACK, without an error.
  if (commit.command_tag != "COMMIT")
    return fail(ErrorCode::kAborted, "the transaction was rolled back: COMMIT answered " + commit.command_tag);
  const auto epoch_text = only_cell(results[1]);
  const auto xid_text = only_cell(results[results.size() - kStatementsAfter]);
  const auto lsn_text = only_cell(results.back());
  const auto epoch = epoch_text ? parse_u64(*epoch_text) : std::nullopt;
  const auto xid = xid_text ? parse_u64(*xid_text) : std::nullopt;
  const auto lsn = lsn_text ? Lsn::parse(*lsn_text) : std::nullopt;
  // The write is committed, only its token is unreadable: never "nothing was done".
  if (!epoch || *epoch > std::numeric_limits<DbEpoch>::max() || !xid || !lsn)
    return fail(ErrorCode::kOutcomeUnknown,
                "the write was committed, but the shard's db_epoch, xid or LSN is unreadable");
  RoutedWriteResult result;
  result.token = {shard, static_cast<DbEpoch>(*epoch), *lsn, *xid};
  for (size_t i = kStatementsBefore; i + kStatementsAfter < results.size(); ++i)
    result.results.push_back(std::move(results[i]));
  return result;
}

}  // namespace tidemark::shardrouter
