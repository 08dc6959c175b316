#include "cacheserver/freshness/hash_index.h"

#include <utility>

namespace tidemark::cacheserver {

size_t HashIndex::cell_of(uint64_t hash) const {
  size_t mask = places_.size() - 1;
  size_t cell = home(hash);
  while (places_[cell] != kNone && hashes_[cell] != hash) cell = (cell + 1) & mask;
  return cell;
}

uint32_t HashIndex::find(uint64_t hash) const {
  return places_[cell_of(hash)];
}

void HashIndex::set(uint64_t hash, uint32_t place) {
  size_t cell = cell_of(hash);
  if (places_[cell] == kNone) {
    if ((size_ + 1) * 2 > places_.size()) {
      grow();
      cell = cell_of(hash);
    }
    ++size_;
  }
  hashes_[cell] = hash;
  places_[cell] = place;
}

void HashIndex::erase(uint64_t hash) {
  size_t mask = places_.size() - 1;
  size_t hole = cell_of(hash);
  if (places_[hole] == kNone) return;
  --size_;
  // Whatever stands between its home and its cell across the hole moves into the hole.
  for (size_t cell = (hole + 1) & mask; places_[cell] != kNone; cell = (cell + 1) & mask) {
    size_t distance_from_home = (cell - home(hashes_[cell])) & mask;
    size_t distance_from_hole = (cell - hole) & mask;
    if (distance_from_home < distance_from_hole) continue;
    hashes_[hole] = hashes_[cell];
    places_[hole] = places_[cell];
    hole = cell;
  }
  places_[hole] = kNone;
}

void HashIndex::grow() {
  HashIndex larger;
  larger.hashes_.assign(places_.size() * 2, 0);
  larger.places_.assign(places_.size() * 2, kNone);
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i] == kNone) continue;
    size_t cell = larger.cell_of(hashes_[i]);
    larger.hashes_[cell] = hashes_[i];
    larger.places_[cell] = places_[i];
  }
  larger.size_ = size_;
  *this = std::move(larger);
}

}  // namespace tidemark::cacheserver
