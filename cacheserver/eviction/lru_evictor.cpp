#include "cacheserver/eviction/lru_evictor.h"

namespace tidemark::cacheserver {
namespace {

constexpr uint32_t kList = 0;

}  // namespace

void LruEvictor::on_insert(ItemId id, uint64_t, uint32_t, Instant) {
  work_off_hits();
  lists_.push_newest(kList, id);
}

void LruEvictor::on_hit(ItemId id, uint64_t hash, Instant) {
  lists_.prefetch_neighbours(id);
  if (hits_.note(id, hash)) work_off_hits();
}

void LruEvictor::on_move(ItemId from, ItemId to) {
  work_off_hits();
  lists_.replace(from, to);
}

void LruEvictor::on_remove(ItemId id, uint32_t) {
  work_off_hits();
  lists_.remove(id);
}

void LruEvictor::on_evict(ItemId id, uint64_t, uint32_t bytes) {
  on_remove(id, bytes);
}

ItemId LruEvictor::choose_victim(Instant) {
  work_off_hits();
  return lists_.oldest(kList);
}

void LruEvictor::on_clear() {
  hits_.clear();
  lists_.clear();
}

void LruEvictor::work_off_hits() {
  hits_.drain([this](const HitRing::Hit& hit) {
    lists_.remove(hit.id);
    lists_.push_newest(kList, hit.id);
  });
}

}  // namespace tidemark::cacheserver
