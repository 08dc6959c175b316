#include "client/cluster/cluster_view.h"

#include <fmt/format.h>

#include "base/parse.h"
#include "base/topology/slot_workers.h"

namespace tidemark::client {
namespace {

std::optional<WorkerAddress> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  auto port = parse_u64(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  return WorkerAddress{std::string(text.substr(0, colon)), static_cast<uint16_t>(*port)};
}

}  // namespace

ClusterView::ClusterView() : slot_workers_(kSlotCount, kNobody) {}

uint16_t ClusterView::intern(const WorkerAddress& address) {
  auto [entry, is_new] = index_of_.try_emplace(address.to_string(), static_cast<uint16_t>(workers_.size()));
  if (is_new) {
    if (workers_.size() >= kWorkersMax) {
      index_of_.erase(entry);
      return kNobody;
    }
    workers_.push_back(address);
    in_use_.push_back(false);
  }
  in_use_[entry->second] = true;
  return entry->second;
}

bool ClusterView::set_topology(std::shared_ptr<const Topology> topology) {
  if (topology == nullptr || (topology_ != nullptr && topology->version <= topology_->version)) return false;
  topology_ = std::move(topology);
  in_use_.assign(workers_.size(), false);
  const std::vector<uint16_t> workers = tidemark::slot_workers(*topology_);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const auto node_slot = static_cast<Slot>(slot);
    const Node* node = topology_->primary_of_slot(node_slot);
    if (node == nullptr) {
      slot_workers_[slot] = kNobody;
      continue;
    }
    const uint32_t worker = workers[slot];
    const uint16_t port = worker < node->worker_ports.size() ? node->worker_ports[worker] : uint16_t{0};
    slot_workers_[slot] = port == 0 ? kUnregistered : intern({node->host, port});
  }
  return true;
}

Result<uint16_t> ClusterView::worker_of(Slot slot) const {
  const uint16_t worker = slot_workers_[slot];
  if (worker == kNobody) {
    return fail(ErrorCode::kFailedPrecondition, fmt::format("slot {} is served by no node of the topology", slot));
  }
  if (worker == kUnregistered) {
    return fail(ErrorCode::kUnavailable, fmt::format("the node of slot {} has not registered its port yet", slot));
  }
  return worker;
}

Result<uint16_t> ClusterView::note_moved(Slot slot, std::string_view address) {
  auto parsed = parse_address(address);
  if (!parsed) return fail(ErrorCode::kInvalidArgument, fmt::format("MOVED names '{}', not host:port", address));
  const uint16_t worker = intern(*parsed);
  if (worker == kNobody) {
    return fail(ErrorCode::kResourceExhausted, fmt::format("more than {} cache addresses", kWorkersMax));
  }
  slot_workers_[slot] = worker;
  return worker;
}

std::optional<MovedError> parse_moved(std::string_view error, std::string_view answering_host) {
  auto words = split(error, ' ');
  if (words.size() != 3 || words[0] != "MOVED") return std::nullopt;
  auto slot = parse_u64(words[1]);
  if (!slot || *slot >= kSlotCount) return std::nullopt;
  std::string address(words[2]);
  if (address.starts_with(':')) address.insert(0, answering_host);
  if (!parse_address(address)) return std::nullopt;
  return MovedError{static_cast<Slot>(*slot), std::move(address)};
}

}  // namespace tidemark::client
