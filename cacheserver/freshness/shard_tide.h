// The tide of one Postgres shard at one worker: how far its invalidations are applied, what has settled, and the floor.
//
//   complete_through   every commit up to here that concerns this worker has been applied
//   settled            every commit up to here is visible to any snapshot taken on the primary from now on
//   floor              what every fill must contain: an LSN (for R proofs) and a snapshot (for S proofs)
//   refloor            the last FENCEALL's LSN: an entry that contains less is a miss until refilled
//   inherited          earlier db_epochs whose history up to a switch position is this one's too (EPOCH): their entries
//                      stand if they hold nothing beyond it
//
// Fence points (settled, snapshot) are remembered, one a second. The newest that is at least `retention` old is the
// *collection point*: it becomes the floor, both halves at once, and tombstones up to it may go, because every later
// fill must contain what that snapshot saw. So a replica may lag up to `retention` before its fills are refused.
//
//   time  0 s            1 s            …   60 s            61 s
//   fence {0/100, Q0}    {0/200, Q1}        {0/900, Q60} -> floor {0/100, Q0}   -> floor {0/200, Q1}
//
// Invariants: within one db_epoch floor.lsn and refloor never fall, nor does settled between joins; each fence point's
// snapshot covers the one before. Threads: one worker's. I/O: none; time is an argument.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/proof/proof.h"
#include "cacheserver/freshness/fill_rule.h"
#include "cacheserver/freshness/ingredients.h"

namespace tidemark::cacheserver {

// What became of an invalidator's command.
enum class TideAdmission : uint8_t {
  kApplied,
  kGap,       // it does not follow: answer GAP complete_through
  kOldEpoch,  // its db_epoch is below ours
  kNewEpoch,  // its db_epoch is above ours: FENCEALL first
};

struct FenceMessage {
  DbEpoch db_epoch = 0;
  Lsn prev_lsn, lsn;
  Lsn settled;                         // 0/0: nothing is said about it
  std::optional<PgSnapshot> snapshot;  // belongs to settled
  std::optional<Instant> echo;         // the newest stamp that was out before the primary's position was sampled
};

// A batch too large for one message travels in parts, numbered 0, 1, 2, …; the position moves with the last.
struct BatchHead {
  DbEpoch db_epoch = 0;
  Lsn prev_lsn, last_lsn;
  uint64_t part = 0;
  bool has_more = false;
};

class ShardTide {
 public:
  struct Options {
    Duration retention = std::chrono::seconds(60);
    Duration history_step = std::chrono::seconds(1);
  };
  static constexpr size_t kHistoryMax = 128;
  static constexpr size_t kInheritedMax = 8;  // the oldest goes first; its entries are misses then

  ShardTide(Options options, const Ingredients& ingredients);

  // FENCEALL. False: e is below the shard's (kOldEpoch).
  bool join(DbEpoch db_epoch, Lsn lsn);
  // EPOCH: `db_epoch` continues `prev` up to `switch_lsn`. What was applied beyond is taken back; entries of `prev`
  // stand if none of what they hold lies beyond. kGap: not everything up to the switch was applied here; kNewEpoch:
  // `prev` is not our epoch. In both cases FENCEALL is the way.
  TideAdmission succeed(DbEpoch prev, DbEpoch db_epoch, Lsn switch_lsn);
  // Forgets the position (not the epoch): until the next join() nothing is filled or served.
  void leave();

  // May the batch (this part of it) be applied? If so its keys are dropped first, then advance() is called.
  TideAdmission admit(const BatchHead& head) const;
  void advance(const BatchHead& head);
  TideAdmission fence(const FenceMessage& message, Instant now);

  // A tombstone up to `lsn` could not be kept: the floor covers it from now on.
  void raise_floor(DbEpoch db_epoch, Lsn lsn);

  bool is_joined() const { return joined_; }
  DbEpoch db_epoch() const { return db_epoch_; }
  Lsn complete_through() const { return complete_through_; }
  Lsn settled() const { return settled_; }
  const Floor& floor() const { return floor_; }
  Lsn refloor() const { return refloor_; }
  // Does an entry stand, by its epoch and what it holds? (lo: for certain, hi: at most.)
  bool stands(DbEpoch db_epoch, Lsn lo, Lsn hi) const;
  // Where the history of an earlier epoch left ours; nothing: unknown.
  std::optional<Lsn> switch_of(DbEpoch db_epoch) const;
  Lsn collectable() const { return collectable_; }  // tombstones up to here are covered by the floor

  // What a value with this proof contains for certain. R: the proof's LSN. S: `settled` of the newest fence point whose
  // snapshot the proof's covers, else the floor. Requires that the fill rule accepts the proof.
  Lsn lo_of(const Proof& proof) const;

  // Every commit older than this is in every valid entry; nothing: unknown.
  std::optional<Duration> bound(Instant now) const;

 private:
  struct FencePoint {
    Lsn settled;
    PgSnapshot snapshot;
    Instant arrived;
    Lsn position;  // complete_through then: only the explorer's mutant looks at it
  };

  struct Inherited {
    DbEpoch db_epoch = 0;
    Lsn switch_lsn;
    Lsn refloor;
  };

  TideAdmission epoch_admission(DbEpoch db_epoch) const;
  void remember(const FenceMessage& message, Instant now);
  void move_floor(Instant now);

  Options options_;
  Ingredients ingredients_;
  bool joined_ = false;
  DbEpoch db_epoch_ = 0;
  Lsn complete_through_, settled_, refloor_, collectable_;
  Floor floor_;
  std::optional<Instant> echo_;
  std::optional<FencePoint> newest_;     // the last one, whether or not it is in history_
  std::deque<FencePoint> history_;       // ascending in all three
  std::vector<Inherited> inherited_;     // oldest first
  std::optional<BatchHead> open_batch_;  // parts of it were applied, more follow
};

}  // namespace tidemark::cacheserver
