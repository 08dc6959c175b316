#include "cacheserver/command/info_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/parse.h"
#include "cacheserver/command/command_table.h"
#include "cacheserver/command/versions.h"
#include "cacheserver/freshness/freshness_state.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

using Out = std::string;

template <typename Value>
void field(Out& out, std::string_view name, const Value& value) {
  fmt::format_to(std::back_inserter(out), "{}:{}\r\n", name, value);
}

int64_t uptime_seconds(const CommandContext& context) {
  return std::max<int64_t>(0, (context.now - context.worker.identity().started_at).count() / 1'000'000);
}

void server_section(Out& out, const CommandContext& context) {
  const WorkerView& worker = context.worker;
  field(out, "redis_version", kRedisVersion);
  field(out, "server_name", "tidemark");
  field(out, "tidemark_version", kTidemarkVersion);
  field(out, "redis_mode", worker.is_clustered() ? "cluster" : "standalone");
  field(out, "os", "Linux");
  field(out, "arch_bits", 64);
  field(out, "multiplexing_api", "epoll");
  field(out, "process_id", worker.identity().process_id);
  field(out, "process_supervised", "no");
  field(out, "run_id", fmt::format("{:016x}{:024x}", worker.incarnation(), worker.identity().worker_index));
  field(out, "tcp_port", worker.identity().port);
  field(out, "server_time_usec", context.unix_now.value * 1000);
  field(out, "uptime_in_seconds", uptime_seconds(context));
  field(out, "uptime_in_days", uptime_seconds(context) / 86400);
  field(out, "hz", 10);
  field(out, "node_id", worker.identity().node_id);
  field(out, "worker_index", worker.identity().worker_index);
}

void clients_section(Out& out, const CommandContext& context) {
  size_t query_max = 0, output_max = 0;
  for (const auto& [id, session] : context.worker.sessions()) {
    query_max = std::max(query_max, session->query_buffer_bytes);
    output_max = std::max(output_max, session->output_buffer_bytes);
  }
  field(out, "connected_clients", context.worker.sessions().size());
  field(out, "cluster_connections", 0);
  field(out, "maxclients", context.worker.config().clients_max);
  field(out, "client_recent_max_input_buffer", query_max);
  field(out, "client_recent_max_output_buffer", output_max);
  field(out, "blocked_clients", 0);
  field(out, "tracking_clients", 0);
}

void memory_section(Out& out, const CommandContext& context) {
  const MemoryBudget& memory = context.keyspace.memory();
  uint64_t peak = std::max(context.worker.stats().memory_bytes_peak.get(), memory.bytes_used);
  uint64_t rss = context.worker.stats().process_rss_bytes.get();
  field(out, "used_memory", memory.bytes_used);
  field(out, "used_memory_human", human_bytes(memory.bytes_used));
  field(out, "used_memory_rss", rss);
  field(out, "used_memory_rss_human", human_bytes(rss));
  field(out, "used_memory_peak", peak);
  field(out, "used_memory_peak_human", human_bytes(peak));
  field(out, "used_memory_dataset", memory.bytes_used);
  field(out, "maxmemory", memory.bytes_max);
  field(out, "maxmemory_human", human_bytes(memory.bytes_max));
  field(out, "maxmemory_policy", redis_name_of_policy(context.worker.config().memory_policy));
  field(out, "mem_allocator", "libc");
}

void persistence_section(Out& out, const CommandContext&) {
  for (std::string_view name : {"loading", "async_loading", "rdb_changes_since_last_save", "rdb_bgsave_in_progress",
                                "aof_enabled", "aof_rewrite_in_progress"}) {
    field(out, name, 0);
  }
}

void stats_section(Out& out, const CommandContext& context) {
  const WorkerStats& stats = context.worker.stats();
  const KeyspaceStats& keyspace = context.keyspace.stats();
  field(out, "total_connections_received", stats.connections_total.get());
  field(out, "total_commands_processed", stats.commands_total.get());
  field(out, "instantaneous_ops_per_sec", stats.commands_per_second.get());
  field(out, "total_net_input_bytes", stats.bytes_in.get());
  field(out, "total_net_output_bytes", stats.bytes_out.get());
  field(out, "rejected_connections", stats.connections_refused.get());
  field(out, "expired_keys", keyspace.expired);
  field(out, "evicted_keys", keyspace.evicted);
  field(out, "keyspace_hits", keyspace.hits);
  field(out, "keyspace_misses", keyspace.misses);
  field(out, "pubsub_channels", 0);
  field(out, "pubsub_patterns", 0);
  field(out, "client_query_buffer_limit_disconnections", stats.connections_killed_query.get());
  field(out, "client_output_buffer_limit_disconnections", stats.connections_killed_output.get());
  field(out, "unexpected_error_replies", 0);
  field(out, "total_protocol_errors", stats.protocol_errors.get());
  field(out, "total_moved_replies", stats.commands_moved.get());
  field(out, "total_protected_replies", stats.commands_protected.get());
}

