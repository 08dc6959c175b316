#include "cacheserver/eviction/ghost_set.h"

#include <algorithm>
#include <cstring>

namespace tidemark::cacheserver {
namespace {

uint16_t fingerprint_of(uint64_t hash) {
  return static_cast<uint16_t>(hash >> 48);
}

}  // namespace

void GhostSet::start(size_t capacity) {
  capacity_ = std::max<size_t>(capacity, 1);
  table_.start(lines_for(capacity_));
}

void GhostSet::set_capacity(size_t capacity) {
  capacity_ = std::max<size_t>(capacity, 1);
  table_.grow_towards(lines_for(capacity_));
}

void GhostSet::insert(uint64_t hash) {
  LineTable::Line& line = table_.get(hash);
  Ghost ghosts[kWays];
  std::memcpy(ghosts, line.cells.data(), sizeof ghosts);
  Ghost* oldest = ghosts;
  for (Ghost* ghost = ghosts; ghost != ghosts + kWays; ++ghost) {
    if (ghost->epoch == 0) {
      oldest = ghost;
      break;
    }
    if (age_of(*ghost) > age_of(*oldest)) oldest = ghost;
  }
  *oldest = {.fingerprint = fingerprint_of(hash), .epoch = epoch_};
  std::memcpy(line.cells.data(), ghosts, sizeof ghosts);
  if (++inserted_ < epoch_length()) return;
  inserted_ = 0;
  if (++epoch_ == 0) epoch_ = 1;
}

bool GhostSet::take(uint64_t hash) {
  if (!is_started() || table_.find(hash) == nullptr) return false;
  LineTable::Line& line = table_.get(hash);
  Ghost ghosts[kWays];
  std::memcpy(ghosts, line.cells.data(), sizeof ghosts);
  for (Ghost& ghost : ghosts) {
    if (ghost.epoch == 0 || ghost.fingerprint != fingerprint_of(hash)) continue;
    const bool is_remembered = age_of(ghost) <= epochs_remembered();
    ghost = {};
    std::memcpy(line.cells.data(), ghosts, sizeof ghosts);
    if (is_remembered) return true;
  }
  return false;
}

}  // namespace tidemark::cacheserver
