#include "client/cluster/key_scatter.h"

#include <unordered_map>

namespace tidemark::client {

std::vector<SlotPart> scatter_by_slot(std::span<const std::string> keys, size_t part_max) {
  std::vector<SlotPart> parts;
  std::unordered_map<Slot, size_t> open;  // the part of a slot that has room
  for (size_t i = 0; i < keys.size(); ++i) {
    const Slot slot = slot_of_key(keys[i]);
    auto [entry, is_new] = open.try_emplace(slot, parts.size());
    if (!is_new && parts[entry->second].indexes.size() >= part_max) {
      entry->second = parts.size();
      is_new = true;
    }
    if (is_new) parts.push_back({slot, {}});
    parts[entry->second].indexes.push_back(i);
  }
  return parts;
}

}  // namespace tidemark::client
