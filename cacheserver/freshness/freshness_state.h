// The freshness of one worker: the tides of its shards, its tombstones and its fill leases, tied together.
//
// Commands ask it four things: is this entry valid? what does a miss answer? may this fill be installed? and tell it
// what was invalidated. Keys are hashes, the keyspace stays with the caller, who drops an entry when invalidate() says
// so. Only staged values are kept here, with their keys, until the caller installs them: take_settled(), on_install().
//
// Threads: one worker's. I/O: none; both clocks are arguments. Limits: FreshnessLimits, each with a gauge in Gauges.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/proof/proof.h"
#include "base/topology/topology.h"
#include "cacheserver/freshness/fill_leases.h"
#include "cacheserver/freshness/fill_rule.h"
#include "cacheserver/freshness/ingredients.h"
#include "cacheserver/freshness/moved_buckets.h"
#include "cacheserver/freshness/shard_tide.h"
#include "cacheserver/freshness/staged_values.h"
#include "cacheserver/freshness/tombstones.h"

namespace tidemark::cacheserver {

struct EntryClaims;  // keyspace/entry.h

struct FreshnessLimits {
  size_t tombstone_bytes_max = 64u << 20;
  size_t leases_max = 65536;
  size_t shards_max = 4096;
  Duration lease_life = std::chrono::seconds(10);
  Duration retention = std::chrono::seconds(60);  // how far a replica may lag and still fill
  size_t staged_bytes_max = 16u << 20;
  size_t staged_values_max = 16384;
  Duration staged_life = std::chrono::seconds(10);
};

class FreshnessState {
 public:
  explicit FreshnessState(FreshnessIdentity identity, FreshnessLimits limits = {}, const Ingredients& ingredients = {});

  // ---- what the worker's topology says (call when it changes)
  const FreshnessIdentity& identity() const { return leases_.identity(); }
  // Kills every lease if group_epoch or slots_version differ. `gained_slots`: the worker serves slots it did not serve
  // before; it cannot know what was invalidated there, so it leaves every shard and is joined again by the invalidator.
  void set_topology(uint32_t group_epoch, uint32_t slots_version, bool gained_slots);
  void adopt_owners(const Topology& topology) { moved_.adopt(topology); }
  // The ownership that this node's topology names has ended: that shard's log said so. Nothing of the bucket is
  // served or filled until the topology names the next one: its keys may change where no tide mark is looked at.
  bool has_moved(Bucket bucket, const BucketOwner& owner) const {
    return ingredients_.moved_ends_ownership && moved_.is_over(bucket, owner);
  }

  // ---- hits
  // Is an entry with these claims, of a bucket owned by `owner`, a hit? False: to be revalidated, a miss.
  bool is_valid(const EntryClaims& claims, const BucketOwner& owner) const;
  std::optional<Duration> bound(ShardId shard, Instant now) const;
  // What a session has written or read (GETL AFTER).
  struct After {
    DbEpoch db_epoch = 0;
    Lsn lsn;
  };
  // What a session of an earlier epoch asks for, as a position of this one. kLost: it lies beyond where the two
  // histories parted, the new one may lack it. kOtherEpoch: nothing is known of that epoch here.
  enum class AfterVerdict : uint8_t { kComparable, kLost, kOtherEpoch };
  AfterVerdict translate(ShardId shard, After& after) const;
  // Every commit of the shard up to `after.lsn` is in this valid entry. Positions of two epochs are not comparable:
  // requires that `after.db_epoch` is the shard's.
  bool contains_after(const EntryClaims& claims, const After& after) const;

  // ---- misses
  struct Miss {
    enum class Kind : uint8_t { kLease, kBusy, kNotJoined } kind = Kind::kNotJoined;
    std::string lease;     // kLease
    Lsn need;              // kLease: what a replica must have replayed for its proof to be accepted
    bool visible = false;  // kLease: a commit on the key may not be visible on the primary yet
    Lsn settled;           // kLease: every snapshot taken on the primary from now on sees all up to here; zero: unknown
    Duration retry_after{};  // kBusy
  };
  Miss on_miss(uint64_t key_hash, const BucketOwner& owner, Instant now);

  // ---- fills
  struct Fill {
    FillJudgement judgement;
    DbEpoch db_epoch = 0;  // the node's, for REJECT EPOCH
    Lsn lo;                // kAccepted: what the value contains for certain
  };
  // `existing`: the key's entry, valid or not; nullptr: none. The lease is gone afterwards unless the verdict is
  // kLease.
  Fill on_fill(uint64_t key_hash, std::string_view lease, const Proof& proof, const BucketOwner& owner,
               const EntryClaims* existing, Instant now);

  // ---- invalidations
  struct Commit {
    ShardId shard = 0;
    DbEpoch db_epoch = 0;
    Xid xid = 0;
    Lsn end_lsn;                      // exact from the stream, an upper bound from INVAL
    bool is_hint = false;             // from INVAL
    std::optional<uint64_t> stage{};  // what the stream named as the key's last event
  };
  // Kills the key's lease and leaves a tombstone. True: the entry with these claims (nullptr: none) must be dropped;
  // false: there is none, or it provably contains the commit. `owner`: of the key's bucket by this node's topology, if
  // it has one.
  bool invalidate(uint64_t key_hash, const std::optional<BucketOwner>& owner, const Commit& commit,
                  const EntryClaims* existing, Instant now);
  bool has_room_for_hints(size_t keys) const { return tombstones_.has_room_for_hints(keys); }
  // DEL and friends on a key of a db-backed family: its lease and its staged values end, so that neither a running fill
  // nor an installation undoes the DEL.
  void forget_key(uint64_t key_hash);
  void forget_all();  // FLUSHALL

