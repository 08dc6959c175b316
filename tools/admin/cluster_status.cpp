#include "tools/admin/cluster_status.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::admin {
namespace {

using Problems = std::vector<std::string>;

std::string name_of(const WorkerState& state) {
  return fmt::format("worker {} of {} ({})", state.worker, state.node, state.address);
}

// The least that a family wants its reads bounded by: beyond it they pass the cache by.
int64_t bound_ms_max(const Topology& topology) {
  int64_t least = kTideBoundMsMax;
  for (const Family& family : topology.families) {
    if (!family.table.empty()) least = std::min(least, static_cast<int64_t>(family.max_stale_ms));
  }
  return least;
}

void judge_tides(const WorkerState& state, const WorkerMeasures& measures, const Topology& topology,
                 Problems& problems) {
  for (const Shard& shard : topology.shards) {
    if (state.slots == 0 ||
        std::ranges::find(topology.buckets, shard.id, &BucketOwner::shard) == topology.buckets.end())
      continue;
    auto tide = std::ranges::find(measures.tides, static_cast<int64_t>(shard.id), &Tide::shard);
    if (tide == measures.tides.end())
      problems.push_back(
          fmt::format("{} has not joined shard {}: is the invalidator running?", name_of(state), shard.id));
    else if (tide->bound_ms < 0)
      problems.push_back(fmt::format("{} does not know how fresh shard {} is", name_of(state), shard.id));
    else if (tide->bound_ms > bound_ms_max(topology))
      problems.push_back(fmt::format("{} is {} ms behind shard {}; reads pass the cache by", name_of(state),
                                     tide->bound_ms, shard.id));
  }
}

void judge_workers(const ClusterStatus& status, Problems& problems) {
  const Topology& topology = status.topology;
  if (status.slots_served < kSlotCount)
    problems.push_back(fmt::format("{} of {} slots are not served", kSlotCount - status.slots_served, kSlotCount));
  for (const WorkerState& state : status.workers) {
    if (!state.measures) {
      problems.push_back(fmt::format("{}: {}", name_of(state), state.measures.error().message));
      continue;
    }
    if (state.measures->slots_version != topology.slots_version)
      problems.push_back(fmt::format("{} has slots version {}, the topology {}", name_of(state),
                                     state.measures->slots_version, topology.slots_version));
    judge_tides(state, *state.measures, topology, problems);
  }
}

void judge_server(const ShardState& shard, const ServerState& server, Problems& problems) {
  if (!server.measures) {
    problems.push_back(fmt::format("{} of shard {}: {}", server.name, shard.id, server.measures.error().message));
    return;
  }
  const ServerMeasures& measures = *server.measures;
  const bool should_be_primary = server.role == ShardServer::Role::kPrimary;
  if (measures.is_primary != should_be_primary) {
    problems.push_back(fmt::format("{} of shard {} is a {}, the topology calls it a {}", server.name, shard.id,
                                   measures.is_primary ? "primary" : "replica",
                                   should_be_primary ? "primary" : "replica"));
    return;
  }
  if (measures.is_replay_paused)
    problems.push_back(fmt::format("replay is paused on {} of shard {}", server.name, shard.id));
  else if (measures.lag_ms.value_or(0) > kReplayLagMsMax)
    problems.push_back(fmt::format("{} of shard {} is up to {} ms behind", server.name, shard.id, *measures.lag_ms));
  const ServerMeasures* primary = shard.primary();
  if (primary != nullptr && measures.timeline && primary->timeline && *measures.timeline != *primary->timeline)
    problems.push_back(fmt::format("{} of shard {} follows timeline {}, the primary is on {}", server.name, shard.id,
                                   *measures.timeline, *primary->timeline));
}

void judge_invalidator_slot(const ShardState& shard, Problems& problems) {
  auto slot = std::ranges::find(shard.wal_slots, kInvalidatorSlot, &WalSlot::name);
  if (slot == shard.wal_slots.end())
    problems.push_back(fmt::format("the slot tidemark of shard {} is missing: run tidemark-shards init", shard.id));
  else if (slot->wal_status == "lost")
    problems.push_back(fmt::format("the slot tidemark of shard {} has lost WAL", shard.id));
  else if (!slot->is_active)
    problems.push_back(
        fmt::format("nobody reads the slot tidemark of shard {}: is the invalidator running?", shard.id));
  else if (slot->lag_bytes.value_or(0) > kSlotLagBytesMax)
    problems.push_back(fmt::format("the invalidator is {} bytes behind shard {}", *slot->lag_bytes, shard.id));
}

void judge_shard(const ShardState& shard, Problems& problems) {
  for (const ServerState& server : shard.servers) judge_server(shard, server, problems);
  if (shard.primary() == nullptr) return;
  if (!shard.is_open) problems.push_back(fmt::format("shard {} is not open for routed writes", shard.id));
  if (shard.buckets_owned && *shard.buckets_owned != shard.buckets)
    problems.push_back(fmt::format("shard {} owns {} buckets, the topology gives it {}", shard.id, *shard.buckets_owned,
                                   shard.buckets));
  judge_invalidator_slot(shard, problems);
}

}  // namespace

const ServerMeasures* ShardState::primary() const {
  for (const ServerState& server : servers) {
    if (server.role == ShardServer::Role::kPrimary && server.measures && server.measures->is_primary)
      return &*server.measures;
  }
  return nullptr;
}

std::vector<std::string> problems_of(const ClusterStatus& status) {
  Problems problems;
  judge_workers(status, problems);
  for (const ShardState& shard : status.shards) judge_shard(shard, problems);
  return problems;
}

std::optional<int64_t> tide_lag_bytes(const Tide& tide, const ClusterStatus& status) {
  auto shard = std::ranges::find(status.shards, tide.shard, &ShardState::id);
  const ServerMeasures* primary = shard == status.shards.end() ? nullptr : shard->primary();
  if (primary == nullptr) return std::nullopt;
  auto written = Lsn::parse(primary->lsn), through = Lsn::parse(tide.complete_through);
  if (!written || !through) return std::nullopt;
  return *written > *through ? static_cast<int64_t>(written->value - through->value) : 0;
}

}  // namespace tidemark::admin
