// tidemarkctl status: who serves what, who answers, and how far every worker's tide marks are.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/io/secrets.h"
#include "tools/admin/cluster_probe.h"
#include "tools/admin/table.h"
#include "tools/admin/verb.h"

namespace tidemark::admin {
namespace {

using Json = nlohmann::ordered_json;

struct StatusOptions {
  std::string format = "table";
  std::string password_file;
  Duration timeout = std::chrono::seconds(1);
};

std::string bound_text(int64_t bound_ms) {
  return bound_ms < 0 ? "unknown" : fmt::format("{} ms", bound_ms);
}

Json to_json(const Topology& topology, const std::vector<WorkerState>& workers) {
  Json out = {{"topology_version", topology.version},
              {"slots_version", topology.slots_version},
              {"families_version", topology.families_version},
              {"workers", Json::array()},
              {"groups", Json::array()},
              {"shards", Json::array()}};
  for (const WorkerState& state : workers) {
    Json worker = {{"node", state.node},
                   {"worker", state.worker},
                   {"address", state.address},
                   {"slots", state.slots},
                   {"reachable", state.tides.has_value()}};
    if (!state.tides) worker["error"] = state.tides.error().to_string();
    worker["tides"] = Json::array();
    for (const Tide& tide : state.tides.value_or(std::vector<Tide>())) {
      worker["tides"].push_back({{"shard", tide.shard},
                                 {"db_epoch", tide.db_epoch},
                                 {"complete_through", tide.complete_through},
                                 {"settled", tide.settled},
                                 {"floor", tide.floor},
                                 {"bound_ms", tide.bound_ms}});
    }
    out["workers"].push_back(std::move(worker));
  }
  for (const Group& group : topology.groups) {
    out["groups"].push_back(
        {{"id", group.id}, {"epoch", group.epoch}, {"weight", group.weight}, {"nodes", group.nodes}});
  }
  for (const Shard& shard : topology.shards) {
    Json servers = Json::array();
    for (const ShardServer& server : shard.servers) {
      bool is_primary = server.role == ShardServer::Role::kPrimary;
      servers.push_back(
          {{"name", server.name}, {"role", is_primary ? "primary" : "replica"}, {"conninfo", server.conninfo}});
    }
    auto buckets = std::ranges::count(topology.buckets, shard.id, &BucketOwner::shard);
    out["shards"].push_back({{"id", shard.id}, {"buckets", buckets}, {"servers", std::move(servers)}});
  }
  return out;
}

void print_tables(const Topology& topology, const std::vector<WorkerState>& workers) {
  std::cout << fmt::format("topology version {}, slots version {}, {} families (version {})\n\n", topology.version,
                           topology.slots_version, topology.families.size(), topology.families_version);
  Table table({"NODE", "WORKER", "ADDRESS", "SLOTS", "SHARD", "DB EPOCH", "TIDE MARK", "SETTLED", "BOUND", "STATE"});
  for (const WorkerState& state : workers) {
    std::vector<std::string> head{state.node, std::to_string(state.worker), state.address, std::to_string(state.slots)};
    auto add = [&](std::vector<std::string> tail) {
      std::vector<std::string> row = head;
      row.insert(row.end(), tail.begin(), tail.end());
      table.add(std::move(row));
    };
    if (!state.tides)
      add({"-", "-", "-", "-", "-", state.tides.error().to_string()});
    else if (state.tides->empty())
      add({"-", "-", "-", "-", "-", topology.shards.empty() ? "ok" : "ok, no shard joined"});
    else
      for (const Tide& tide : *state.tides) {
        add({std::to_string(tide.shard), std::to_string(tide.db_epoch), tide.complete_through, tide.settled,
             bound_text(tide.bound_ms), "ok"});
      }
  }
  std::cout << table.to_string();
  if (topology.shards.empty()) return;
  Table shards({"SHARD", "BUCKETS", "SERVER", "ROLE", "CONNINFO"});
  for (const Shard& shard : topology.shards) {
    auto buckets = std::ranges::count(topology.buckets, shard.id, &BucketOwner::shard);
    for (const ShardServer& server : shard.servers) {
      shards.add({std::to_string(shard.id), std::to_string(buckets), server.name,
                  server.role == ShardServer::Role::kPrimary ? "primary" : "replica", server.conninfo});
    }
  }
  std::cout << "\n" << shards.to_string();
}

Status run_status(const Common& common, const StatusOptions& options) {
  Result<Topology> topology = load_topology(common);
  if (!topology) return std::unexpected(topology.error());
  ProbeOptions probe{.user = {}, .password = {}, .timeout = options.timeout};
  if (!options.password_file.empty()) {
    Result<std::string> password = io::read_secret_file(options.password_file);
    if (!password) return std::unexpected(password.error());
    probe.user = "default";
    probe.password = *password;
  }
  std::vector<WorkerState> workers = probe_workers(*topology, probe);
  if (options.format == "json")
    std::cout << to_json(*topology, workers).dump(2) << "\n";
  else
    print_tables(*topology, workers);
  for (const WorkerState& worker : workers) {
    if (!worker.tides) return fail(ErrorCode::kUnavailable, "not every worker answers");
  }
  return {};
}

}  // namespace

Verb add_status_verb(io::Options& root, const Common& common) {
  auto given = std::make_shared<StatusOptions>();
  io::Options& verb =
      root.verb("status", "nodes, workers, slots, tide marks and bounds, shards; fails if a worker does not answer");
  verb.choice("format", given->format, {"table", "json"}, "how it is printed");
  verb.text("password-file", given->password_file, "file with the nodes' password, if they want one");
  verb.duration("timeout", given->timeout, "how long a worker may take to answer");
  return {&verb, [&common, given] { return run_status(common, *given); }};
}

}  // namespace tidemark::admin
