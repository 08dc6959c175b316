#include "cacheserver/eviction/adaptive_evictor.h"

#include <algorithm>
#include <array>

namespace tidemark::cacheserver {
namespace {

constexpr std::array<Rule, 8> kRules = {{
    {.trial_share = 0.10, .admission = Admission::kSecondHit},
    {.trial_share = 0.01, .admission = Admission::kSecondHit},
    {.trial_share = 0.30, .admission = Admission::kSecondHit},
    {.trial_share = 0.01, .admission = Admission::kFrequency},
    {.trial_share = 0.05, .admission = Admission::kFrequency},
    {.trial_share = 0.20, .admission = Admission::kFrequency},
    {.trial_share = 1.00, .admission = Admission::kFrequency},  // LRU: the guard
    {.by_density = true},
}};

// Value per byte says nothing about bytes hit.
std::span<const Rule> rules_for(Goal goal) {
  return goal == Goal::kObjectHits ? std::span(kRules) : std::span(kRules).first(kRules.size() - 1);
}

}  // namespace

AdaptiveEvictor::AdaptiveEvictor(Goal goal, ItemMemory memory, ItemSource& source)
    : goal_(goal),
      source_(source),
      lists_(memory, Segments::kLists + DensityWheel::kLists),
      segments_(lists_, 0),
      wheel_(lists_, Segments::kLists),
      panel_(rules_for(goal), goal),
      trial_share_(kRules[0].trial_share) {}

void AdaptiveEvictor::on_insert(ItemId id, uint64_t hash, uint32_t bytes, Instant) {
  work_off_hits();
  bytes_ += bytes;
  spread_.add(bytes);
  if (by_density_) {
    wheel_.insert(id, sketch_.frequency_of(hash) + 1, bytes);
  } else {
    segments_.insert(id, sketch_.frequency_of(hash) > 0);
  }
  count_request(id, hash);
  move_some();
  if (is_under_pressure_) sketch_.grow_towards(size());
  sketch_.free_some();
}

void AdaptiveEvictor::on_hit(ItemId id, uint64_t hash, Instant) {
  if (has_plenty_ && ++hits_passed_ % kHitsPerNotedInPlenty != 0) return;
  lists_.prefetch_neighbours(id);
  sketch_.prefetch(hash);
  if (hits_.note(id, hash)) work_off_hits();
}

void AdaptiveEvictor::on_resize(ItemId, uint32_t bytes_before, uint32_t bytes_after) {
  bytes_ += bytes_after;
  bytes_ -= bytes_before;
  spread_.add(bytes_after);
  spread_.remove(bytes_before);
}

void AdaptiveEvictor::on_move(ItemId from, ItemId to) {
  work_off_hits();
  lists_.replace(from, to);
}

void AdaptiveEvictor::on_remove(ItemId id, uint32_t bytes) {
  work_off_hits();
  take_out(id, bytes);
}

void AdaptiveEvictor::on_evict(ItemId id, uint64_t, uint32_t bytes) {
  work_off_hits();
  take_out(id, bytes);
}

ItemId AdaptiveEvictor::choose_victim(Instant) {
  work_off_hits();
  if (!is_under_pressure_) begin_pressure(1);
  if (by_density_) return segments_.size() > 0 ? segments_.next_to_leave() : wheel_.next_to_leave();
  if (wheel_.size() > 0) return wheel_.next_to_leave();
  return segments_.choose_victim([this](ItemId id) { return frequency_of(id); });
}

void AdaptiveEvictor::set_pressure(uint64_t bytes_used, uint64_t bytes_max) {
  const double fullness = bytes_max == 0 ? 0 : static_cast<double>(bytes_used) / static_cast<double>(bytes_max);
  has_plenty_ = fullness < kPlenty;
  if (fullness >= kPressureOn && !is_under_pressure_) begin_pressure(std::min(fullness, 1.0));
  if (fullness < kPressureOff && is_under_pressure_) end_pressure();
}

void AdaptiveEvictor::on_clear() {
  hits_.clear();
  lists_.clear();
  segments_.clear();
  wheel_.clear();
  bytes_ = 0;
  spread_.clear();
  end_pressure();
}

size_t AdaptiveEvictor::bytes_used() const {
  return sizeof *this + lists_.bytes_used() + sketch_.bytes_used() + panel_.bytes_used();
}

std::optional<uint64_t> AdaptiveEvictor::frequency(ItemId id) const {
  if (!sketch_.is_started()) return std::nullopt;
  return sketch_.frequency_of(source_.hash_of(id));
}

void AdaptiveEvictor::work_off_hits() {
  hits_.drain([this](const HitRing::Hit& noted) { hit(noted.id, noted.hash); });
}

void AdaptiveEvictor::hit(ItemId id, uint64_t hash) {
  const bool is_by_density = DensityWheel::is_here(lists_.memory().at(id));
  count_request(id, hash);
  if (is_by_density && by_density_) {
    wheel_.hit(id, sketch_.frequency_of(hash), source_.bytes_of(id));
  } else if (!is_by_density && !by_density_) {
    segments_.hit(id);
  } else if (by_density_) {
    segments_.remove(id);
    insert_by_density(id, hash);
  } else {
    wheel_.remove(id);
    segments_.insert(id, true);
  }
  move_some();
}

void AdaptiveEvictor::count_request(ItemId id, uint64_t hash) {
  if (!is_under_pressure_) return;
  sketch_.increment(hash);
  if (panel_.is_sampled(hash)) panel_.request(hash, source_.bytes_of(id));
  if (panel_.count_request(size(), bytes_, spread_.is_wide())) follow_leader(kShareStep);
}

void AdaptiveEvictor::follow_leader(double share_step) {
  const Rule& leader = panel_.leader();
  by_density_ = leader.by_density;
  if (by_density_) return;
  trial_share_ += (leader.trial_share - trial_share_) * share_step;
  segments_.set_rule(trial_share_, leader.admission);
}

void AdaptiveEvictor::insert_by_density(ItemId id, uint64_t hash) {
  wheel_.insert(id, sketch_.frequency_of(hash), source_.bytes_of(id));
}

void AdaptiveEvictor::take_out(ItemId id, uint32_t bytes) {
  bytes_ -= bytes;
  spread_.remove(bytes);
  if (DensityWheel::is_here(lists_.memory().at(id))) {
    wheel_.remove(id);
  } else {
    segments_.remove(id);
  }
}

// The next to leave goes first: on either side it then is what leaves soonest.
void AdaptiveEvictor::move_some() {
  for (size_t i = 0; i < kMovedPerCall; ++i) {
    if (by_density_ ? segments_.size() == 0 : wheel_.size() == 0) return;
    if (by_density_) {
      const ItemId id = segments_.next_to_leave();
      segments_.remove(id);
      insert_by_density(id, source_.hash_of(id));
    } else {
      const ItemId id = wheel_.next_to_leave();
      wheel_.remove(id);
      segments_.insert_main(id);
    }
  }
}

void AdaptiveEvictor::begin_pressure(double fullness) {
  is_under_pressure_ = true;
  const auto items = std::max(kItemsMin, static_cast<size_t>(static_cast<double>(size()) / fullness));
  sketch_.start(items);
  panel_.start(items, static_cast<uint64_t>(static_cast<double>(bytes_) / fullness), spread_.is_wide());
  follow_leader(1);
}

void AdaptiveEvictor::end_pressure() {
  is_under_pressure_ = false;
  sketch_.clear();
  panel_.stop();
  follow_leader(1);
}

}  // namespace tidemark::cacheserver
