// The node's metrics: every worker's counters and freshness figures as Prometheus families, labelled by worker.
//
// Threads: asked on the admin server's thread; reads relaxed counters and the snapshots of the last tick.
#pragma once

#include <vector>

#include "base/io/metrics.h"
#include "cacheserver/io/worker_loop.h"

namespace tidemark::cacheserver::io {

std::vector<tidemark::io::MetricFamily> cache_metrics(const std::vector<const WorkerLoop*>& workers, Instant now);

}  // namespace tidemark::cacheserver::io
