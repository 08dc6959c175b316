#include "cacheserver/worker/worker_stats.h"

namespace tidemark::cacheserver {

void WorkerStats::reset() {
  for (Counter* counter :
       {&connections_total, &connections_refused, &connections_killed_output, &connections_killed_query, &reads_paused,
        &protocol_errors, &commands_total, &commands_moved, &commands_protected, &commands_out_of_memory, &forwarded_away, &forwarded_here, &mailbox_full, &bytes_in,
        &bytes_out, &keyspace_hits, &keyspace_misses, &expired, &evicted}) {
    counter->set(0);
  }
}

}  // namespace tidemark::cacheserver
