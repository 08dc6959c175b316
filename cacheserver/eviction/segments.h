// Three queues of items: on trial, on probation, protected. New items begin on trial; what passes it lives in the main
// part, least recently used first out.
//
//     new ──> trial ──passes──> probation ──hit──> protected (at most 80 % of the main part)
//               │                 │  ▲                 │
//               └── out           │  └──── overflow ───┘
//                                 └──> out, when an item on trial passes or the trial has room
//
// A Rule says how large the trial is and who passes: whoever was hit while on trial (and whoever was seen before and
// returns, which skips the trial), or whoever was seen more often than the item it would push out. With a trial of
// 100 % the whole is a plain LRU.
//
// The same class runs the cache itself and the small models that try rules out.
// Threads: one owner. I/O: none. Sources: W-TinyLFU (see frequency_sketch.h) for the window and the main part; the
// second rule is 2Q's and S3-FIFO's (Yang et al., SOSP 2023). Changed: one set of queues that follows either rule.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cacheserver/eviction/dice.h"
#include "cacheserver/eviction/item_lists.h"

namespace tidemark::cacheserver {

enum class Admission { kSecondHit, kFrequency };

class Segments {
 public:
  // The states of an item, in the policy's marks. kBeyond and above are free for others.
  enum State : uint8_t { kTrial, kTrialHit, kProbation, kProtected, kBeyond };
  static constexpr uint32_t kLists = 3;
  static constexpr double kProtectedShare = 0.8;
  static constexpr size_t kMovesPerCall = 4;  // from one queue to another, towards new shares
  static constexpr uint32_t kFrequencyWarm = 6;
  static constexpr uint32_t kWarmAdmittedOneIn = 128;

  // Uses the lists [first_list, first_list + kLists) of `lists`, which outlives it.
  Segments(ItemLists& lists, uint32_t first_list) : lists_(lists), first_list_(first_list) {}

  // Takes effect step by step.
  void set_rule(double trial_share, Admission admission);

  void insert(ItemId id, bool is_remembered);
  void insert_main(ItemId id);  // on probation, newest: from another structure, the least wanted first
  void hit(ItemId id);
  void remove(ItemId id);

  // Names the next to go, having let it lose against the item on trial if it comes to that. frequency_of(ItemId) is
  // asked under kFrequency only.
  template <typename FrequencyOf>
  ItemId choose_victim(FrequencyOf&& frequency_of);
  ItemId next_to_leave() const;  // without a contest: for whoever empties the queues

  size_t size() const { return trial_ + probation_ + protected_; }
  void clear() { trial_ = probation_ = protected_ = to_shrink_ = to_fill_ = 0; }

 private:
  enum List : uint32_t { kTrialList, kProbationList, kProtectedList };
  uint32_t list(List which) const { return first_list_ + which; }
  ItemId oldest(List which) const { return lists_.oldest(list(which)); }
  State state_of(ItemId id) const { return static_cast<State>(lists_.memory().at(id).policy_marks()); }
  size_t& size_of(State state);
  // Shares as fractions of 2^32, rounded up so that a tenth of ten is one.
  static constexpr uint64_t fixed(double share) { return static_cast<uint64_t>(share * 4294967296.0 + 0.999); }
  static size_t part_of(size_t whole, uint64_t share) { return whole * share >> 32; }
  size_t trial_target() const { return std::max<size_t>(1, part_of(size(), trial_share_)); }
  size_t protected_target() const { return part_of(size() - std::min(size(), trial_target()), fixed(kProtectedShare)); }
  bool is_moving() const { return to_shrink_ + to_fill_ > 0 || protected_ > protected_target(); }
  void move(ItemId id, List to, State state);
  void move_towards_shares();

  ItemLists& lists_;
  uint32_t first_list_;
  size_t trial_ = 0, probation_ = 0, protected_ = 0;  // items
  uint64_t trial_share_ = fixed(0.1);
  Admission admission_ = Admission::kSecondHit;
  size_t to_shrink_ = 0, to_fill_ = 0;  // items the trial still has to give or take since the rule changed
  Dice dice_;
};

template <typename FrequencyOf>
ItemId Segments::choose_victim(FrequencyOf&& frequency_of) {
  ItemId main = oldest(kProbationList);
  if (main == kNoItem) main = oldest(kProtectedList);
  const ItemId candidate = oldest(kTrialList);
  if (candidate == kNoItem || main == kNoItem) return main == kNoItem ? candidate : main;
  if (trial_ < trial_target()) return main;
  if (admission_ == Admission::kSecondHit) {
    if (state_of(candidate) != kTrialHit) return candidate;
  } else {
    const uint32_t frequency = frequency_of(candidate);
    const bool is_more_frequent = frequency > frequency_of(main);
    // A frequent item gets in now and then even so: nobody can hold the door by raising the victim's counters.
    if (!is_more_frequent && (frequency < kFrequencyWarm || !dice_.one_in(kWarmAdmittedOneIn))) return candidate;
  }
  move(candidate, kProbationList, kProbation);
  return main;
}

}  // namespace tidemark::cacheserver
