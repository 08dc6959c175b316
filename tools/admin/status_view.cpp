#include "tools/admin/status_view.h"

#include <fmt/format.h>

#include <array>

#include "tools/admin/table.h"

namespace tidemark::admin {
namespace {

std::string bytes_or_dash(const std::optional<int64_t>& bytes) {
  return bytes ? human_bytes(static_cast<uint64_t>(std::max<int64_t>(*bytes, 0))) : "-";
}
std::string number_or_dash(const std::optional<int64_t>& number) {
  return number ? std::to_string(*number) : "-";
}
std::string ms_or_dash(const std::optional<int64_t>& ms) {
  return ms ? fmt::format("{} ms", *ms) : "-";
}
std::string text_or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}
const char* role_name(ShardServer::Role role) {
  return role == ShardServer::Role::kPrimary ? "primary" : "replica";
}

std::string workers_table(const ClusterStatus& status) {
  Table table({"NODE", "WORKER", "ADDRESS", "ROLE", "SLOTS", "KEYS", "MEMORY", "OPS/S", "CLIENTS", "STATE"});
  for (const WorkerState& state : status.workers) {
    std::vector<std::string> row{state.node, std::to_string(state.worker), state.address};
    auto add = [&](std::initializer_list<std::string> more) { row.insert(row.end(), more); };
    if (state.measures) {
      const WorkerMeasures& of = *state.measures;
      std::string memory = human_bytes(of.memory_bytes_used);
      if (of.memory_bytes_max > 0) memory += " / " + human_bytes(of.memory_bytes_max);
      add({of.role, std::to_string(state.slots), std::to_string(of.keys), memory,
           std::to_string(of.commands_per_second), std::to_string(of.clients), "ok"});
    } else {
      add({"-", std::to_string(state.slots), "-", "-", "-", "-", state.measures.error().message});
    }
    table.add(std::move(row));
  }
  return table.to_string();
}

std::string servers_table(const ClusterStatus& status) {
  Table table({"SHARD", "BUCKETS", "OWNED", "DB EPOCH", "SERVER", "ROLE", "TIMELINE", "LSN", "LAG", "LAG MS", "STATE"});
  for (const ShardState& shard : status.shards) {
    for (const ServerState& server : shard.servers) {
      std::vector<std::string> row{std::to_string(shard.id), std::to_string(shard.buckets),
                                   number_or_dash(shard.buckets_owned), number_or_dash(shard.db_epoch), server.name};
      auto add = [&](std::initializer_list<std::string> more) { row.insert(row.end(), more); };
      if (server.measures) {
        const ServerMeasures& of = *server.measures;
        add({of.is_primary ? "primary" : "replica", number_or_dash(of.timeline), text_or_dash(of.lsn),
             bytes_or_dash(of.lag_bytes), number_or_dash(of.lag_ms), of.is_replay_paused ? "replay paused" : "ok"});
      } else {
        add({role_name(server.role), "-", "-", "-", "-", server.measures.error().message});
      }
      table.add(std::move(row));
    }
  }
  return table.to_string();
}

std::string slots_table(const ClusterStatus& status) {
  Table table({"SHARD", "WAL SLOT", "KIND", "READ", "WAL STATUS", "CONFIRMED", "LAG", "RETAINED"});
  for (const ShardState& shard : status.shards) {
    for (const WalSlot& slot : shard.wal_slots) {
      table.add({std::to_string(shard.id), slot.name, slot.is_logical ? "logical" : "physical",
                 slot.is_active ? "yes" : "no", text_or_dash(slot.wal_status), text_or_dash(slot.confirmed_lsn),
                 bytes_or_dash(slot.lag_bytes), bytes_or_dash(slot.retained_bytes)});
    }
  }
  return table.to_string();
}

std::string tides_table(const ClusterStatus& status) {
  Table table({"NODE", "WORKER", "SHARD", "DB EPOCH", "TIDE MARK", "LAG", "SETTLED", "BOUND"});
  for (const WorkerState& state : status.workers) {
    if (!state.measures) continue;
    for (const Tide& tide : state.measures->tides) {
      std::optional<int64_t> bound = tide.bound_ms < 0 ? std::nullopt : std::optional(tide.bound_ms);
      table.add({state.node, std::to_string(state.worker), std::to_string(tide.shard), std::to_string(tide.db_epoch),
                 tide.complete_through, bytes_or_dash(tide_lag_bytes(tide, status)), tide.settled,
                 bound ? ms_or_dash(bound) : "unknown"});
    }
  }
  return table.to_string();
}

std::string lanes_table(const Topology& topology) {
  Table table({"ID LANE", "OWNER", "UNTIL (UNIX MS)"});
  for (const LaneLease& lease : topology.lanes) {
    table.add({std::to_string(lease.lane), lease.owner, std::to_string(lease.until.value)});
  }
  return table.to_string();
}

}  // namespace

std::string human_bytes(uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string status_as_tables(const ClusterStatus& status) {
  const Topology& topology = status.topology;
  std::string out = fmt::format(
      "topology version {}, slots version {}, {} families (version {}); {} of {} slots served\n", topology.version,
      topology.slots_version, topology.families.size(), topology.families_version, status.slots_served, kSlotCount);
  out += "\n" + workers_table(status);
  if (!status.shards.empty()) {
    out += "\n" + servers_table(status) + "\n" + slots_table(status) + "\n" + tides_table(status);
  }
  if (!topology.lanes.empty()) out += "\n" + lanes_table(topology);
  std::vector<std::string> problems = problems_of(status);
  out += problems.empty() ? "\nhealthy\n" : fmt::format("\ndegraded: {} problems\n", problems.size());
  for (const std::string& problem : problems) out += "  - " + problem + "\n";
  return out;
}

}  // namespace tidemark::admin
