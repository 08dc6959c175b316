#include "cacheserver/eviction/segments.h"

namespace tidemark::cacheserver {

void Segments::set_rule(double trial_share, Admission admission) {
  trial_share_ = fixed(trial_share);
  admission_ = admission;
  const size_t target = trial_target();
  to_shrink_ = trial_ > target ? trial_ - target : 0;
  to_fill_ = trial_ < target ? target - trial_ : 0;
}

void Segments::insert(ItemId id, bool is_remembered) {
  const bool skips_trial = is_remembered && admission_ == Admission::kSecondHit;
  const State state = skips_trial ? kProbation : kTrial;
  lists_.memory().at(id).set_policy_marks(state);
  lists_.push_newest(list(skips_trial ? kProbationList : kTrialList), id);
  ++size_of(state);
  if (trial_ > trial_target()) move(oldest(kTrialList), kProbationList, kProbation);
  if (is_moving()) move_towards_shares();
}

void Segments::insert_main(ItemId id) {
  lists_.memory().at(id).set_policy_marks(kProbation);
  lists_.push_newest(list(kProbationList), id);
  ++probation_;
}

void Segments::hit(ItemId id) {
  const State state = state_of(id);
  if (state == kTrial || state == kTrialHit) {
    move(id, kTrialList, kTrialHit);
  } else {
    move(id, kProtectedList, kProtected);
    if (protected_ > protected_target()) move(oldest(kProtectedList), kProbationList, kProbation);
  }
  if (is_moving()) move_towards_shares();
}

void Segments::remove(ItemId id) {
  --size_of(state_of(id));
  lists_.remove(id);
}

ItemId Segments::next_to_leave() const {
  for (List which : {kProbationList, kProtectedList, kTrialList}) {
    if (oldest(which) != kNoItem) return oldest(which);
  }
  return kNoItem;
}

size_t& Segments::size_of(State state) {
  return state == kProtected ? protected_ : state == kProbation ? probation_ : trial_;
}

void Segments::move(ItemId id, List to, State state) {
  ItemHead& head = lists_.memory().at(id);
  --size_of(state_of(id));
  lists_.remove(id);
  head.set_policy_marks(state);
  lists_.push_newest(list(to), id);
  ++size_of(state);
}

void Segments::move_towards_shares() {
  for (size_t i = 0; i < kMovesPerCall && to_shrink_ > 0; ++i) {
    --to_shrink_;
    if (trial_ > trial_target()) {
      move(oldest(kTrialList), kProbationList, kProbation);
    } else {
      to_shrink_ = 0;
    }
  }
  for (size_t i = 0; i < kMovesPerCall && to_fill_ > 0; ++i) {
    --to_fill_;
    const ItemId main = oldest(kProbationList) != kNoItem ? oldest(kProbationList) : oldest(kProtectedList);
    if (main != kNoItem && trial_ < trial_target()) {
      move(main, kTrialList, kTrialHit);
    } else {
      to_fill_ = 0;
    }
  }
  for (size_t i = 0; i < kMovesPerCall && protected_ > protected_target(); ++i) {
    move(oldest(kProtectedList), kProbationList, kProbation);
  }
}

}  // namespace tidemark::cacheserver
