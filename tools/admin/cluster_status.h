// What `tidemarkctl status` knows of a cluster: the topology, and what every worker and Postgres server answered.
//
// Probes fill it (worker_probe, shard_probe), status_view prints it, problems_of() judges it. A part that could not be
// reached is an Error in its place, never left out. Threads: a value. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::admin {

// One line of TIDE: what a worker knows of a shard.
struct Tide {
  int64_t shard = 0;
  int64_t db_epoch = 0;
  std::string complete_through, settled, floor;
  int64_t bound_ms = -1;  // -1: unknown
};

// What a worker said of itself (INFO and TIDE).
struct WorkerMeasures {
  std::string role;  // "primary", "replica"
  uint64_t keys = 0;
  uint64_t memory_bytes_used = 0;
  uint64_t memory_bytes_max = 0;  // 0: no limit
  uint64_t commands_per_second = 0;
  uint64_t clients = 0;
  uint64_t uptime_s = 0;
  uint64_t topology_version = 0;
  uint64_t slots_version = 0;
  std::vector<Tide> tides{};
};

struct WorkerState {
  std::string node;
  uint32_t worker = 0;
  std::string address;
  uint32_t slots = 0;  // those of which the topology makes it the primary's worker
  Result<WorkerMeasures> measures = fail(ErrorCode::kUnavailable, "not asked");
};

struct ServerMeasures {
  bool is_primary = false;
  std::optional<int64_t> timeline;
  std::string lsn;  // written (primary) or replayed (replica)
  // A replica's, against its primary; nothing when the primary did not answer.
  std::optional<int64_t> lag_bytes;
  // Upper bound: the age of the newest commit replayed, 0 when nothing is missing.
  std::optional<int64_t> lag_ms;
  bool is_replay_paused = false;
};

struct ServerState {
  std::string name;
  ShardServer::Role role = ShardServer::Role::kPrimary;  // as the topology says
  Result<ServerMeasures> measures = fail(ErrorCode::kUnavailable, "not asked");
};

// A replication slot of a primary. The one named `tidemark` is the invalidator's: confirmed_lsn is its position, up to
// which everything is in its journal.
struct WalSlot {
  std::string name;
  bool is_logical = false;
  bool is_active = false;
  std::string wal_status;  // "reserved", "extended", "unreserved", "lost"
  std::optional<int64_t> retained_bytes{};
  std::string confirmed_lsn{};
  std::optional<int64_t> lag_bytes{};
};

struct ShardState {
  ShardId id = 0;
  uint32_t buckets = 0;  // as the topology says
  // From here on what the primary said; nothing when it did not.
  std::optional<int64_t> buckets_owned{};
  std::optional<int64_t> db_epoch{};
  bool is_open = false;  // takes routed writes
  std::vector<WalSlot> wal_slots{};
  std::vector<ServerState> servers{};

  const ServerMeasures* primary() const;  // nullptr: no answer
};

struct ClusterStatus {
  Topology topology;
  uint32_t slots_served = 0;  // by a worker that answered
  std::vector<WorkerState> workers{};
  bool has_asked_shards = true;
  std::vector<ShardState> shards{};
};

inline constexpr std::string_view kInvalidatorSlot = "tidemark";
inline constexpr int64_t kReplayLagMsMax = 10'000;             // a replica further behind is a problem
inline constexpr int64_t kSlotLagBytesMax = int64_t{1} << 30;  // an invalidator further behind is a problem
inline constexpr int64_t kTideBoundMsMax = 60'000;             // of a worker, if no family asks for less

// Everything that is not as it should be, one sentence each; empty: the cluster is healthy.
std::vector<std::string> problems_of(const ClusterStatus& status);

// How far the worker's tide mark is behind what the shard's primary has written; nothing if either is unknown.
std::optional<int64_t> tide_lag_bytes(const Tide& tide, const ClusterStatus& status);

}  // namespace tidemark::admin
