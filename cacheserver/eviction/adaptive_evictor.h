// The default: runs by the rule that its panel of models finds best for the traffic of now.
//
//     hits, inserts ──> sketch ─────────────── how often was it seen? ──┐
//          │                                                           ▼
//          └── a sample ──> panel of models ── the leading rule ──> segments or density wheel ──> victim
//
// Value per byte leads from the start where the items' sizes vary widely, and only there; the rules of segments must
// then promise half as many hits again to take over.
//
// A new leader's share of the trial is approached period by period, its admission applies at once, and a change between
// segments and density wheel moves a few items per call until all have moved.
//
// Sketch and panel exist only from the moment the memory is nearly full (set_pressure) until it no longer is.
// Threads: one worker's own. I/O: none.
#pragma once

#include "cacheserver/eviction/density_wheel.h"
#include "cacheserver/eviction/evictor.h"
#include "cacheserver/eviction/expert_panel.h"
#include "cacheserver/eviction/frequency_sketch.h"
#include "cacheserver/eviction/hit_ring.h"
#include "cacheserver/eviction/item_lists.h"
#include "cacheserver/eviction/segments.h"
#include "cacheserver/eviction/size_spread.h"

namespace tidemark::cacheserver {

class AdaptiveEvictor final : public Evictor {
 public:
  static constexpr double kPressureOn = 0.75;  // of the memory limit
  static constexpr double kPressureOff = 0.5;
  // Below so much of the memory limit one hit in so many is noted: nothing leaves, and what is used will be hit again,
  // exactly noted, long before the first victim. Moving an item in a list costs more than finding it.
  static constexpr double kPlenty = 0.1;
  static constexpr uint32_t kHitsPerNotedInPlenty = 8;
  static constexpr size_t kItemsMin = 16;     // what the sketch is made for at least
  static constexpr size_t kMovedPerCall = 4;  // items between segments and wheel
  static constexpr double kShareStep = 0.3;   // of the way to the leader's trial share, per period

  AdaptiveEvictor(Goal goal, ItemMemory memory, ItemSource& source);

  std::string_view name() const override { return goal_ == Goal::kObjectHits ? "adaptive" : "adaptive-byte"; }
  void on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant now) override;
  void on_hit(ItemId id, uint64_t hash, Instant now) override;
  void on_resize(ItemId id, uint32_t bytes_before, uint32_t bytes_after) override;
  void on_move(ItemId from, ItemId to) override;
  void on_remove(ItemId id, uint32_t bytes) override;
  void on_evict(ItemId id, uint64_t hash, uint32_t bytes) override;
  ItemId choose_victim(Instant now) override;
  void set_pressure(uint64_t bytes_used, uint64_t bytes_max) override;
  void on_clear() override;
  size_t bytes_used() const override;
  std::optional<uint64_t> idle_seconds(ItemId, Instant) const override { return std::nullopt; }
  std::optional<uint64_t> frequency(ItemId id) const override;

 private:
  void work_off_hits();
  void hit(ItemId id, uint64_t hash);
  void count_request(ItemId id, uint64_t hash);
  void follow_leader(double share_step);
  void insert_by_density(ItemId id, uint64_t hash);
  void take_out(ItemId id, uint32_t bytes);
  void move_some();
  void begin_pressure(double fullness);
  void end_pressure();
  size_t size() const { return segments_.size() + wheel_.size(); }
  uint32_t frequency_of(ItemId id) { return sketch_.frequency_of(source_.hash_of(id)); }

  Goal goal_;
  ItemSource& source_;
  ItemLists lists_;
  Segments segments_;
  DensityWheel wheel_;
  HitRing hits_;
  FrequencySketch sketch_;
  ExpertPanel panel_;
  SizeSpread spread_;
  uint32_t hits_passed_ = 0;
  bool has_plenty_ = true;
  bool is_under_pressure_ = false;
  bool by_density_ = false;
  double trial_share_;
  uint64_t bytes_ = 0;  // of all items
};

}  // namespace tidemark::cacheserver
