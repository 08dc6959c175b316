// tidemarkctl status: who serves what, who answers, and how far behind everything is.
#include <boost/asio/io_context.hpp>
#include <iostream>

#include "base/io/secrets.h"
#include "tools/admin/shard_probe.h"
#include "tools/admin/status_view.h"
#include "tools/admin/verb.h"
#include "tools/admin/worker_probe.h"

namespace tidemark::admin {
namespace {

constexpr Duration kGrace = std::chrono::milliseconds(100);  // for the probes' own deadlines to fire and be named

struct StatusOptions {
  std::string format = "table";
  std::string password_file;
  std::string passfile;
  std::string role = "tidemark_admin";
  bool is_without_shards = false;
  Duration timeout = std::chrono::seconds(2);
};

Result<WorkerProbeOptions> worker_options(const StatusOptions& options) {
  WorkerProbeOptions probe{.user = {}, .password = {}, .timeout = options.timeout};
  if (options.password_file.empty()) return probe;
  Result<std::string> password = io::read_secret_file(options.password_file);
  if (!password) return std::unexpected(password.error());
  probe.user = "default";
  probe.password = *password;
  return probe;
}

// Every probe at once, on one loop that ends with the timeout whatever hangs.
Result<ClusterStatus> probe(Topology topology, const StatusOptions& options) {
  Result<WorkerProbeOptions> workers = worker_options(options);
  if (!workers) return std::unexpected(workers.error());
  ClusterStatus status{.topology = std::move(topology), .has_asked_shards = !options.is_without_shards};
  boost::asio::io_context context(1);
  auto worker_probe = WorkerProbe::start(context, status.topology, *workers, status.workers);
  std::unique_ptr<ShardProbe> shard_probe;
  if (!options.is_without_shards) {
    shard_probe = ShardProbe::start(context, status.topology,
                                    {.role = options.role, .passfile = options.passfile, .timeout = options.timeout},
                                    status.shards);
  }
  context.run_for(options.timeout + kGrace);
  shard_probe.reset();
  worker_probe.reset();
  status.slots_served = count_served_slots(status.topology, status.workers);
  return status;
}

Result<int> run_status(const Common& common, const StatusOptions& options) {
  Result<Topology> topology = load_topology(common);
  if (!topology) return std::unexpected(topology.error());
  Result<ClusterStatus> status = probe(std::move(*topology), options);
  if (!status) return std::unexpected(status.error());
  std::cout << (options.format == "json" ? status_as_json(*status) : status_as_tables(*status)) << std::flush;
  return problems_of(*status).empty() ? io::kExitOk : kExitDegraded;
}

}  // namespace

Verb add_status_verb(io::Options& root, const Common& common) {
  auto given = std::make_shared<StatusOptions>();
  io::Options& verb =
      root.verb("status",
                "nodes, workers, shards, replicas, tide marks and their lags; exits 0 if all is well, 3 if "
                "something is degraded");
  verb.choice("format", given->format, {"table", "json"}, "how it is printed");
  verb.text("password-file", given->password_file, "file with the nodes' password, if they want one");
  verb.text("passfile", given->passfile, "libpq passfile for the shards; empty = libpq's own default");
  verb.text("role", given->role, "role at the shards; one without pg_monitor sees less");
  verb.flag("without-shards", given->is_without_shards, "do not ask the shards");
  verb.duration("timeout", given->timeout, "how long everything together may take to answer");
  return {&verb, [&common, given] { return run_status(common, *given); }};
}

}  // namespace tidemark::admin
