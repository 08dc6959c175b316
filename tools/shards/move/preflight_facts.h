// Reads what preflight_refusals() judges, from both sides of a move. Changes nothing.
#pragma once

#include "shardrouter/rebalance/preflight.h"
#include "tools/shards/move/mover.h"

namespace tidemark::shards {

// `prediction_ms`: what the hand-over will probably take: commits and standby confirmations as they are now.
struct PreflightReport {
  shardrouter::PreflightFacts facts;
  std::vector<std::string> refusals;
  double prediction_ms = 0;
};
Result<PreflightReport> preflight(const MoveOptions& options);

}  // namespace tidemark::shards
