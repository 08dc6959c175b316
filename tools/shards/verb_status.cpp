#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/io/topology_store_file.h"
#include "base/parse.h"
#include "shardrouter/sql/schema/shard_schema.h"
#include "tools/shards/pg_session.h"
#include "tools/shards/verbs.h"

namespace tidemark::shards {
namespace {

using Json = nlohmann::ordered_json;
constexpr int64_t kSlotLagBytesMax = 1 << 30;  // beyond it the invalidator is told to be behind

constexpr const char* kPrimaryState =
    "SELECT pg_is_in_recovery(), (SELECT e FROM tidemark.epoch), "
    "CASE WHEN NOT pg_is_in_recovery() THEN tidemark.incarnation_is_open() END, "
    "(SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'tidemark'), "
    "(SELECT active FROM pg_replication_slots WHERE slot_name = 'tidemark'), "
    "(SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'tidemark'), "
    "CASE WHEN NOT pg_is_in_recovery() THEN (SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), "
    "confirmed_flush_lsn)::bigint "
    "  FROM pg_replication_slots WHERE slot_name = 'tidemark') END, "
    "CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END";
constexpr const char* kReplicaState =
    "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, pg_wal_lsn_diff($1::pg_lsn, "
    "pg_last_wal_replay_lsn())::bigint, "
    "pg_is_in_recovery() AND pg_get_wal_replay_pause_state() <> 'not paused'";

Json number_or_null(const std::optional<std::string>& cell) {
  const auto number = cell ? parse_i64(*cell) : std::nullopt;
  return number ? Json(*number) : Json(nullptr);
}

Result<PgSession> connect(const ShardServer& server, const std::string& passfile) {
  return PgSession::connect(server.name, server.conninfo + " user=" + std::string(shardrouter::kAdminRole), passfile);
}

Json unreachable(const ShardServer& server, const Error& error) {
  return Json{{"name", server.name}, {"reachable", false}, {"problem", error.message}};
}

Json primary_state(PgSession& session, const ShardServer& server, Json& shard) {
  Json json{{"name", server.name}, {"role", "primary"}, {"reachable", true}};
  const auto row = session.query(kPrimaryState);
  if (!row) return unreachable(server, row.error());
  const auto& cells = row->rows[0];
  json["lsn"] = cells[7].value_or("");
  shard["db_epoch"] = number_or_null(cells[1]);
  shard["slot"] = Json{{"exists", cells[3].has_value()},
                       {"active", cells[4] == "t"},
                       {"wal_status", cells[5].value_or("")},
                       {"lag_bytes", number_or_null(cells[6])}};
  if (cells[0] == "t")
    json["problem"] = "it is a replica, the topology calls it the primary";
  else if (cells[2] != "t")
    json["problem"] = "its incarnation is not open for routed writes";
  else if (!cells[3])
    json["problem"] = "the slot tidemark is missing: run tidemark-shards init";
  else if (cells[5] == "lost")
    json["problem"] = "the slot tidemark has lost WAL: every cached value of the shard must be revalidated";
  else if (cells[4] != "t")
    json["problem"] = "nobody reads the slot tidemark: is the invalidator running?";
  else if (parse_i64(cells[6].value_or("0")).value_or(0) > kSlotLagBytesMax)
    json["problem"] = "the invalidator is far behind";
  const auto buckets = session.query("SELECT state, epoch, count(*) FROM shard.bucket GROUP BY 1, 2 ORDER BY 1, 2");
  if (!buckets) return unreachable(server, buckets.error());
  shard["buckets"] = Json::array();
  for (const auto& one : buckets->rows)
    shard["buckets"].push_back(
        Json{{"state", one[0].value_or("")}, {"epoch", number_or_null(one[1])}, {"count", number_or_null(one[2])}});
  return json;
}

Json replica_state(PgSession& session, const ShardServer& server, const std::string& primary_lsn) {
  Json json{{"name", server.name}, {"role", "replica"}, {"reachable", true}};
  const auto row = session.query(kReplicaState, {primary_lsn.empty() ? std::optional<std::string>() : primary_lsn});
  if (!row) return unreachable(server, row.error());
  const auto& cells = row->rows[0];
  json["lsn"] = cells[1].value_or("");
  json["lag_bytes"] = number_or_null(cells[2]);
  if (cells[0] != "t")
    json["problem"] = "it is a primary, the topology calls it a replica";
  else if (cells[3] == "t")
    json["problem"] = "its replay is paused";
  return json;
}

Json shard_state(const Shard& shard, const std::string& passfile) {
  Json json{{"id", shard.id},
            {"db_epoch", nullptr},
            {"slot", nullptr},
            {"buckets", Json::array()},
            {"servers", Json::array()}};
  std::string primary_lsn;
  for (const bool is_primary_turn : {true, false}) {
    for (const ShardServer& server : shard.servers) {
      if ((server.role == ShardServer::Role::kPrimary) != is_primary_turn) continue;
      auto session = connect(server, passfile);
      Json state = !session          ? unreachable(server, session.error())
                   : is_primary_turn ? primary_state(*session, server, json)
                                     : replica_state(*session, server, primary_lsn);
      if (!state.contains("role")) state["role"] = is_primary_turn ? "primary" : "replica";
      if (is_primary_turn && state.contains("lsn")) primary_lsn = state["lsn"].get<std::string>();
      json["servers"].push_back(std::move(state));
    }
  }
  return json;
}

void print_table(const Json& json) {
  for (const auto& shard : json["shards"]) {
    fmt::print("shard {}  db_epoch {}\n", shard["id"].get<int>(), shard["db_epoch"].dump());
    for (const auto& one : shard["buckets"])
      fmt::print("  buckets {:<10} epoch {:>4} {:>5}\n", one["state"].get<std::string>(), one["epoch"].dump(),
                 one["count"].dump());
    if (!shard["slot"].is_null())
      fmt::print("  slot tidemark: {}, lag {} bytes, wal {}\n",
                 shard["slot"]["active"].get<bool>() ? "active" : "not active", shard["slot"]["lag_bytes"].dump(),
                 shard["slot"]["wal_status"].get<std::string>());
    for (const auto& server : shard["servers"])
      fmt::print(
          "  {:<14} {:<8} {:<12} {:<14} {}\n", server["name"].get<std::string>(), server["role"].get<std::string>(),
          server["reachable"].get<bool>() ? server.value("lsn", "") : "unreachable",
          server.contains("lag_bytes") ? "lag " + server["lag_bytes"].dump() + " B" : "", server.value("problem", ""));
  }
}

}  // namespace

Result<bool> run_status(const StatusArguments& arguments) {
  const auto store = io::open_topology_store(arguments.topology);
  if (!store) return std::unexpected(store.error());
  const auto topology = store->load();
  if (!topology) return std::unexpected(topology.error());
  if (topology->shards.empty())
    return fail(ErrorCode::kFailedPrecondition, "the topology has no shards: run tidemark-shards init");
  Json json{{"topology_version", topology->version}, {"shards", Json::array()}};
  bool is_good = true;
  for (const Shard& shard : topology->shards) {
    json["shards"].push_back(shard_state(shard, arguments.passfile));
    for (const auto& server : json["shards"].back()["servers"]) is_good = is_good && !server.contains("problem");
  }
  if (arguments.format == "json")
    fmt::print("{}\n", json.dump(2));
  else
    print_table(json);
  return is_good;
}

}  // namespace tidemark::shards
