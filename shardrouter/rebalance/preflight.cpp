#include "shardrouter/rebalance/preflight.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shardrouter {
namespace {

constexpr int kVersionMin = 150000;
constexpr int kSourceSlots = 2;      // the stream, and a temporary one for each comparison
constexpr int kTargetSlots = 1;      // the reverse stream
constexpr int kOrigins = 2;          // the stream's or the reverse stream's, and the clean-up's
constexpr double kDiskFactor = 2.5;  // rows, their indexes, and the WAL of writing them

using Refusals = std::vector<std::string>;

void check_server(const ServerFacts& server, int slots, Refusals& out) {
  const auto refuse = [&](std::string text) { out.push_back(server.name + ": " + std::move(text)); };
  if (!server.is_primary) refuse("is a replica: the shards file must name the primary as \"admin\"");
  if (server.version < kVersionMin)
    refuse(fmt::format("PostgreSQL {} is too old: 15 or newer", server.version / 10000));
  if (!server.is_superuser)
    refuse("the user of \"admin\" is no superuser: triggers cannot be left out while rows are applied");
  if (!server.is_direct) refuse("is reached through a pooler: give the server's own address as \"admin\"");
  if (!server.knows_moves) refuse("knows nothing of moves: run tidemark-shards init");
  if (server.wal_level != "logical") refuse("wal_level is " + server.wal_level + ": set it to logical and restart");
  if (server.free_slots < slots)
    refuse(fmt::format("{} replication slots are free, {} are needed: raise max_replication_slots", server.free_slots,
                       slots));
  if (server.free_origins < kOrigins)
    refuse(fmt::format("{} replication origins are free, {} are needed: raise max_replication_slots",
                       server.free_origins, kOrigins));
  if (server.free_walsenders < slots)
    refuse(fmt::format("{} WAL senders are free, {} are needed: raise max_wal_senders", server.free_walsenders, slots));
  for (const std::string& one : server.old_transactions)
    refuse(one + ": a slot waits for every transaction that is running; end it first");
  for (const std::string& one : server.prepared_transactions)
    refuse("prepared transaction " + one + " holds its locks until somebody ends it: COMMIT or ROLLBACK PREPARED");
  for (const std::string& one : server.running_ddl)
    refuse(one + ": a schema change and a move do not mix; wait for it");
  for (const std::string& one : server.absent_standbys)
    refuse("standby " + one +
           " does not stream: if it were promoted it would forget the move; bring it back, or take it "
           "out of the topology");
}

void check_table(const TableFacts& table, Refusals& out) {
  const auto refuse = [&](std::string text) { out.push_back(table.name + ": " + std::move(text)); };
  if (!table.is_at_target) {
    refuse("does not exist at the target: run tidemark-shards init there with the same --schema");
    return;
  }
  if (!table.is_ordinary) refuse("is partitioned or inherits: its rows would come under another name");
  if (!table.is_logged) refuse("is not logged, so its changes are in no stream: ALTER TABLE … SET LOGGED");
  if (!table.has_bucket_in_key) refuse("its primary key lacks the bucket: make it PRIMARY KEY (bucket, …)");
  if (table.has_deferrable_key) refuse("its primary key is deferrable: the stream cannot name its rows by it");
  if (table.identity == 'n')
    refuse("REPLICA IDENTITY NOTHING: a deleted row would not be told; ALTER TABLE … REPLICA IDENTITY DEFAULT");
  else if (!table.has_bucket_in_identity)
    refuse(
        "the bucket is not in the replica identity: with the move's publication every UPDATE of the application would "
        "fail; use an index that begins with the bucket");
  Refusals differences;
  std::ranges::set_symmetric_difference(table.source_columns, table.target_columns, std::back_inserter(differences));
  if (!differences.empty())
    refuse(fmt::format("source and target have different columns ({}): migrate the target first", differences.front()));
  for (const std::string& one : table.unique_without_bucket)
    refuse(one + " is unique without the bucket: rows of two shards may clash; put the bucket into it");
  for (const std::string& one : table.keys_across_buckets)
    refuse("foreign key " + one + " does not pair the buckets: it may point to a row that stays behind");
  for (const std::string& one : table.always_triggers)
    refuse("trigger " + one + " fires for applied rows too: ALTER TABLE … ENABLE TRIGGER instead of ALWAYS or REPLICA");
  for (const std::string& one : table.missing_references)
    refuse("the target lacks a row that is referred to: " + one + "; copy the reference table first");
}

}  // namespace

std::vector<std::string> preflight_refusals(const PreflightFacts& facts) {
  Refusals out;
  check_server(facts.source, kSourceSlots, out);
  check_server(facts.target, kTargetSlots, out);
  if (facts.source.version / 10000 != facts.target.version / 10000)
    out.push_back(
        fmt::format("the source is PostgreSQL {}, the target {}: rows are copied in binary form; make them equal",
                    facts.source.version / 10000, facts.target.version / 10000));
  if (facts.tables.empty()) out.push_back("no table belongs to buckets: SELECT shard.protect_table('…') on each");
  for (const TableFacts& table : facts.tables) check_table(table, out);
  const double needed = static_cast<double>(facts.bytes) * kDiskFactor;
  if (facts.target.free_bytes >= 0 && static_cast<double>(facts.target.free_bytes) < needed)
    out.push_back(fmt::format("{}: {} bytes of disk are free, about {:.0f} are needed", facts.target.name,
                              facts.target.free_bytes, needed));
  return out;
}

}  // namespace tidemark::shardrouter
