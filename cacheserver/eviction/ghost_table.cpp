#include "cacheserver/eviction/ghost_table.h"

#include <algorithm>
#include <bit>

namespace tidemark::cacheserver {

// The table follows the number of live entries by powers of two; when its size changes it starts empty, for a ghost
// forgotten costs one trial more, and a rehash would cost a pause.
void GhostTable::insert(uint64_t hash, size_t live_entries) {
  capacity_ = std::clamp(live_entries, kCapacityMin, kCapacityMax);
  const size_t size = std::bit_ceil(capacity_);
  if (size > ghosts_.size() || size * 4 < ghosts_.size()) ghosts_.assign(size, {});
  if (++insertions_ == 0) insertions_ = 1;
  Ghost* set = set_of(hash);
  Ghost* oldest = std::max_element(set, set + kWays, [this](const Ghost& a, const Ghost& b) {
    return (a.number == 0 ? UINT32_MAX : age(a)) < (b.number == 0 ? UINT32_MAX : age(b));
  });
  *oldest = {.fingerprint = static_cast<uint32_t>(hash), .number = insertions_};
}

bool GhostTable::take(uint64_t hash) {
  if (ghosts_.empty()) return false;
  Ghost* set = set_of(hash);
  for (Ghost* ghost = set; ghost != set + kWays; ++ghost) {
    if (ghost->number == 0 || ghost->fingerprint != static_cast<uint32_t>(hash)) continue;
    bool is_remembered = age(*ghost) < capacity_;
    *ghost = {};
    return is_remembered;
  }
  return false;
}

void GhostTable::clear() {
  ghosts_.clear();
  ghosts_.shrink_to_fit();
}

GhostTable::Ghost* GhostTable::set_of(uint64_t hash) {
  return &ghosts_[((hash >> 32) % (ghosts_.size() / kWays)) * kWays];
}

}  // namespace tidemark::cacheserver
