#include "cacheserver/io/cache_metrics.h"

#include <array>
#include <string>
#include <utility>

#include "cacheserver/command/command_table.h"

namespace tidemark::cacheserver::io {
namespace {

using tidemark::io::MetricFamily;
using tidemark::io::MetricSample;
using Kind = MetricFamily::Kind;
using Labels = std::vector<std::pair<std::string, std::string>>;

struct WorkerFigures {
  std::string worker;  // its label
  const WorkerView* view = nullptr;
  FreshnessSnapshot freshness;
};
using Figures = std::vector<WorkerFigures>;

struct CounterMetric {
  std::string_view name, help;
  Kind kind;
  Counter WorkerStats::* counter;
};
constexpr std::array kCounters = {
    CounterMetric{"connections_total", "Connections accepted.", Kind::kCounter, &WorkerStats::connections_total},
    CounterMetric{"connections", "Open connections.", Kind::kGauge, &WorkerStats::connections_now},
    CounterMetric{"requests_total", "Requests answered.", Kind::kCounter, &WorkerStats::commands_total},
    CounterMetric{"moved_total", "Requests answered with MOVED.", Kind::kCounter, &WorkerStats::commands_moved},
    CounterMetric{"forwarded_total", "Requests handed to a sibling worker.", Kind::kCounter,
                  &WorkerStats::forwarded_away},
    CounterMetric{"forwarded_here_total", "Requests run for a sibling worker.", Kind::kCounter,
                  &WorkerStats::forwarded_here},
    CounterMetric{"mailbox_full_total", "Times forwarded requests waited for room in a sibling's mailbox.",
                  Kind::kCounter, &WorkerStats::mailbox_full},
    CounterMetric{"protected_total", "Plain writes refused on keys of database families.", Kind::kCounter,
                  &WorkerStats::commands_protected},
    CounterMetric{"protocol_errors_total", "Connections closed for bytes that are no request.", Kind::kCounter,
                  &WorkerStats::protocol_errors},
    CounterMetric{"received_bytes_total", "Bytes read from clients.", Kind::kCounter, &WorkerStats::bytes_in},
    CounterMetric{"sent_bytes_total", "Bytes of replies.", Kind::kCounter, &WorkerStats::bytes_out},
    CounterMetric{"hits_total", "Reads that found their key.", Kind::kCounter, &WorkerStats::keyspace_hits},
    CounterMetric{"misses_total", "Reads that did not find their key.", Kind::kCounter, &WorkerStats::keyspace_misses},
    CounterMetric{"expired_total", "Keys whose time to live passed.", Kind::kCounter, &WorkerStats::expired},
    CounterMetric{"evicted_total", "Keys evicted for want of memory.", Kind::kCounter, &WorkerStats::evicted},
    CounterMetric{"purged_total", "Keys of slots that moved away.", Kind::kCounter, &WorkerStats::keys_purged},
    CounterMetric{"keys", "Keys held.", Kind::kGauge, &WorkerStats::keys},
    CounterMetric{"memory_bytes_used", "Bytes of entries, tables and timers.", Kind::kGauge,
                  &WorkerStats::memory_bytes_used},
    CounterMetric{"memory_bytes_held", "Bytes that the system gave: used, and holes between blocks.", Kind::kGauge,
                  &WorkerStats::memory_bytes_held},
    CounterMetric{"memory_bytes_tables", "Of the bytes used, the index.", Kind::kGauge,
                  &WorkerStats::memory_bytes_tables},
    CounterMetric{"memory_bytes_policy", "Of the bytes used, what eviction keeps for itself.", Kind::kGauge,
                  &WorkerStats::memory_bytes_policy},
    CounterMetric{"memory_blocks_moved_total", "Blocks that compaction moved.", Kind::kCounter,
                  &WorkerStats::memory_blocks_moved},
    CounterMetric{"memory_bytes_limit", "The worker's share of --memory; 0: none.", Kind::kGauge,
                  &WorkerStats::memory_bytes_limit},
    CounterMetric{"process_resident_bytes", "Resident memory of the process.", Kind::kGauge,
                  &WorkerStats::process_rss_bytes},
    CounterMetric{"topology_version", "Version of the topology in use.", Kind::kGauge, &WorkerStats::topology_version},
    CounterMetric{"reads_paused_total", "Times a client was not read from until it took its replies.", Kind::kCounter,
                  &WorkerStats::reads_paused},
};
constexpr std::array kRefusals = {
    std::pair{std::string_view("clients"), &WorkerStats::connections_refused},
    std::pair{std::string_view("output_buffer"), &WorkerStats::connections_killed_output},
    std::pair{std::string_view("query_buffer"), &WorkerStats::connections_killed_query},
    std::pair{std::string_view("memory"), &WorkerStats::commands_out_of_memory},
};

MetricFamily family(std::string_view name, std::string_view help, Kind kind) {
  return {.name = "tidemark_cache_" + std::string(name), .help = std::string(help), .kind = kind, .samples = {}};
}

void add(MetricFamily& to, Labels labels, double value) {
  to.samples.push_back({.labels = std::move(labels), .value = value});
}

void add_worker_counters(std::vector<MetricFamily>& out, const Figures& figures) {
  for (const CounterMetric& metric : kCounters) {
    MetricFamily& to = out.emplace_back(family(metric.name, metric.help, metric.kind));
    for (const WorkerFigures& worker : figures) {
      add(to, {{"worker", worker.worker}}, static_cast<double>((worker.view->stats().*metric.counter).get()));
    }
  }
  MetricFamily& refused = out.emplace_back(family("refused_total", "Refusals by the limit reached.", Kind::kCounter));
  for (const WorkerFigures& worker : figures) {
    for (const auto& [limit, counter] : kRefusals) {
      add(refused, {{"worker", worker.worker}, {"limit", std::string(limit)}},
          static_cast<double>((worker.view->stats().*counter).get()));
    }
  }
  MetricFamily& cpu = out.emplace_back(family("cpu_seconds_total", "CPU time of the worker's thread.", Kind::kCounter));
  for (const WorkerFigures& worker : figures) {
    const WorkerStats& stats = worker.view->stats();
    add(cpu, {{"worker", worker.worker}, {"mode", "user"}}, static_cast<double>(stats.cpu_user_micros.get()) / 1e6);
    add(cpu, {{"worker", worker.worker}, {"mode", "system"}}, static_cast<double>(stats.cpu_system_micros.get()) / 1e6);
  }
}

void add_commands(std::vector<MetricFamily>& out, const Figures& figures) {
  MetricFamily calls = family("commands_total", "Commands run.", Kind::kCounter);
  MetricFamily seconds = family("command_seconds_total", "Time spent in commands.", Kind::kCounter);
  MetricFamily failed =
      family("command_failures_total", "Commands that answered an error or were refused.", Kind::kCounter);
  const CommandTable& table = CommandTable::standard();
  for (const WorkerFigures& worker : figures) {
    const auto& all = worker.view->command_stats();
    for (uint32_t row = 0; row < all.size(); ++row) {
      const CommandStats& stats = all[row];
      const uint64_t failures = stats.failed.get() + stats.rejected.get();
      if (stats.calls.get() == 0 && failures == 0) continue;
      const Labels labels = {{"worker", worker.worker}, {"command", std::string(table.spec(row).name)}};
      add(calls, labels, static_cast<double>(stats.calls.get()));
      add(seconds, labels, static_cast<double>(stats.micros.get()) / 1e6);
      if (failures > 0) add(failed, labels, static_cast<double>(failures));
    }
  }
  out.insert(out.end(), {std::move(calls), std::move(seconds), std::move(failed)});
}

void add_loop_turns(std::vector<MetricFamily>& out, const Figures& figures) {
  MetricFamily& to = out.emplace_back(
      family("loop_turn_seconds", "CPU time of the thread in one turn of its loop.", Kind::kHistogram));
  for (const WorkerFigures& worker : figures) {
    const MicrosHistogram& turns = worker.view->stats().loop_turn;
    MetricSample& sample = to.samples.emplace_back();
    sample.labels = {{"worker", worker.worker}};
    uint64_t count = 0;
    for (size_t bucket = 0; bucket + 1 < MicrosHistogram::kBuckets; ++bucket) {
      count += turns.count(bucket);
      sample.cumulative_buckets.emplace_back(static_cast<double>(uint64_t{1} << bucket) / 1e6, count);
    }
    sample.count = count + turns.count(MicrosHistogram::kBuckets - 1);
    sample.sum = static_cast<double>(turns.sum_micros()) / 1e6;
  }
}

// --- freshness -------------------------------------------------------------------------------------------------------

MetricSample lag_sample(const Histogram& lag, Labels labels) {
  constexpr std::array kEdgesMs = {0.5,  1.0,  2.0,   3.0,   5.0,   7.5,    10.0,   15.0,   20.0,    30.0,   40.0,
                                   50.0, 75.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 30000.0};
  MetricSample sample{.labels = std::move(labels)};
  for (double edge_ms : kEdgesMs) {
    sample.cumulative_buckets.emplace_back(edge_ms / 1e3, lag.count_at_most(static_cast<uint64_t>(edge_ms * 1e3)));
  }
  sample.count = lag.count();
  sample.sum = static_cast<double>(lag.sum()) / 1e6;
  return sample;
}

void add_lag(std::vector<MetricFamily>& out, const Figures& figures) {
  MetricFamily& to = out.emplace_back(
      family("invalidation_lag_seconds", "From a commit to its invalidation applied here.", Kind::kHistogram));
  for (const WorkerFigures& worker : figures) {
    to.samples.push_back(lag_sample(worker.freshness.lag_us, {{"worker", worker.worker}, {"source", "live"}}));
    to.samples.push_back(
        lag_sample(worker.freshness.lag_replayed_us, {{"worker", worker.worker}, {"source", "replay"}}));
  }
}

void add_tides(std::vector<MetricFamily>& out, const Figures& figures, Instant now) {
  MetricFamily position = family("tide_mark_lsn", "complete_through of the shard, in bytes of WAL.", Kind::kGauge);
  MetricFamily settled = family("settled_lsn", "settled of the shard, in bytes of WAL.", Kind::kGauge);
  MetricFamily floor = family("floor_lsn", "The floor of fills of the shard, in bytes of WAL.", Kind::kGauge);
  MetricFamily bound =
      family("staleness_bound_seconds", "What a hit of the shard promises at most; -1: unknown.", Kind::kGauge);
  for (const WorkerFigures& worker : figures) {
    for (const FreshnessSnapshot::Shard& shard : worker.freshness.shards) {
      const Labels labels = {{"worker", worker.worker}, {"shard", std::to_string(shard.id)}};
      add(position, labels, static_cast<double>(shard.complete_through.value));
      add(settled, labels, static_cast<double>(shard.settled.value));
      add(floor, labels, static_cast<double>(shard.floor.value));
      double seconds = -1;
      if (shard.bound) {
        seconds = std::chrono::duration<double>(*shard.bound + (now - worker.freshness.taken_at)).count();
      }
      add(bound, labels, seconds);
    }
  }
  out.insert(out.end(), {std::move(position), std::move(settled), std::move(floor), std::move(bound)});
}

struct FreshnessCounterMetric {
  std::string_view name, help;
  uint64_t FreshnessState::Counters::* counter;
};
constexpr std::array kFreshnessCounters = {
    FreshnessCounterMetric{"hits_revalidate_total", "Entries found that were no longer valid.",
                           &FreshnessState::Counters::hits_revalidate},
    FreshnessCounterMetric{"hits_behind_session_total", "Valid entries that were too old for the session that asked.",
                           &FreshnessState::Counters::hits_behind_session},
    FreshnessCounterMetric{"invalidated_keys_total", "Keys named by invalidations.",
                           &FreshnessState::Counters::invalidated_keys},
    FreshnessCounterMetric{"invalidated_entries_total", "Entries dropped by invalidations.",
                           &FreshnessState::Counters::invalidated_entries},
    FreshnessCounterMetric{"invalidations_contained_total", "Entries kept: they contained the commit.",
                           &FreshnessState::Counters::kept_entries},
    FreshnessCounterMetric{"invalidation_batches_total", "INVALB batches applied.", &FreshnessState::Counters::batches},
    FreshnessCounterMetric{"invalidation_gaps_total", "INVALB batches refused: they did not follow.",
                           &FreshnessState::Counters::batch_gaps},
    FreshnessCounterMetric{"fences_total", "FENCEs applied.", &FreshnessState::Counters::fences},
    FreshnessCounterMetric{"fence_gaps_total", "FENCEs refused: they did not follow.",
                           &FreshnessState::Counters::fence_gaps},
    FreshnessCounterMetric{"successions_total", "EPOCHs applied: promotions that entries lived through.",
                           &FreshnessState::Counters::successions},
    FreshnessCounterMetric{"successions_refused_total", "EPOCHs refused; FENCEALL follows.",
                           &FreshnessState::Counters::successions_refused},
    FreshnessCounterMetric{"lost_positions_total", "Sessions that asked for what a fail-over may have lost.",
                           &FreshnessState::Counters::lost_positions},
    FreshnessCounterMetric{"buckets_moved_total", "Ownerships of buckets that a shard's log ended.",
                           &FreshnessState::Counters::buckets_moved},
    FreshnessCounterMetric{"bypassed_moved_total", "GETL of buckets that have moved, before the topology said so.",
                           &FreshnessState::Counters::bypassed_moved},
    FreshnessCounterMetric{"joins_total", "FENCEALLs applied.", &FreshnessState::Counters::joins},
};

struct FreshnessGaugeMetric {
  std::string_view name, help;
  size_t FreshnessState::Gauges::* gauge;
};
constexpr std::array kFreshnessGauges = {
    FreshnessGaugeMetric{"tombstones", "Tombstones held.", &FreshnessState::Gauges::tombstones},
    FreshnessGaugeMetric{"tombstone_bytes", "Bytes of tombstones.", &FreshnessState::Gauges::tombstone_bytes},
    FreshnessGaugeMetric{"tombstone_bytes_limit", "Their limit.", &FreshnessState::Gauges::tombstone_bytes_max},
    FreshnessGaugeMetric{"fill_leases", "Fill leases out.", &FreshnessState::Gauges::leases},
    FreshnessGaugeMetric{"fill_leases_limit", "Their limit.", &FreshnessState::Gauges::leases_max},
    FreshnessGaugeMetric{"staged_values", "Staged values parked.", &FreshnessState::Gauges::staged},
    FreshnessGaugeMetric{"staged_values_limit", "Their limit.", &FreshnessState::Gauges::staged_max},
    FreshnessGaugeMetric{"staged_bytes", "Bytes of staged values.", &FreshnessState::Gauges::staged_bytes},
    FreshnessGaugeMetric{"staged_bytes_limit", "Their limit.", &FreshnessState::Gauges::staged_bytes_max},
    FreshnessGaugeMetric{"moved_buckets", "Buckets whose owner by the topology has given them away.",
                         &FreshnessState::Gauges::moved_buckets},
    FreshnessGaugeMetric{"shards_joined", "Postgres shards this worker knows.", &FreshnessState::Gauges::shards},
};

void add_staged(std::vector<MetricFamily>& out, const Figures& figures) {
  MetricFamily parked = family("staged_parked_total", "Values parked by STAGE.", Kind::kCounter);
  MetricFamily ended = family("staged_ended_total", "Staged values by what became of them.", Kind::kCounter);
  for (const WorkerFigures& worker : figures) {
    const FreshnessState::Gauges& gauges = worker.freshness.gauges;
    add(parked, {{"worker", worker.worker}}, static_cast<double>(gauges.staged_parked));
    for (size_t end = 0; end < kStagedEndCount; ++end) {
      add(ended, {{"worker", worker.worker}, {"end", std::string(to_string(static_cast<StagedEnd>(end)))}},
          static_cast<double>(gauges.staged_ended[end]));
    }
  }
  out.insert(out.end(), {std::move(parked), std::move(ended)});
}

void add_freshness(std::vector<MetricFamily>& out, const Figures& figures) {
  for (const FreshnessCounterMetric& metric : kFreshnessCounters) {
    MetricFamily& to = out.emplace_back(family(metric.name, metric.help, Kind::kCounter));
    for (const WorkerFigures& worker : figures) {
      add(to, {{"worker", worker.worker}}, static_cast<double>(worker.freshness.counters.*metric.counter));
    }
  }
  for (const FreshnessGaugeMetric& metric : kFreshnessGauges) {
    MetricFamily& to = out.emplace_back(family(metric.name, metric.help, Kind::kGauge));
    for (const WorkerFigures& worker : figures) {
      add(to, {{"worker", worker.worker}}, static_cast<double>(worker.freshness.gauges.*metric.gauge));
    }
  }
  MetricFamily& fills = out.emplace_back(family("fills_total", "SETV by what became of it.", Kind::kCounter));
  for (const WorkerFigures& worker : figures) {
    for (size_t verdict = 0; verdict < kFillVerdictCount; ++verdict) {
      add(fills, {{"worker", worker.worker}, {"verdict", std::string(to_string(static_cast<FillVerdict>(verdict)))}},
          static_cast<double>(worker.freshness.counters.fills[verdict]));
    }
  }
  add_staged(out, figures);
}

}  // namespace

std::vector<MetricFamily> cache_metrics(const std::vector<const WorkerLoop*>& workers, Instant now) {
  Figures figures;
  for (const WorkerLoop* worker : workers) {
    figures.push_back({.worker = std::to_string(worker->view().identity().worker_index),
                       .view = &worker->view(),
                       .freshness = worker->freshness()});
  }
  std::vector<MetricFamily> out;
  add_worker_counters(out, figures);
  add_commands(out, figures);
  add_loop_turns(out, figures);
  add_lag(out, figures);
  add_tides(out, figures, now);
  add_freshness(out, figures);
  return out;
}

}  // namespace tidemark::cacheserver::io
