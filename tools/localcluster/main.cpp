// tidemark-localcluster: starts, shows, disturbs and ends a whole cluster on this machine.
#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/io/options.h"
#include "tools/localcluster/cluster_state.h"
#include "tools/localcluster/local_cluster.h"

namespace {

using namespace tidemark;
using localcluster::LocalCluster;

int report(const Error& error) {
  fmt::print(stderr, "tidemark-localcluster: {}\n", error.to_string());
  return io::kExitFailure;
}

int report(const Status& status) {
  return status ? io::kExitOk : report(status.error());
}

std::string ports_of(const localcluster::ProcessInfo& info) {
  std::string text;
  for (const uint16_t port : info.ports) text += (text.empty() ? "" : ",") + std::to_string(port);
  return text.empty() ? info.conninfo : text;
}

void print_status(const LocalCluster& cluster, const std::string& format) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const auto& info : cluster.processes()) {
    const char* state = !info.is_running ? "down" : info.is_paused ? "paused" : "running";
    if (format == "table") {
      fmt::print("{:<14} {:<17} {:<8} {:>8}  {:<5}  {}\n", info.name, localcluster::to_string(info.kind), state,
                 info.pid, info.metrics_port ? std::to_string(info.metrics_port) : "-", ports_of(info));
      continue;
    }
    json.push_back({{"name", info.name},
                    {"kind", localcluster::to_string(info.kind)},
                    {"state", state},
                    {"pid", info.pid},
                    {"ports", info.ports},
                    {"metrics_port", info.metrics_port},
                    {"conninfo", info.conninfo},
                    {"log", info.log.string()}});
  }
  if (format == "json") fmt::print("{}\n", json.dump(2));
}

struct UpArguments {
  localcluster::Options options;
  std::vector<std::string> schema_files;
  std::vector<std::string> families_files;
  bool no_invalidator = false;
};

void declare_up(io::Options& verb, UpArguments& up) {
  verb.number("nodes", up.options.nodes, {.max = 64}, "cache nodes");
  verb.number("shards", up.options.shards, {.max = 16}, "Postgres shards");
  verb.number("replicas", up.options.replicas, {.max = 8}, "streaming replicas of each shard");
  verb.number("threads", up.options.threads, {.min = 1, .max = 64}, "workers per node");
  verb.text("memory", up.options.memory, "memory of each node: 256mb");
  verb.flag("fsync", up.options.fsync, "Postgres survives a power cut");
  verb.texts("schema", up.schema_files, "SQL files with the application's tables");
  verb.texts("tables", up.options.tables, "tables to protect and publish");
  verb.texts("families", up.families_files, "files of key families");
  verb.flag("families-of-services", up.options.families_of_services, "and the families of the services started");
  verb.flag("no-invalidator", up.no_invalidator, "leave the invalidator out");
  verb.flag("catalog", up.options.with_catalog, "start the catalog service");
  verb.flag("sessions", up.options.with_sessions, "start the session service");
  verb.flag("orders", up.options.with_orders, "start the order service");
  verb.number("relays", up.options.relays, {.max = 16}, "order relays");
  verb.text("node-program", up.options.node_program, "the nodes' program, beside this one or by its whole path");
  verb.text("catalog-program", up.options.catalog_program, "the catalog's");
  verb.text("session-program", up.options.session_program, "the session service's");
  verb.text("order-program", up.options.order_program, "the order service's");
  verb.text("relay-program", up.options.relay_program, "the relays'");
}

int run_up(UpArguments& up, const std::string& directory) {
  up.options.directory = directory;
  up.options.families_files.assign(up.families_files.begin(), up.families_files.end());
  up.options.schema_files.assign(up.schema_files.begin(), up.schema_files.end());
  up.options.with_invalidator = !up.no_invalidator && up.options.shards > 0;
  auto cluster = LocalCluster::create(up.options);
  if (!cluster) return report(cluster.error());
  const Status started = cluster->start();
  print_status(*cluster, "table");
  return report(started);
}

struct Verb {
  const char* name;
  const char* about;
  std::function<Status(LocalCluster&, const std::string&)> act;
};

const std::vector<Verb>& process_verbs() {
  using localcluster::StopMode;
  static const std::vector<Verb> verbs{
      {"kill", "SIGKILL", [](LocalCluster& c, const std::string& name) { return c.kill(name); }},
      {"terminate", "SIGTERM, and wait", [](LocalCluster& c, const std::string& name) { return c.terminate(name); }},
      {"stop", "SIGSTOP: it lives but does nothing",
       [](LocalCluster& c, const std::string& name) { return c.pause(name); }},
      {"cont", "SIGCONT", [](LocalCluster& c, const std::string& name) { return c.resume(name); }},
      {"start", "start it again, and wait until it is ready",
       [](LocalCluster& c, const std::string& name) { return c.start(name); }},
      {"restart", "terminate and start", [](LocalCluster& c, const std::string& name) { return c.restart(name); }},
      {"shut-down", "Postgres: orderly shutdown",
       [](LocalCluster& c, const std::string& name) { return c.pg_stop(name, StopMode::kFast); }},
      {"crash", "Postgres: immediate shutdown",
       [](LocalCluster& c, const std::string& name) { return c.pg_stop(name, StopMode::kImmediate); }},
      {"pause-replay", "replica: stop replaying",
       [](LocalCluster& c, const std::string& name) { return c.pause_replay(name); }},
      {"resume-replay", "replica: replay again",
       [](LocalCluster& c, const std::string& name) { return c.resume_replay(name); }},
  };
  return verbs;
}

int psql(const LocalCluster& cluster, const std::string& name, const std::string& sql) {
  const auto text = cluster.psql(name, sql);
  if (!text) return report(text.error());
  fmt::print("{}\n", *text);
  return io::kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  std::string directory = "build/cluster";
  std::string format = "table";
  std::string name;
  std::string sql;
  UpArguments up;
  io::Options options("tidemark-localcluster", "A whole Tidemark cluster on this machine, Postgres included.");
  const auto declare = [&](const char* verb_name, const char* about) -> io::Options& {
    io::Options& verb = options.verb(verb_name, about);
    verb.text("dir", directory, "the cluster's directory");
    return verb;
  };
  io::Options& up_verb = declare("up", "Starts everything and returns when it is ready.");
  declare_up(up_verb, up);
  io::Options& down_verb = declare("down", "Ends every process and deletes the databases.");
  io::Options& status_verb = declare("status", "Shows the processes.");
  status_verb.choice("format", format, {"table", "json"}, "how to print");
  io::Options& psql_verb = declare("psql", "Runs SQL as the superuser on a Postgres server.");
  psql_verb.positional("name", name, true, "server");
  psql_verb.positional("sql", sql, true, "statements");
  std::map<const Verb*, io::Options*> verbs;
  for (const Verb& verb : process_verbs()) {
    verbs[&verb] = &declare(verb.name, verb.about);
    verbs[&verb]->positional("name", name, true, "process, as `status` names it");
  }
  if (const auto exit_code = options.parse(argc, argv)) return *exit_code;

  if (up_verb.is_chosen()) return run_up(up, directory);
  auto cluster = LocalCluster::attach(directory);
  if (!cluster) return report(cluster.error());
  if (down_verb.is_chosen()) return report(cluster->stop_all());
  if (psql_verb.is_chosen()) return psql(*cluster, name, sql);
  for (const auto& [verb, chosen] : verbs)
    if (chosen->is_chosen()) return report(verb->act(*cluster, name));
  print_status(*cluster, format);
  return io::kExitOk;
}
