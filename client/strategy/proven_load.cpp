#include "client/strategy/proven_load.h"

#include <fmt/format.h>

#include <limits>

#include "base/invariant.h"
#include "base/parse.h"
#include "client/row.h"

namespace tidemark::client {
namespace {

using shardrouter::Pipeline;
using shardrouter::ResultSet;
using shardrouter::Statement;

constexpr std::string_view kRoleSql =
    "SELECT pg_is_in_recovery() AS standby, pg_last_wal_replay_lsn()::text AS replayed, "
    "pg_snapshot_xmax(pg_current_snapshot())::text AS xmax, age('3'::xid)::text AS age";
constexpr std::string_view kBeginSql = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
// A standby's `received` is an upper bound only if it is not below what is replayed after the data (a restarted standby
// begins to receive at the start of a segment).
constexpr std::string_view kPositionsSql =
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_insert_lsn() END::text AS "
    "upper, pg_last_wal_replay_lsn()::text AS replayed, pg_current_xact_id_if_assigned()::text AS xid";
constexpr std::string_view kProofColumns =
    "SELECT e.e AS tm_e, b.bucket AS tm_bucket, b.state AS tm_state, b.epoch AS tm_epoch, b.forward AS tm_forward, "
    "pg_current_snapshot()::text AS tm_snapshot FROM tidemark.epoch e, shard.bucket b";
constexpr size_t kResultCount = 5;  // role | BEGIN, data, positions, COMMIT

Pipeline make_pipeline(Statement data) {
  Pipeline pipeline{.kind = Pipeline::Kind::kRead};
  pipeline.groups.push_back({Statement{std::string(kRoleSql)}});
  pipeline.groups.push_back(
      {Statement{std::string(kBeginSql)}, std::move(data), Statement{std::string(kPositionsSql)}, Statement{"COMMIT"}});
  return pipeline;
}

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kInternal, fmt::format("a load's results are not as expected: {}", what));
}

template <typename T>
Result<T> number_of(const Row& row, std::string_view column) {
  auto text = row.text(column);
  if (!text) return std::unexpected(text.error());
  auto value = parse_u64(*text);
  if (!value || *value > std::numeric_limits<T>::max()) return malformed(fmt::format("{} = '{}'", column, *text));
  return static_cast<T>(*value);
}

std::optional<Lsn> lsn_of(const Row& row, std::string_view column) {
  auto text = row.find(column);
  return text ? Lsn::parse(*text) : std::nullopt;
}

Result<ProvenBucket> bucket_of_row(const Row& row) {
  ProvenBucket bucket;
  auto state = row.text("tm_state");
  if (!state) return std::unexpected(state.error());
  auto parsed = shardrouter::parse_bucket_state(*state);
  if (!parsed) return malformed(fmt::format("bucket state '{}'", *state));
  bucket.state = *parsed;
  auto epoch = number_of<BucketEpoch>(row, "tm_epoch");
  if (!epoch) return std::unexpected(epoch.error());
  bucket.epoch = *epoch;
  if (auto forward = row.find("tm_forward")) {
    auto shard = parse_u64(*forward);
    if (shard && *shard <= std::numeric_limits<ShardId>::max()) bucket.forward = static_cast<ShardId>(*shard);
  }
  return bucket;
}

// What every row says alike: the database's epoch and the snapshot; and each bucket's state.
Status read_proof_rows(ProvenRows& out) {
  for (size_t i = 0; i < out.set.rows.size(); ++i) {
    const Row row(out.set, i);
    if (i == 0) {
      auto epoch = number_of<DbEpoch>(row, "tm_e");
      if (!epoch) return std::unexpected(epoch.error());
      out.db_epoch = *epoch;
      auto snapshot = row.text("tm_snapshot");
      if (!snapshot) return std::unexpected(snapshot.error());
      auto parsed = PgSnapshot::parse(*snapshot);
      if (!parsed) return malformed(fmt::format("snapshot '{}'", *snapshot));
      out.snapshot = std::move(*parsed);
    }
    auto number = number_of<Bucket>(row, "tm_bucket");
    if (!number) return std::unexpected(number.error());
    if (!out.buckets.contains(*number)) {
      auto bucket = bucket_of_row(row);
      if (!bucket) return std::unexpected(bucket.error());
      out.buckets.emplace(*number, *bucket);
    }
    if (row.find("tm_found")) out.rows.push_back(i);
  }
  return {};
}

