#include "cacheserver/entry/far_spares.h"

#include "cacheserver/memory/pages.h"

namespace tidemark::cacheserver {

// The latest first: its bytes may still be in the processor's cache.
size_t FarSpares::find(size_t capacity) const {
  const size_t most = page_rounded(capacity + sizeof(FarValue)) + capacity / kRoomierBy;
  for (size_t i = spares_.size(); i-- > 0;) {
    if (spares_[i]->capacity() >= capacity && spares_[i]->bytes_held() <= most) return i;
  }
  return spares_.size();
}

FarValue* FarSpares::take(size_t capacity) {
  const size_t at = find(capacity);
  if (at == spares_.size()) return nullptr;
  FarValue* value = spares_[at];
  spares_.erase(spares_.begin() + static_cast<std::ptrdiff_t>(at));
  bytes_ -= value->bytes_held();
  return value;
}

void FarSpares::give(FarValue* value) {
  if (value->is_shared() || spares_.size() == kSpares || bytes_ + value->bytes_held() > bytes_max_) {
    return value->drop();
  }
  spares_.push_back(value);
  bytes_ += value->bytes_held();
}

void FarSpares::drop_one() {
  if (spares_.empty()) return;
  bytes_ -= spares_.front()->bytes_held();
  spares_.front()->drop();
  spares_.erase(spares_.begin());
}

void FarSpares::clear() {
  while (!spares_.empty()) drop_one();
}

}  // namespace tidemark::cacheserver
