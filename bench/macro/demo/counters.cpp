#include "bench/macro/demo/counters.h"

#include "base/parse.h"
#include "bench/macro/io/http_get.h"

namespace tidemark::bench {
namespace {

using localcluster::Kind;

// In pg_stat_user_tables a row that an index gave counts in idx_tup_fetch, one of a scan in seq_tup_read.
constexpr std::string_view kRowsRead =
    "SELECT coalesce(sum(coalesce(idx_tup_fetch, 0) + seq_tup_read), 0)::bigint FROM pg_stat_user_tables "
    "WHERE schemaname IN ('catalog', 'session', 'shop')";

bool is_service(Kind kind) {
  return kind == Kind::kCatalog || kind == Kind::kSession || kind == Kind::kOrder || kind == Kind::kRelay;
}

double sum_in(const std::map<std::string, MetricsText>& all, const std::string& process, std::string_view metric,
              const MetricsText::Labels& labels) {
  const auto found = all.find(process);
  return found == all.end() ? 0 : found->second.sum(metric, labels);
}

}  // namespace

double Counters::rows_read() const {
  double sum = 0;
  for (const auto& [server, rows] : pg_rows_read) sum += rows;
  return sum;
}

Result<Counters> read_counters(const localcluster::LocalCluster& cluster) {
  Counters counters;
  for (const auto& process : cluster.processes()) {
    if (!process.is_running) continue;
    if (process.kind == Kind::kPostgresPrimary || process.kind == Kind::kPostgresReplica) {
      if (const auto rows = cluster.psql(process.name, kRowsRead))
        counters.pg_rows_read[process.name] =
            static_cast<double>(parse_i64(std::string_view(*rows).substr(0, rows->find('\n'))).value_or(0));
      continue;
    }
    if (process.kind != Kind::kNode && !is_service(process.kind)) continue;
    auto metrics = read_metrics(process.metrics_port);
    if (!metrics) return std::unexpected(metrics.error().with_context(process.name));
    (process.kind == Kind::kNode ? counters.nodes : counters.services)[process.name] = std::move(*metrics);
  }
  return counters;
}

double counted_between(const Counters& before, const std::map<std::string, MetricsText>& killed, const Counters& after,
                       const std::string& process, std::string_view metric, const MetricsText::Labels& labels) {
  const auto& first = before.nodes.contains(process) ? before.nodes : before.services;
  const auto& last = before.nodes.contains(process) ? after.nodes : after.services;
  return sum_in(last, process, metric, labels) + sum_in(killed, process, metric, labels) -
         sum_in(first, process, metric, labels);
}

}  // namespace tidemark::bench
