// Evicts nothing: writes are refused when memory is full. The head's first word keeps the second of the last use.
//
// Threads: one worker's own. I/O: none.
#pragma once

#include "cacheserver/eviction/evictor.h"

namespace tidemark::cacheserver {

class NoEvictor final : public Evictor {
 public:
  explicit NoEvictor(ItemMemory memory) : memory_(memory) {}

  std::string_view name() const override { return "noeviction"; }
  void on_insert(ItemId id, uint64_t, uint32_t, Instant now) override { memory_.at(id).word0 = seconds_of(now); }
  void on_hit(ItemId id, uint64_t, Instant now) override { memory_.at(id).word0 = seconds_of(now); }
  void on_resize(ItemId, uint32_t, uint32_t) override {}
  void on_move(ItemId, ItemId) override {}
  void on_remove(ItemId, uint32_t) override {}
  void on_evict(ItemId, uint64_t, uint32_t) override {}
  ItemId choose_victim(Instant) override { return kNoItem; }
  void set_pressure(uint64_t, uint64_t) override {}
  void on_clear() override {}
  size_t bytes_used() const override { return sizeof *this; }
  std::optional<uint64_t> idle_seconds(ItemId id, Instant now) const override {
    return seconds_of(now) - memory_.at(id).word0;  // modulo 2^32: right for 136 years
  }
  std::optional<uint64_t> frequency(ItemId) const override { return std::nullopt; }

 private:
  static uint32_t seconds_of(Instant time) {
    return static_cast<uint32_t>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  }
  ItemMemory memory_;
};

}  // namespace tidemark::cacheserver
