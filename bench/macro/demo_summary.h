// The demo's result: what was counted, whether anything was wrong, the table for people and the document for programs.
//
// Threads: a value. I/O: none.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/macro/fault_report.h"
#include "bench/macro/shop_figures.h"
#include "bench/macro/stale_oracle.h"

namespace tidemark::bench {

struct LagFigures {
  double p50_ms = 0, p99_ms = 0;
  uint64_t count = 0;           // commits, each counted once per node that holds a key of it
  uint64_t replayed_count = 0;  // sent again from the journal, not among `count`
};

struct DemoSummary {
  static constexpr double kLagGoalMs = 50;

  nlohmann::json shop = nlohmann::json::object();  // the shop's own report
  OracleTally tally;
  uint64_t lost = 0, acknowledged = 0, commits = 0;
  std::vector<std::string> lost_examples;
  std::map<std::string, uint64_t> errors_in_window, errors_outside_window, errors_warmup;
  uint64_t errors_other_slots = 0;
  LagFigures lag;                                   // while the invalidator was there
  LagFigures lag_without_invalidator;               // from its end until the nodes had caught up after its return
  std::optional<ShopFigures> shop_figures;          // none: no customers came
  std::map<std::string, uint64_t> reads_by_server;  // loads of all services, by shard and role: "0/replica"
  uint64_t misplaced_rows = 0;                      // committed on a shard that does not own their bucket
  uint64_t db_reads = 0;         // rows the service loaded from the database during the measured part
  uint64_t db_reads_bypass = 0;  // what the same requests read without the cache
  nlohmann::json details = nlohmann::json::object();  // import, faults, database counters, files
  uint64_t seed = 0;

  // What makes the demo fail, one sentence each; empty: everything is as promised.
  std::vector<std::string> violations() const;
  nlohmann::json to_json() const;
  std::string to_table() const;

 private:
  std::string freshness_lines() const;
  std::string database_lines() const;
  std::string error_lines() const;
};

}  // namespace tidemark::bench
