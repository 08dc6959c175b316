// Judges what customers were told: their orders, sessions and own writes, and the freshness of every session and order
// that was read, by the same oracle as the products.
//
// Threads: one. I/O: reads the event log.
#pragma once

#include <filesystem>
#include <vector>

#include "bench/macro/demo_summary.h"
#include "bench/macro/fault_report.h"

namespace tidemark::bench {

struct CustomerEvidence {
  std::filesystem::path events;
  const std::vector<RowCommit>* commits = nullptr;  // of all tables; "order:" and "session:" keys are used
  const ShopState* state = nullptr;
  std::vector<FaultWindow> windows;
};

// Adds to the summary: tally, losses, errors, and its shop figures.
Status judge_customers(const CustomerEvidence& evidence, DemoSummary& summary);

}  // namespace tidemark::bench