void replication_section(Out& out, const CommandContext& context) {
  field(out, "role", context.worker.is_primary() ? "master" : "slave");
  field(out, "connected_slaves", 0);
  field(out, "master_failover_state", "no-failover");
  field(out, "master_repl_offset", 0);
}

void cpu_section(Out& out, const CommandContext& context) {
  auto seconds = [](const Counter& micros) { return fmt::format("{:.6f}", static_cast<double>(micros.get()) / 1e6); };
  field(out, "used_cpu_sys", seconds(context.worker.stats().cpu_system_micros));
  field(out, "used_cpu_user", seconds(context.worker.stats().cpu_user_micros));
}

void commandstats_section(Out& out, const CommandContext& context) {
  const CommandTable& table = CommandTable::standard();
  const auto& all = context.worker.command_stats();
  for (uint32_t row = 0; row < table.size() && row < all.size(); ++row) {
    const CommandStats& stats = all[row];
    uint64_t calls = stats.calls.get(), micros = stats.micros.get();
    if (calls == 0 && stats.rejected.get() == 0) continue;
    double average = calls == 0 ? 0.0 : static_cast<double>(micros) / static_cast<double>(calls);
    fmt::format_to(std::back_inserter(out),
                   "cmdstat_{}:calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}\r\n",
                   table.spec(row).name, calls, micros, average, stats.rejected.get(), stats.failed.get());
  }
}

void cluster_section(Out& out, const CommandContext& context) {
  field(out, "cluster_enabled", context.worker.is_clustered() ? 1 : 0);
}

void keyspace_section(Out& out, const CommandContext& context) {
  if (context.keyspace.size() == 0) return;
  fmt::format_to(std::back_inserter(out), "db0:keys={},expires={},avg_ttl=0\r\n", context.keyspace.size(),
                 context.keyspace.size_with_expiry());
}

void tidemark_section(Out& out, const CommandContext& context) {
  const FreshnessState& freshness = context.freshness;
  field(out, "topology_version", context.worker.topology().version);
  field(out, "slots_version", context.worker.slots_version());
  field(out, "group_epoch", context.worker.group_epoch());
  field(out, "owned_slots", context.worker.owned_slot_count());
  field(out, "families_version", context.worker.topology().families_version);
  field(out, "incarnation", fmt::format("{:016x}", context.worker.incarnation()));
  for (ShardId id : freshness.joined_shards()) {
    const ShardTide* tide = freshness.find_shard(id);
    auto bound = freshness.bound(id, context.now);
    fmt::format_to(std::back_inserter(out), "shard{}:db_epoch={},complete_through={},settled={},bound_ms={}\r\n", id,
                   tide->db_epoch(), tide->complete_through().to_string(), tide->settled().to_string(),
                   bound ? to_millis(*bound) : -1);
  }
  FreshnessState::Gauges gauges = freshness.gauges();
  field(out, "tombstones", gauges.tombstones);
  field(out, "fill_leases", gauges.leases);
  field(out, "moved_buckets", gauges.moved_buckets);
  field(out, "staged_values", gauges.staged);
  field(out, "staged_bytes", gauges.staged_bytes);
  field(out, "staged_parked", gauges.staged_parked);
  for (size_t end = 0; end < kStagedEndCount; ++end) {
    field(out, fmt::format("staged_{}", to_string(static_cast<StagedEnd>(end))), gauges.staged_ended[end]);
  }
}

struct Section {
  std::string_view name, title;
  bool is_default;
  void (*write)(Out&, const CommandContext&);
};
constexpr std::array kSections = {
    Section{"server", "Server", true, server_section},
    Section{"clients", "Clients", true, clients_section},
    Section{"memory", "Memory", true, memory_section},
    Section{"persistence", "Persistence", true, persistence_section},
    Section{"stats", "Stats", true, stats_section},
    Section{"replication", "Replication", true, replication_section},
    Section{"cpu", "CPU", true, cpu_section},
    Section{"commandstats", "Commandstats", false, commandstats_section},
    Section{"cluster", "Cluster", true, cluster_section},
    Section{"keyspace", "Keyspace", true, keyspace_section},
    Section{"tidemark", "Tidemark", true, tidemark_section},
};

bool is_wanted(const Section& section, Arguments names) {
  if (names.empty()) return section.is_default;
  return std::ranges::any_of(names, [&](std::string_view name) {
    if (equals_ignore_case(name, "all") || equals_ignore_case(name, "everything")) return true;
    return equals_ignore_case(name, "default") ? section.is_default : equals_ignore_case(name, section.name);
  });
}

}  // namespace

std::string human_bytes(uint64_t bytes) {
  constexpr std::array kUnits = {'B', 'K', 'M', 'G', 'T'};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{}B", bytes) : fmt::format("{:.2f}{}", value, kUnits[unit]);
}

std::string info_report(const CommandContext& context, Arguments sections) {
  std::string out;
  for (const Section& section : kSections) {
    if (!is_wanted(section, sections)) continue;
    if (!out.empty()) out += "\r\n";
    fmt::format_to(std::back_inserter(out), "# {}\r\n", section.title);
    section.write(out, context);
  }
  return out;
}

}  // namespace tidemark::cacheserver
