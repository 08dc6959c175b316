#include <nlohmann/json.hpp>

#include "tools/admin/status_view.h"

namespace tidemark::admin {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kStatusFormat = 1;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const WorkerState& state, const ClusterStatus& status) {
  Json worker = {{"node", state.node},
                 {"worker", state.worker},
                 {"address", state.address},
                 {"slots", state.slots},
                 {"reachable", state.measures.has_value()}};
  if (!state.measures) {
    worker["error"] = state.measures.error().message;
    return worker;
  }
  const WorkerMeasures& of = *state.measures;
  worker.update({{"role", of.role},
                 {"keys", of.keys},
                 {"memory_bytes_used", of.memory_bytes_used},
                 {"memory_bytes_max", of.memory_bytes_max},
                 {"commands_per_second", of.commands_per_second},
                 {"clients", of.clients},
                 {"uptime_s", of.uptime_s},
                 {"topology_version", of.topology_version},
                 {"slots_version", of.slots_version},
                 {"tides", Json::array()}});
  for (const Tide& tide : of.tides) {
    worker["tides"].push_back({{"shard", tide.shard},
                               {"db_epoch", tide.db_epoch},
                               {"complete_through", tide.complete_through},
                               {"lag_bytes", or_null(tide_lag_bytes(tide, status))},
                               {"settled", tide.settled},
                               {"floor", tide.floor},
                               {"bound_ms", tide.bound_ms < 0 ? Json(nullptr) : Json(tide.bound_ms)}});
  }
  return worker;
}

Json json_of(const ServerState& server) {
  Json json = {{"name", server.name},
               {"role", server.role == ShardServer::Role::kPrimary ? "primary" : "replica"},
               {"reachable", server.measures.has_value()}};
  if (!server.measures) {
    json["error"] = server.measures.error().message;
    return json;
  }
  const ServerMeasures& of = *server.measures;
  json.update({{"is_primary", of.is_primary},
               {"timeline", or_null(of.timeline)},
               {"lsn", of.lsn},
               {"lag_bytes", or_null(of.lag_bytes)},
               {"lag_ms", or_null(of.lag_ms)},
               {"replay_paused", of.is_replay_paused}});
  return json;
}

Json json_of(const WalSlot& slot) {
  return {{"name", slot.name},
          {"kind", slot.is_logical ? "logical" : "physical"},
          {"active", slot.is_active},
          {"wal_status", slot.wal_status},
          {"confirmed_lsn", slot.confirmed_lsn.empty() ? Json(nullptr) : Json(slot.confirmed_lsn)},
          {"lag_bytes", or_null(slot.lag_bytes)},
          {"retained_bytes", or_null(slot.retained_bytes)}};
}

Json json_of(const ShardState& shard) {
  Json json = {{"id", shard.id},
               {"buckets", shard.buckets},
               {"buckets_owned", or_null(shard.buckets_owned)},
               {"db_epoch", or_null(shard.db_epoch)},
               {"open", shard.is_open},
               {"servers", Json::array()},
               {"wal_slots", Json::array()}};
  for (const ServerState& server : shard.servers) json["servers"].push_back(json_of(server));
  for (const WalSlot& slot : shard.wal_slots) json["wal_slots"].push_back(json_of(slot));
  return json;
}

}  // namespace

std::string status_as_json(const ClusterStatus& status) {
  const Topology& topology = status.topology;
  std::vector<std::string> problems = problems_of(status);
  Json out = {{"format", kStatusFormat},
              {"healthy", problems.empty()},
              {"problems", problems},
              {"topology_version", topology.version},
              {"slots_version", topology.slots_version},
              {"families_version", topology.families_version},
              {"families", topology.families.size()},
              {"slots", kSlotCount},
              {"slots_served", status.slots_served},
              {"workers", Json::array()},
              {"groups", Json::array()},
              {"shards", Json::array()},
              {"lanes", Json::array()}};
  for (const WorkerState& state : status.workers) out["workers"].push_back(json_of(state, status));
  for (const Group& group : topology.groups) {
    out["groups"].push_back(
        {{"id", group.id}, {"epoch", group.epoch}, {"weight", group.weight}, {"nodes", group.nodes}});
  }
  for (const ShardState& shard : status.shards) out["shards"].push_back(json_of(shard));
  for (const LaneLease& lease : topology.lanes) {
    out["lanes"].push_back({{"lane", lease.lane}, {"owner", lease.owner}, {"until_ms", lease.until.value}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tidemark::admin