// age(x) is the next xid's distance from x, in 32 bits: the one way to read it that assigns none. It is not below the
// snapshot's xmax, which has all 64 bits and was taken before.
std::optional<Xid> next_xid_of(const Row& role) {
  constexpr uint32_t kCountedFrom = 3;
  auto xmax_text = role.find("xmax");
  auto age_text = role.find("age");
  auto xmax = xmax_text ? parse_u64(*xmax_text) : std::nullopt;
  auto age = age_text ? parse_i64(*age_text) : std::nullopt;
  if (!xmax || !age || *age < INT32_MIN || *age > INT32_MAX) return std::nullopt;
  const uint32_t next = static_cast<uint32_t>(static_cast<int32_t>(*age)) + kCountedFrom;
  return *xmax + (next - static_cast<uint32_t>(*xmax));
}

Status read_positions(ProvenRows& out, const Row& before, const Row& after) {
  if (auto xid = after.find("xid")) {
    return malformed(fmt::format("transaction {} was assigned: a load must not write", *xid));
  }
  auto standby = before.boolean("standby");
  if (!standby) return std::unexpected(standby.error());
  out.next_xid = next_xid_of(before);
  const auto upper = lsn_of(after, "upper");
  if (!*standby) {
    out.kind = Proof::Kind::kSnapshot;
    if (!upper) return malformed("a primary without an insert LSN");
    out.hi = upper;
    return {};
  }
  out.kind = Proof::Kind::kReplica;
  const auto replayed = lsn_of(before, "replayed");
  if (!replayed) return fail(ErrorCode::kUnavailable, "the replica has not replayed anything yet");
  out.replayed = *replayed;
  const auto replayed_after = lsn_of(after, "replayed");
  if (upper && replayed_after && *upper >= *replayed_after) out.hi = upper;
  return {};
}

}  // namespace

Pipeline make_single_load(const std::string& sql, const LoadKey& key) {
  Statement data;
  data.sql = fmt::format(
      "SELECT p.*, q.* FROM ({} WHERE b.bucket = $1::int) p LEFT JOIN (SELECT true AS tm_found, u.* FROM ({}) u) q ON "
      "true",
      kProofColumns, sql);
  data.params.push_back(std::to_string(key.bucket));
  for (const std::string& part : key.parts) data.params.push_back(part);
  return make_pipeline(std::move(data));
}

Pipeline make_batch_load(const std::string& sql, std::span<const LoadKey> keys) {
  INVARIANT(!keys.empty() && keys.size() <= kBatchKeysMax, keys.size());
  Statement data;
  data.sql = fmt::format(
      "SELECT p.*, q.* FROM ({} WHERE b.bucket = ANY ($1::int[])) p LEFT JOIN (SELECT true AS tm_found, u.* FROM ({}) "
      "u) q "
      "ON q.bucket = p.tm_bucket",
      kProofColumns, sql);
  std::vector<std::string> column;
  for (const LoadKey& key : keys) column.push_back(std::to_string(key.bucket));
  data.params.push_back(array_literal(column));
  for (size_t part = 0; part < keys[0].parts.size(); ++part) {
    column.clear();
    for (const LoadKey& key : keys) column.push_back(key.parts[part]);
    data.params.push_back(array_literal(column));
  }
  return make_pipeline(std::move(data));
}

Proof ProvenRows::proof(ShardId shard, Bucket bucket) const {
  auto found = buckets.find(bucket);
  INVARIANT(found != buckets.end(), bucket);
  Proof proof;
  proof.kind = kind;
  proof.shard = shard;
  proof.db_epoch = db_epoch;
  proof.bucket_epoch = found->second.epoch;
  proof.lsn = kind == Proof::Kind::kReplica ? replayed : hi.value_or(Lsn{});
  if (kind == Proof::Kind::kSnapshot) proof.snapshot = snapshot;
  return proof;
}

Result<ProvenRows> read_load(std::vector<ResultSet> results) {
  if (results.size() != kResultCount) {
    return malformed(fmt::format("{} result sets instead of {}", results.size(), kResultCount));
  }
  if (results[0].rows.size() != 1 || results[3].rows.size() != 1) return malformed("no positions");
  ProvenRows out;
  out.set = std::move(results[2]);
  if (out.set.rows.empty()) {
    return fail(ErrorCode::kFailedPrecondition,
                "the shard has no row for this bucket or no db_epoch: run `tidemark-shards init`");
  }
  if (auto status = read_proof_rows(out); !status) return std::unexpected(status.error());
  if (auto status = read_positions(out, Row(results[0], 0), Row(results[3], 0)); !status) {
    return std::unexpected(status.error());
  }
  return out;
}

std::string array_literal(std::span<const std::string> items) {
  std::string out = "{";
  for (const std::string& item : items) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (char c : item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

}  // namespace tidemark::client
