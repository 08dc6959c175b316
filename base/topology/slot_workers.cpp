#include "base/topology/slot_workers.h"

#include <algorithm>

namespace tidemark {
namespace {

bool is_of_group(const Topology& topology, uint32_t slot, size_t group) {
  return topology.slot_groups[slot] == group;
}

// Writes the cut of one group into `table`; other groups' entries stay as they are.
void cut_group(const Topology& topology, size_t group, uint32_t workers, std::vector<uint16_t>& table) {
  if (topology.slot_groups.size() != kSlotCount || workers == 0) return;
  auto slots = static_cast<uint32_t>(std::ranges::count(topology.slot_groups, static_cast<uint16_t>(group)));
  uint32_t rank = 0;  // of the next slot among the group's
  for (uint32_t bucket_begin = 0; bucket_begin < kSlotCount; bucket_begin += kSlotsPerBucket) {
    const uint32_t bucket_rank = rank;
    for (uint32_t slot = bucket_begin; slot < bucket_begin + kSlotsPerBucket; ++slot) {
      if (!is_of_group(topology, slot, group)) continue;
      table[slot] = static_cast<uint16_t>(uint64_t{bucket_rank} * workers / slots);
      ++rank;
    }
  }
}

}  // namespace

std::vector<uint16_t> slot_workers(const Topology& topology) {
  std::vector<uint16_t> table(kSlotCount, kNoWorker);
  for (size_t group = 0; group < topology.groups.size(); ++group) {
    const std::vector<std::string>& nodes = topology.groups[group].nodes;
    const Node* primary = nodes.empty() ? nullptr : topology.find_node(nodes.front());
    if (primary != nullptr) cut_group(topology, group, primary->workers, table);
  }
  return table;
}

std::vector<uint16_t> slot_workers_of_group(const Topology& topology, size_t group, uint32_t workers) {
  std::vector<uint16_t> table(kSlotCount, kNoWorker);
  cut_group(topology, group, workers, table);
  return table;
}

}  // namespace tidemark
