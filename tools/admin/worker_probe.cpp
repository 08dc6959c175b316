#include "tools/admin/worker_probe.h"

#include <boost/asio/io_context.hpp>
#include <charconv>
#include <map>

#include "base/io/resp_link.h"
#include "base/parse.h"
#include "base/topology/slot_workers.h"

namespace tidemark::admin {
namespace {

constexpr size_t kTideFields = 6;

int64_t number_of(const RespValue& value) {
  if (value.kind == RespValue::Kind::kInteger) return value.integer;
  return parse_i64(value.text).value_or(-1);
}

// "name:value" lines; others are passed over.
std::map<std::string_view, std::string_view> fields_of(std::string_view info) {
  std::map<std::string_view, std::string_view> fields;
  for (std::string_view line : split(info, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    size_t colon = line.find(':');
    if (colon != std::string_view::npos) fields[line.substr(0, colon)] = line.substr(colon + 1);
  }
  return fields;
}

// "keys=12,expires=3,…" -> 12
uint64_t keys_of(std::string_view keyspace) {
  constexpr std::string_view kMark = "keys=";
  size_t at = keyspace.find(kMark);
  if (at == std::string_view::npos) return 0;
  keyspace.remove_prefix(at + kMark.size());
  return parse_u64(keyspace.substr(0, keyspace.find(','))).value_or(0);
}

using Owners = std::map<std::pair<std::string, uint32_t>, uint32_t>;  // (node, worker) -> slots

Owners count_slots(const Topology& topology) {
  Owners owners;
  const std::vector<uint16_t> workers = slot_workers(topology);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (workers[slot] == kNoWorker) continue;
    ++owners[{topology.primary_of_slot(static_cast<Slot>(slot))->id, workers[slot]}];
  }
  return owners;
}

class Probe final : public WorkerProbe {
 public:
  Probe(boost::asio::io_context& context, const Topology& topology, const WorkerProbeOptions& options,
        std::vector<WorkerState>& workers)
      : workers_(workers) {
    Owners owners = count_slots(topology);
    for (const Node& node : topology.nodes) {
      for (uint32_t worker = 0; worker < node.workers; ++worker) {
        uint16_t port = worker < node.worker_ports.size() ? node.worker_ports[worker] : uint16_t{0};
        workers_.push_back({.node = node.id,
                            .worker = worker,
                            .address = port == 0 ? "-" : node.host + ":" + std::to_string(port),
                            .slots = owners[{node.id, worker}]});
        ask(context, node, port, options, workers_.size() - 1);
      }
    }
  }

 private:
  void ask(boost::asio::io_context& context, const Node& node, uint16_t port, const WorkerProbeOptions& options,
           size_t index) {
    if (port == 0) {
      workers_[index].measures = fail(ErrorCode::kUnavailable, "it never registered its port");
      return;
    }
    workers_[index].measures = fail(ErrorCode::kDeadlineExceeded, "no answer in time");
    auto link = io::RespLink::create(context, {.host = node.host,
                                               .port = port,
                                               .user = options.user,
                                               .password = options.password,
                                               .client_name = "tidemarkctl",
                                               .connect_timeout = options.timeout});
    link->send(make_request({"INFO"}), options.timeout, [this, index](Result<RespValue> reply) {
      workers_[index].measures = reply ? read_info(*reply) : std::unexpected(reply.error());
    });
    link->send(make_request({"TIDE"}), options.timeout, [this, index](Result<RespValue> reply) {
      Result<WorkerMeasures>& measures = workers_[index].measures;
      if (!measures) return;  // INFO says why
      Result<std::vector<Tide>> tides = reply ? read_tides(*reply) : std::unexpected(reply.error());
      if (tides)
        measures->tides = std::move(*tides);
      else
        measures = std::unexpected(tides.error());
    });
    links_.push_back(std::move(link));
  }

  std::vector<WorkerState>& workers_;
  std::vector<std::shared_ptr<io::RespLink>> links_;
};

}  // namespace

Result<std::vector<Tide>> read_tides(const RespValue& reply) {
  if (reply.is_error()) return fail(ErrorCode::kInternal, reply.text);
  std::vector<Tide> tides;
  for (const RespValue& line : reply.elements) {
    if (line.elements.size() < kTideFields)
      return fail(ErrorCode::kCorrupt, "the answer of TIDE has a line that is too short");
    const auto& field = line.elements;
    tides.push_back({.shard = number_of(field[0]),
                     .db_epoch = number_of(field[1]),
                     .complete_through = field[2].text,
                     .settled = field[3].text,
                     .floor = field[4].text,
                     .bound_ms = number_of(field[5])});
  }
  return tides;
}

Result<WorkerMeasures> read_info(const RespValue& reply) {
  if (reply.is_error()) return fail(ErrorCode::kInternal, reply.text);
  auto fields = fields_of(reply.text);
  if (!fields.contains("used_memory") || !fields.contains("role"))
    return fail(ErrorCode::kCorrupt, "the answer of INFO has no used_memory or no role");
  auto number = [&](std::string_view name) { return parse_u64(fields[name]).value_or(0); };
  return WorkerMeasures{.role = fields["role"] == "master" ? "primary" : "replica",
                        .keys = keys_of(fields["db0"]),
                        .memory_bytes_used = number("used_memory"),
                        .memory_bytes_max = number("maxmemory"),
                        .commands_per_second = number("instantaneous_ops_per_sec"),
                        .clients = number("connected_clients"),
                        .uptime_s = number("uptime_in_seconds"),
                        .topology_version = number("topology_version"),
                        .slots_version = number("slots_version")};
}

uint32_t count_served_slots(const Topology& topology, const std::vector<WorkerState>& workers) {
  uint32_t served = 0;
  for (const WorkerState& state : workers) {
    if (state.measures) served += state.slots;
  }
  return std::min(served, topology.slot_groups.empty() ? 0 : kSlotCount);
}

std::unique_ptr<WorkerProbe> WorkerProbe::start(boost::asio::io_context& context, const Topology& topology,
                                                const WorkerProbeOptions& options, std::vector<WorkerState>& workers) {
  return std::make_unique<Probe>(context, topology, options, workers);
}

}  // namespace tidemark::admin
