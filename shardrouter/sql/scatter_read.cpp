#include "shardrouter/sql/scatter_read.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/parse.h"
#include "shardrouter/sql/read_gate.h"

namespace tidemark::shardrouter {
namespace {

constexpr size_t kResultCount = 5;  // server | BEGIN, rows, server and owned, COMMIT

const std::string& server_sql() {
  static const std::string kSql = fmt::format("SELECT {} FROM tidemark.epoch e", kServerColumns);
  return kSql;
}

const std::string& owned_sql() {
  static const std::string kSql = fmt::format(
      "SELECT {}, (SELECT range_agg(int4range(b.bucket, b.bucket + 1))::text FROM shard.bucket b "
      "WHERE b.state = 'owned') FROM tidemark.epoch e",
      kServerColumns);
  return kSql;
}

}  // namespace

Pipeline make_scatter_read(Statement rows, Freshness freshness) {
  Pipeline pipeline{.kind = Pipeline::Kind::kRead};
  if (freshness == Freshness::kSettled) pipeline.groups.push_back({fresh_xid_statement()});
  pipeline.groups.push_back({{server_sql()}});
  pipeline.groups.push_back(
      {{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}, std::move(rows), {owned_sql()}, {"COMMIT"}});
  return pipeline;
}

Result<ScatterPart> read_scatter_part(std::vector<ResultSet> results, Freshness freshness) {
  const size_t start = freshness == Freshness::kSettled ? 1 : 0;
  if (results.size() != kResultCount + start)
    return fail(ErrorCode::kInternal, fmt::format("a scatter read gave {} results", results.size()));
  const auto before = read_server_row(results[start], 0);
  if (!before) return std::unexpected(before.error());
  if (start > 0)
    if (const Status settled = check_settled(results[0], *before); !settled) return std::unexpected(settled.error());
  const ResultSet& gate = results[start + 3];
  const auto after = read_server_row(gate, 0);
  if (!after) return std::unexpected(after.error());
  ScatterPart part;
  part.read.is_replica = before->is_replica;
  part.read.db_epoch = before->db_epoch;
  if (before->replayed) part.read.replayed = *before->replayed;
  part.read.upper = upper_bound_of(*after);
  part.read.results.push_back(std::move(results[start + 2]));
  const auto& cells = gate.rows[0];
  if (cells.size() > kServerColumnCount && cells[kServerColumnCount]) {
    auto owned = parse_bucket_ranges(*cells[kServerColumnCount]);
    if (!owned) return fail(ErrorCode::kInternal, "a shard's list of owned buckets is unreadable");
    part.owned = std::move(*owned);
  }
  return part;
}

std::optional<std::vector<BucketRange>> parse_bucket_ranges(std::string_view text) {
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::vector<BucketRange> ranges;
  while (!text.empty()) {
    const size_t end = text.find(')');
    if (text.front() != '[' || end == std::string_view::npos) return std::nullopt;
    const std::string_view body = text.substr(1, end - 1);
    const size_t comma = body.find(',');
    if (comma == std::string_view::npos) return std::nullopt;
    const auto from = parse_u64(body.substr(0, comma));
    const auto to = parse_u64(body.substr(comma + 1));
    if (!from || !to || *from >= *to || *to > kBucketCount) return std::nullopt;
    if (!ranges.empty() && *from < ranges.back().end) return std::nullopt;
    ranges.push_back({static_cast<uint32_t>(*from), static_cast<uint32_t>(*to)});
    text.remove_prefix(end + 1);
    if (text.empty()) break;
    if (text.front() != ',' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  return ranges;
}

std::optional<OwnershipGap> find_gap(std::span<const std::vector<BucketRange>> owned) {
  std::vector<uint16_t> owners(kBucketCount, 0);
  for (const auto& ranges : owned)
    for (const BucketRange& range : ranges)
      for (uint32_t bucket = range.begin; bucket < range.end; ++bucket) ++owners[bucket];
  const auto bad = std::ranges::find_if(owners, [](uint16_t count) { return count != 1; });
  if (bad == owners.end()) return std::nullopt;
  const auto end = std::find_if(bad, owners.end(), [&](uint16_t count) { return count != *bad; });
  return OwnershipGap{{static_cast<uint32_t>(bad - owners.begin()), static_cast<uint32_t>(end - owners.begin())}, *bad};
}

}  // namespace tidemark::shardrouter
