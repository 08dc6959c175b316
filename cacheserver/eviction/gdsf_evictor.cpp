#include "cacheserver/eviction/gdsf_evictor.h"

#include <algorithm>

namespace tidemark::cacheserver {

void GdsfEvictor::on_insert(ItemId id, uint64_t, uint32_t bytes, Instant) {
  memory_.at(id).word1 = 1;
  heap_.push_back({});
  put(heap_.size() - 1, {.priority = priority_of(id, bytes), .id = id});
  rise(heap_.size() - 1);
}

void GdsfEvictor::on_hit(ItemId id, uint64_t, Instant) {
  ItemHead& head = memory_.at(id);
  if (head.word1 < UINT32_MAX) ++head.word1;
  heap_[head.word0].priority = priority_of(id, source_.bytes_of(id));
  sink(head.word0);
}

void GdsfEvictor::on_move(ItemId, ItemId to) {
  heap_[memory_.at(to).word0].id = to;
}

void GdsfEvictor::on_remove(ItemId id, uint32_t) {
  take_out(memory_.at(id).word0);
}

void GdsfEvictor::on_evict(ItemId id, uint64_t, uint32_t) {
  lowest_ = std::max(lowest_, heap_[memory_.at(id).word0].priority);
  take_out(memory_.at(id).word0);
}

ItemId GdsfEvictor::choose_victim(Instant) {
  return heap_.empty() ? kNoItem : heap_.front().id;
}

void GdsfEvictor::on_clear() {
  heap_.clear();
  lowest_ = 0;
}

double GdsfEvictor::priority_of(ItemId id, uint32_t bytes) const {
  return lowest_ + static_cast<double>(memory_.at(id).word1) / std::max(bytes, 1u);
}

void GdsfEvictor::put(size_t at, Node node) {
  heap_[at] = node;
  memory_.at(node.id).word0 = static_cast<uint32_t>(at);
}

void GdsfEvictor::rise(size_t at) {
  const Node node = heap_[at];
  for (; at > 0 && node < heap_[(at - 1) / 2]; at = (at - 1) / 2) put(at, heap_[(at - 1) / 2]);
  put(at, node);
}

void GdsfEvictor::sink(size_t at) {
  const Node node = heap_[at];
  for (size_t child = at * 2 + 1; child < heap_.size(); child = at * 2 + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1] < heap_[child]) ++child;
    if (!(heap_[child] < node)) break;
    put(at, heap_[child]);
    at = child;
  }
  put(at, node);
}

void GdsfEvictor::take_out(size_t at) {
  const Node last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) return;
  put(at, last);
  rise(at);
  sink(memory_.at(last.id).word0);
}

}  // namespace tidemark::cacheserver
