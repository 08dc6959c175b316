#include "tools/admin/cluster_probe.h"

#include <boost/asio/io_context.hpp>

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

uint32_t slots_of_worker(const Topology& topology, const Node& node, uint32_t worker) {
  const std::vector<uint16_t> workers = slot_workers(topology);
  uint32_t count = 0;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const Node* owner = topology.primary_of_slot(static_cast<Slot>(slot));
    if (owner == &node && workers[slot] == worker) ++count;
  }
  return count;
}

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

std::vector<WorkerState> probe_workers(const Topology& topology, const ProbeOptions& options) {
  std::vector<WorkerState> states;
  for (const Node& node : topology.nodes) {
    for (uint32_t worker = 0; worker < node.workers; ++worker) {
      uint16_t port = worker < node.worker_ports.size() ? node.worker_ports[worker] : uint16_t{0};
      states.push_back({.node = node.id,
                        .worker = worker,
                        .address = node.host + ":" + std::to_string(port),
                        .slots = slots_of_worker(topology, node, worker)});
    }
  }
  boost::asio::io_context context;
  std::vector<std::shared_ptr<io::RespLink>> links;
  size_t index = 0;
  for (const Node& node : topology.nodes) {
    for (uint32_t worker = 0; worker < node.workers; ++worker) {
      WorkerState& state = states[index++];
      if (worker >= node.worker_ports.size() || node.worker_ports[worker] == 0) {
        state.tides = fail(ErrorCode::kUnavailable, "it never registered its port");
        continue;
      }
      auto link = io::RespLink::create(context, {.host = node.host,
                                                 .port = node.worker_ports[worker],
                                                 .user = options.user,
                                                 .password = options.password,
                                                 .client_name = "tidemarkctl",
                                                 .connect_timeout = options.timeout});
      link->send(make_request({"TIDE"}), options.timeout, [&state](Result<RespValue> reply) {
        state.tides = reply ? read_tides(*reply) : Result<std::vector<Tide>>(std::unexpected(reply.error()));
      });
      links.push_back(std::move(link));
    }
  }
  context.run_for(options.timeout + std::chrono::milliseconds(200));
  links.clear();
  return states;
}

}  // namespace tidemark::admin
