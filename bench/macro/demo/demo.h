// The demo: a whole cluster, a real catalogue, a shop under load, faults, and a verdict over every answer.
//
//   start cluster -> import -> warm-up -> measured run (psql writes, node killed, replay paused) -> run without cache
//   -> verdict
//
// Threads: one, and those of its parts (row writer, commit reader, fault script).
#pragma once

#include <filesystem>

#include "base/result.h"
#include "bench/macro/demo/demo_config.h"

namespace tidemark::bench {

// Exit code: 0 all as promised; 3 something was stale, lost, wrong or failed without excuse. An Error: it could not be
// done.
Result<int> run_demo(const DemoConfig& config);

// The outage matrix: primary, replica, invalidator and node, one after the other (or the one named), each stopped under
// load.
Result<int> run_outages(const DemoConfig& config);

// Ends what `--keep` left running, by pid.
Status stop_demo(const std::filesystem::path& directory);

}  // namespace tidemark::bench
