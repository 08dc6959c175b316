// Greedy-Dual-Size-Frequency, exactly: a heap of priorities L + hits / bytes. For comparison: sixteen bytes per item
// beside the head, and a logarithm per hit.
//
// Threads: one worker's own. I/O: none. Source: L. Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-
// Size-Frequency Caching Policy", HP Labs 1998.
#pragma once

#include <deque>

#include "cacheserver/eviction/evictor.h"

namespace tidemark::cacheserver {

class GdsfEvictor final : public Evictor {
 public:
  GdsfEvictor(ItemMemory memory, ItemSource& source) : memory_(memory), source_(source) {}

  std::string_view name() const override { return "gdsf"; }
  void on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant now) override;
  void on_hit(ItemId id, uint64_t hash, Instant now) override;
  void on_resize(ItemId, uint32_t, uint32_t) override {}  // counts from the next hit on
  void on_move(ItemId from, ItemId to) override;
  void on_remove(ItemId id, uint32_t bytes) override;
  void on_evict(ItemId id, uint64_t hash, uint32_t bytes) override;
  ItemId choose_victim(Instant now) override;
  void set_pressure(uint64_t, uint64_t) override {}
  void on_clear() override;
  size_t bytes_used() const override { return sizeof *this + heap_.size() * sizeof(Node); }
  std::optional<uint64_t> idle_seconds(ItemId, Instant) const override { return std::nullopt; }
  std::optional<uint64_t> frequency(ItemId id) const override { return memory_.at(id).word1; }

 private:
  struct Node {
    double priority;
    ItemId id;
    auto operator<=>(const Node&) const = default;
  };
  double priority_of(ItemId id, uint32_t bytes) const;
  void put(size_t at, Node node);
  void rise(size_t at);
  void sink(size_t at);
  void take_out(size_t at);

  ItemMemory memory_;  // word0: place in the heap, word1: hits
  ItemSource& source_;
  std::deque<Node> heap_;  // grows without a copy
  double lowest_ = 0;      // L
};

}  // namespace tidemark::cacheserver
