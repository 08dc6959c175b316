#include "tools/shards/plan/bucket_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include "base/parse.h"
#include "tools/shards/plan/write_counter.h"
#include "tools/shards/shard_setup.h"

namespace tidemark::shards {
namespace {

using shardrouter::BucketStats;
constexpr const char* kSlot = "tidemark_plan";

std::string bytes_of_hex(std::string_view text) {  // "\x0102"
  std::string bytes;
  for (size_t i = 2; i + 1 < text.size(); i += 2)
    bytes += static_cast<char>(parse_hex_u64(text.substr(i, 2)).value_or(0));
  return bytes;
}

class Gatherer {
 public:
  Gatherer(std::vector<OpenedShard>& opened, const StatisticsOptions& options) : opened_(opened), options_(options) {}

  Result<Statistics> run(const std::vector<BucketOwner>& map) {
    for (uint32_t b = 0; b < kBucketCount; ++b)
      statistics_.buckets.push_back({.bucket = static_cast<Bucket>(b), .owner = map[b].shard});
    Status done;
    for (OpenedShard& shard : opened_)
      if (done) done = mark_moving(shard);
    if (done && options_.window.count() > 0) count_writes();
    for (OpenedShard& shard : opened_)
      if (done) done = weigh_tables(shard);
    if (!done) return std::unexpected(done.error());
    return std::move(statistics_);
  }

 private:
  Status mark_moving(OpenedShard& shard) {
    auto rows = read_bucket_rows(shard.session);
    if (!rows) return std::unexpected(rows.error());
    for (const auto& row : *rows)
      if (row.state == shardrouter::BucketState::kFenced || row.state == shardrouter::BucketState::kImporting)
        statistics_.buckets[row.bucket].is_moving = true;
    return {};
  }

  Status weigh_tables(OpenedShard& shard) {
    const auto tables = protected_tables(shard.session);
    if (!tables) return std::unexpected(tables.error());
    for (const std::string& table : *tables) {
      const Status weighed = weigh(shard, table);
      if (!weighed) return weighed;
    }
    return {};
  }

  Status weigh(OpenedShard& shard, const std::string& table) {
    const auto size = shard.session.value("SELECT pg_relation_size(to_regclass($1))", {table});
    if (!size) return std::unexpected(size.error());
    const double bytes = static_cast<double>(parse_u64(*size).value_or(0));
    const double part = std::min(1.0, static_cast<double>(options_.exact_bytes) / std::max(1.0, bytes));
    const std::string sample = part < 1 ? fmt::format(" TABLESAMPLE SYSTEM ({:.4f})", part * 100) : "";
    if (part < 1)
      statistics_.notes.push_back(fmt::format("shard {}: {} has {:.0f} MB, so {:.1f} % of it was looked at", shard.id(),
                                              table, bytes / 1e6, part * 100));
    const auto set = shard.session.query(
        fmt::format("SELECT bucket, count(*), coalesce(sum(pg_column_size(r.*)), 0) FROM {} AS r{} GROUP BY bucket",
                    table, sample));
    if (!set) return std::unexpected(set.error());
    for (const auto& row : set->rows) {
      const auto bucket = parse_u64(row[0].value_or(""));
      // Rows that a move left behind are on their way out.
      if (!bucket || *bucket >= kBucketCount || statistics_.buckets[*bucket].owner != shard.id()) continue;
      BucketStats& one = statistics_.buckets[*bucket];
      one.rows += static_cast<uint64_t>(static_cast<double>(parse_u64(row[1].value_or("0")).value_or(0)) / part);
      one.bytes += static_cast<uint64_t>(static_cast<double>(parse_u64(row[2].value_or("0")).value_or(0)) / part);
    }
    return {};
  }

  void count_writes() {
    bool is_whole = true;
    for (OpenedShard& shard : opened_) is_whole = make_slot(shard) && is_whole;
    if (is_whole) {
      const auto began = std::chrono::steady_clock::now();
      std::this_thread::sleep_for(options_.window);
      for (OpenedShard& shard : opened_) is_whole = is_whole && read_slot(shard, began);
    }
    for (OpenedShard& shard : opened_)
      (void)shard.session.run(
          "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", {kSlot});
    statistics_.has_load = is_whole;
    if (!is_whole)  // half of the load would make the other shards look idle
      for (BucketStats& bucket : statistics_.buckets) bucket.writes_per_second = 0;
  }

  bool make_slot(OpenedShard& shard) {
    (void)shard.session.run(fmt::format("SET statement_timeout = '{}'", kSlotTimeout));
    const Status made = shard.session.run("SELECT pg_create_logical_replication_slot($1, 'pgoutput', true)", {kSlot});
    (void)shard.session.run("SET statement_timeout = 0");
    if (!made)
      statistics_.notes.push_back(
          fmt::format("the load is left out: {} (a slot waits for every transaction that runs)", made.error().message));
    return made.has_value();
  }

  bool read_slot(OpenedShard& shard, std::chrono::steady_clock::time_point began) {
    WriteCounter counter;
    const auto upto = shard.session.value("SELECT pg_current_wal_insert_lsn()");
    if (!upto) return false;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    while (true) {
      const auto set = shard.session.query(
          "SELECT data FROM pg_logical_slot_get_binary_changes($1, $2::pg_lsn, $3::int, 'proto_version', '1', "
          "'publication_names', 'tidemark')",
          {kSlot, *upto, std::to_string(kSlotChangesPerCall)});
      if (!set) {
        statistics_.notes.push_back("the load is left out: " + set.error().message);
        return false;
      }
      if (set->rows.empty()) break;
      for (const auto& row : set->rows) (void)counter.add(bytes_of_hex(row[0].value_or("")));
    }
    for (BucketStats& bucket : statistics_.buckets)
      if (bucket.owner == shard.id())
        bucket.writes_per_second = static_cast<double>(counter.count(bucket.bucket)) / seconds;
    return true;
  }

  std::vector<OpenedShard>& opened_;
  const StatisticsOptions& options_;
  Statistics statistics_;
};

}  // namespace

Result<Statistics> gather_statistics(std::vector<OpenedShard>& opened, const std::vector<BucketOwner>& map,
                                     const StatisticsOptions& options) {
  return Gatherer(opened, options).run(map);
}

}  // namespace tidemark::shards