  // ---- staged write-through
  enum class StageAnswer : uint8_t { kStaged, kSuperseded, kNoStage, kFull, kNotJoined };
  // STAGE, after invalidate() if the commit's end is known. Requires that domain.shard is the owner's and
  // domain.db_epoch the shard's.
  StageAnswer stage(StagedValue value, Instant now);
  // The next value of the shard whose commit is confirmed and settled; it is no longer parked. Call after INVALB, FENCE
  // and STAGE until there is none, or for a bounded number of times: the rest waits for the next call.
  std::optional<StagedValue> take_settled(ShardId shard);
  // May it be installed over `existing` (nullptr: none)? Then with these claims. `owner`: of the key's bucket, nothing
  // if the worker does not serve the key (any more).
  std::optional<EntryClaims> on_install(const StagedValue& value, const std::optional<BucketOwner>& owner,
                                        const EntryClaims* existing);
  void count_no_room() { staged_.count(StagedEnd::kNoRoom); }
  bool is_staged(uint64_t key_hash, std::string_view key) const { return staged_.contains(key_hash, key); }

  // ---- the invalidator's commands
  const ShardTide* find_shard(ShardId shard) const;                                      // nullptr: never heard of
  TideAdmission succeed(ShardId shard, DbEpoch prev, DbEpoch db_epoch, Lsn switch_lsn);  // EPOCH
  bool fence_all(ShardId shard, DbEpoch db_epoch, Lsn lsn);                              // false: the epoch is old
  bool has_room_for_shard(ShardId shard) const;
  TideAdmission admit(ShardId shard, const BatchHead& head);  // counts gaps
  // MOVED, of a batch that was admitted: the shard's ownership of the bucket under a smaller epoch has ended.
  void bucket_moved(Bucket bucket, BucketEpoch epoch, ShardId shard, Lsn lsn);
  void advance(ShardId shard, const BatchHead& head, size_t keys, Instant now);
  TideAdmission fence(ShardId shard, const FenceMessage& message, Instant now);
  std::vector<ShardId> joined_shards() const;      // ascending
  void record_lag(int64_t lag_us, bool replayed);  // commit -> applied here

  // Stamps: this worker's steady clock, shifted by its incarnation so that another run's stamps never pass for its own.
  uint64_t stamp(Instant now) const;
  std::optional<Instant> instant_of_stamp(uint64_t stamp, Instant now) const;  // nothing: not ours, or of the future

  // Bounded housekeeping; call it every turn or every 100 ms.
  void tick(Instant now);

  // ---- looking at it
  const TombstoneRecord* first_tombstone(uint64_t key_hash) const { return tombstones_.first(key_hash); }
  const TombstoneRecord* next_tombstone(const TombstoneRecord& record) const { return tombstones_.next(record); }
  bool is_leased(uint64_t key_hash, Instant now) const { return leases_.is_leased(key_hash, now); }

  struct Counters {
    std::array<uint64_t, kFillVerdictCount> fills{};  // by FillVerdict
    uint64_t hits_revalidate = 0;                     // entries found that were no longer valid
    uint64_t hits_behind_session = 0;                 // valid, but too old for the session that asked
    uint64_t invalidated_keys = 0, invalidated_entries = 0, kept_entries = 0;  // kept: provably contained the commit
    uint64_t batches = 0, batch_gaps = 0, fences = 0, fence_gaps = 0, joins = 0, foreign_echoes = 0;
    uint64_t successions = 0, successions_refused = 0;  // EPOCH
    uint64_t lost_positions = 0;                        // sessions that asked for what a fail-over may have lost
    uint64_t buckets_moved = 0;                         // MOVED that was news
    uint64_t bypassed_moved = 0;                        // GETL of a bucket whose ownership here has ended
  };
  struct Gauges {
    size_t tombstones = 0, tombstone_hints = 0, tombstone_bytes = 0, tombstone_bytes_max = 0;
    uint64_t tombstone_overflows = 0, leases_ended_early = 0;
    size_t leases = 0, leases_max = 0, shards = 0, moved_buckets = 0;
    size_t staged = 0, staged_max = 0, staged_bytes = 0, staged_bytes_max = 0;
    uint64_t staged_parked = 0;
    std::array<uint64_t, kStagedEndCount> staged_ended{};  // by StagedEnd
  };
  const Counters& counters() const { return counters_; }
  Counters& counters() { return counters_; }
  Gauges gauges() const;
  const Histogram& lag_us() const { return lag_us_; }                    // every commit applied from the live stream
  const Histogram& lag_replayed_us() const { return lag_replayed_us_; }  // and those sent again from the journal

 private:
  ShardTide* tide(ShardId shard);
  uint64_t stamp_origin() const;
  bool contains(const EntryClaims& claims, const Commit& commit) const;
  StagedJudgement judge_parked(const StagedValue& value) const;
  void rejudge_staged(uint64_t key_hash);
  void drop_contained(uint64_t key_hash);

  FreshnessLimits limits_;
  Ingredients ingredients_;
  std::map<ShardId, ShardTide> shards_;
  Tombstones tombstones_;
  FillLeases leases_;
  StagedValues staged_;
  MovedBuckets moved_;
  Counters counters_;
  Histogram lag_us_, lag_replayed_us_;
};

}  // namespace tidemark::cacheserver
