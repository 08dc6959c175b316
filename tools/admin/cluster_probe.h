// Asks every worker for its tide marks, all at once, with one deadline. Blocking; its own loop on the calling thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/topology/topology.h"
#include "base/wire/resp_value.h"

namespace tidemark::admin {

// One line of TIDE: what a worker knows of a shard.
struct Tide {
  int64_t shard = 0;
  int64_t db_epoch = 0;
  std::string complete_through, settled, floor;
  int64_t bound_ms = -1;  // -1: unknown
};

struct WorkerState {
  std::string node;
  uint32_t worker = 0;
  std::string address;
  uint32_t slots = 0;
  Result<std::vector<Tide>> tides = fail(ErrorCode::kUnavailable, "not asked");
};

struct ProbeOptions {
  std::string user;
  std::string password;
  Duration timeout = std::chrono::seconds(1);
};

std::vector<WorkerState> probe_workers(const Topology& topology, const ProbeOptions& options);

// The answer of TIDE; kCorrupt when it is none.
Result<std::vector<Tide>> read_tides(const RespValue& reply);

}  // namespace tidemark::admin
