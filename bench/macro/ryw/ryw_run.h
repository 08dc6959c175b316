// Write-then-read pairs of sessions that hop between two services, carrying nothing but the text of their token.
//
//   service A   session := text; write sku (version v); text := session
//   service B   session := text; read sku: at least v, or own writes were hidden; text := session
//   service A   session := text; read sku: at least what B read, or reads went backwards; text := session
//
// Two services are two client libraries with their own connections, caches of flights and threads. Every fourth read is
// past the cache (a replica's or the primary's rows). Meanwhile the replay of the first shard's replica pauses and
// goes on, over and over: just after it stopped everybody still believes that it is young.
// Without tokens the same pairs find violations. Threads: `workers` of its own, beside the clients'. I/O: the cluster.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

struct RywConfig {
  uint64_t pairs = 10'000;
  uint32_t workers = 16;  // sessions at once
  uint32_t skus = 400;
  bool with_token = true;
  Duration pause = std::chrono::milliseconds(700);  // of the replay, and as long a time without
  Duration timeout = std::chrono::seconds(20);      // of one write or read
};

struct RywResult {
  static constexpr size_t kExamplesMax = 5;
  static constexpr size_t kOrigins = 3;  // as client::Origin: node, replica, primary
  uint64_t pairs = 0;
  uint64_t reads = 0;
  uint64_t hidden_writes = 0;  // reads that lacked the session's own write
  uint64_t backwards = 0;      // reads that were older than an earlier one
  uint64_t errors = 0;
  std::array<uint64_t, kOrigins> by_origin{};
  std::array<uint64_t, kOrigins> by_origin_while_paused{};
  uint64_t replica_tried = 0, replica_too_late = 0, primary_waited = 0, unproven = 0;
  size_t token_bytes_max = 0;
  double seconds = 0, paused_seconds = 0;
  std::vector<std::string> examples;  // of violations, then of errors

  uint64_t violations() const { return hidden_writes + backwards; }
};

// Requires a cluster with the price family; see ryw_cluster.
Result<RywResult> run_ryw(const RywConfig& config, localcluster::LocalCluster& cluster);

// What the cluster needs to be started with: tables, families.
Status prepare_ryw(localcluster::Options& options, const std::string& source_directory);

}  // namespace tidemark::bench
