// What the pools of all shards say about themselves, as metrics.
//
//   tidemark_client_shard_reads_total{shard,server}            pipelines that only read, by who ran them
//   tidemark_client_shard_requests_total{shard,server}         all pipelines
//   tidemark_client_shard_refused_total{shard,server,reason}   queue_full, breaker, deadline
//   tidemark_client_shard_connections, _in_use, _queued, _breaker_open, _usable {shard,server}
//   tidemark_client_shard_replica_lag_bytes{shard,server}      replicas, while the primary's position is polled
#include <array>
#include <boost/asio/post.hpp>
#include <future>

#include "client/io/database_impl.h"

namespace tidemark::client {
namespace {

using ServerState = shardrouter::ShardPool::ServerState;
using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr Duration kAnswerTimeout = std::chrono::milliseconds(200);  // of a busy loop; then what it said last

struct Series {
  std::string_view name;
  std::string_view help;
  io::MetricFamily::Kind kind;
  double (*value)(const ServerState&);
};
constexpr std::array<Series, 7> kSeries = {{
    {"reads_total", "Pipelines that only read, by the server that ran them", io::MetricFamily::Kind::kCounter,
     [](const ServerState& server) { return static_cast<double>(server.reads); }},
    {"requests_total", "Pipelines sent to a server", io::MetricFamily::Kind::kCounter,
     [](const ServerState& server) { return static_cast<double>(server.requests); }},
    {"connections", "Open connections", io::MetricFamily::Kind::kGauge,
     [](const ServerState& server) { return static_cast<double>(server.connections); }},
    {"in_use", "Connections with a pipeline on them", io::MetricFamily::Kind::kGauge,
     [](const ServerState& server) { return static_cast<double>(server.in_use); }},
    {"queued", "Requests that wait for a connection", io::MetricFamily::Kind::kGauge,
     [](const ServerState& server) { return static_cast<double>(server.queued); }},
    {"breaker_open", "1 while requests without a connection fail at once", io::MetricFamily::Kind::kGauge,
     [](const ServerState& server) { return server.is_breaker_open ? 1.0 : 0.0; }},
    {"usable", "1 if the server was reached lately", io::MetricFamily::Kind::kGauge,
     [](const ServerState& server) { return server.is_usable ? 1.0 : 0.0; }},
}};

io::MetricFamily family_of(std::string_view name, std::string_view help, io::MetricFamily::Kind kind) {
  return {"tidemark_client_shard_" + std::string(name), std::string(help), kind, {}};
}

void add(io::MetricFamily& family, Labels labels, double value) {
  io::MetricSample sample;
  sample.labels = std::move(labels);
  sample.value = value;
  family.samples.push_back(std::move(sample));
}

}  // namespace

std::vector<io::MetricFamily> DatabaseImpl::collect_metrics() const {
  std::vector<io::MetricFamily> families;
  for (const Series& series : kSeries) families.push_back(family_of(series.name, series.help, series.kind));
  auto refused = family_of("refused_total", "Requests that failed in the pool", io::MetricFamily::Kind::kCounter);
  auto lag = family_of("replica_lag_bytes", "Log that the primary has and the replica has not replayed",
                       io::MetricFamily::Kind::kGauge);
  for (const auto& [id, shard] : shards_) {
    const auto newest = shard->positions.newest();
    for (const ServerState& server : shard->pool->servers()) {
      const Labels labels = {{"shard", std::to_string(id)}, {"server", server.name}};
      for (size_t i = 0; i < kSeries.size(); ++i) add(families[i], labels, kSeries[i].value(server));
      for (const auto& [reason, count] : {std::pair{"queue_full", server.refused_queue_full},
                                          {"breaker", server.refused_breaker},
                                          {"deadline", server.deadlines_passed}}) {
        Labels more = labels;
        more.emplace_back("reason", reason);
        add(refused, std::move(more), static_cast<double>(count));
      }
      if (server.role == ShardServer::Role::kReplica && newest && !server.replay_lsn.is_zero())
        add(lag, labels,
            newest->value > server.replay_lsn.value ? static_cast<double>(newest->value - server.replay_lsn.value) : 0);
    }
  }
  families.push_back(std::move(refused));
  families.push_back(std::move(lag));
  return families;
}

std::vector<io::MetricFamily> DatabaseImpl::metrics() {
  if (is_context_thread()) return collect_metrics();
  auto promise = std::make_shared<std::promise<std::vector<io::MetricFamily>>>();
  auto answer = promise->get_future();
  boost::asio::post(context_, [self = shared(), promise] { promise->set_value(self->collect_metrics()); });
  const bool is_answered = answer.wait_for(kAnswerTimeout) == std::future_status::ready;
  std::lock_guard lock(metrics_mutex_);
  if (is_answered) last_metrics_ = answer.get();
  return last_metrics_;
}

}  // namespace tidemark::client
