// What every program and database server had counted at one moment.
//
// Threads: one. I/O: their admin HTTP, SQL. Limits: read_metrics' time limit for each program.
#pragma once

#include <map>
#include <string>

#include "bench/macro/metrics_text.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {

struct Counters {
  std::map<std::string, MetricsText> nodes;
  std::map<std::string, MetricsText> services;  // catalog, session, order and the relays, by the process's name
  std::map<std::string, double> pg_rows_read;   // rows of the services' tables that a server read, by its name

  double rows_read() const;  // of all servers
};

// A program or server that does not run counts nothing.
Result<Counters> read_counters(const localcluster::LocalCluster& cluster);

// Of one process, between two moments. One that was killed in between counts anew from 0: `killed` holds what it had
// counted just before.
double counted_between(const Counters& before, const std::map<std::string, MetricsText>& killed, const Counters& after,
                       const std::string& process, std::string_view metric, const MetricsText::Labels& labels = {});

}  // namespace tidemark::bench
