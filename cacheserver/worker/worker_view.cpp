#include "cacheserver/worker/worker_view.h"

#include <algorithm>
#include <utility>

#include "base/family/key_pattern.h"
#include "base/topology/slot_workers.h"

namespace tidemark::cacheserver {
namespace {

// A lone node's topology: itself, owning every slot.
std::shared_ptr<const Topology> lone_topology(const WorkerView::Identity& identity) {
  auto topology = std::make_shared<Topology>();
  topology->version = 1;
  topology->slots_version = 1;
  topology->nodes = {{.id = identity.node_id, .host = identity.host, .worker_ports = {identity.port}, .workers = 1}};
  topology->groups = {{.id = "g1", .nodes = {identity.node_id}}};
  topology->slot_groups.assign(kSlotCount, 0);
  return topology;
}

// Literal text before the first parameter. A stored topology has been checked: its patterns parse.
std::string prefix_of(const Family& family) {
  auto pattern = KeyPattern::parse(family.pattern);
  return pattern ? pattern->prefix() : family.pattern;
}

}  // namespace

WorkerView::WorkerView(Identity identity, WorkerConfig config, Credentials credentials)
    : identity_(std::move(identity)),
      config_(std::move(config)),
      credentials_(std::move(credentials)),
      cluster_id_(cluster_id_of(identity_.node_id, identity_.worker_index)),
      topology_(lone_topology(identity_)) {
  index_slots();
}

void WorkerView::adopt_topology(std::shared_ptr<const Topology> topology) {
  topology_ = std::move(topology);
  is_clustered_ = true;
  stats_.topology_version.set(topology_->version);
  index_slots();
  index_families();
}

void WorkerView::index_slots() {
  owned_slots_.reset();
  group_epoch_ = 0;
  is_primary_ = false;
  slot_workers_ = slot_workers(*topology_);
  for (size_t index = 0; index < topology_->groups.size(); ++index) {
    const Group& group = topology_->groups[index];
    if (std::ranges::find(group.nodes, identity_.node_id) == group.nodes.end()) continue;
    group_epoch_ = group.epoch;
    is_primary_ = group.nodes.front() == identity_.node_id;
    if (is_primary_) own_slots_of_group(index);
  }
}

// Cut for the workers that this process really runs: the topology may already speak of the next start's.
void WorkerView::own_slots_of_group(size_t group) {
  const std::vector<uint16_t> workers = slot_workers_of_group(*topology_, group, identity_.workers);
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    if (workers[slot] == identity_.worker_index) owned_slots_.set(slot);
  }
}

void WorkerView::index_families() {
  prefixes_.clear();
  first_bytes_.reset();
  has_empty_prefix_ = false;
  has_database_families_ = false;
  for (const Family& family : topology_->families) {
    Prefix prefix{.text = prefix_of(family), .family = &family};
    if (prefix.text.empty()) {
      has_empty_prefix_ = true;
    } else {
      first_bytes_.set(static_cast<unsigned char>(prefix.text[0]));
    }
    has_database_families_ = has_database_families_ || !family.table.empty();
    prefixes_.push_back(std::move(prefix));
  }
  std::ranges::sort(prefixes_, [](const Prefix& a, const Prefix& b) {
    return a.text.size() != b.text.size() ? a.text.size() > b.text.size() : a.text < b.text;
  });
}

std::optional<Endpoint> WorkerView::endpoint_of_slot(Slot slot) const {
  const Node* node = topology_->primary_of_slot(slot);
  if (node == nullptr) return std::nullopt;
  uint32_t worker = slot_workers_[slot];
  uint16_t port = worker < node->worker_ports.size() ? node->worker_ports[worker] : 0;
  if (port == 0) return std::nullopt;
  return Endpoint{.host = node->host, .port = port};
}

const Family* WorkerView::family_of_key(std::string_view key) const {
  if (prefixes_.empty()) return nullptr;
  bool may_match = has_empty_prefix_ || (!key.empty() && first_bytes_.test(static_cast<unsigned char>(key[0])));
  if (!may_match) return nullptr;
  for (const Prefix& prefix : prefixes_) {
    if (key.starts_with(prefix.text)) return prefix.family;
  }
  return nullptr;
}

const Family* WorkerView::find_database_family(std::string_view key) const {
  const Family* family = family_of_key(key);
  return family != nullptr && !family->table.empty() ? family : nullptr;
}

}  // namespace tidemark::cacheserver
