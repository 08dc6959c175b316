// Tombstones: "this key was invalidated by transaction (end_lsn, xid)", kept long enough to beat a late fill.
//
// A key has one record per domain (p, e, be): positions and xids of two databases cannot be compared. A record holds
// the four newest commits and, for those pushed out, the greatest LSN and the greatest xid. Commits known only from a
// writer's INVAL carry an upper bound of their end; when the stream brings the same xid with its exact end, that stays,
// whatever INVALs follow. A record also remembers the stage that its newest commit of the stream named, if it did: a
// STAGE may come after it.
//
// Records stand in the order of their newest commit, per shard. collect() takes the oldest that the shard's floor
// covers, so each call's work is bounded. The memory is bounded too: when the limit is reached the oldest record is
// *overflowed*: the caller raises the shard's floor to it instead of forgetting it. Records known from INVALs alone may
// take at most half of the memory (has_room_for_hints), so that there is always an overflow victim that the stream has
// confirmed.
//
// Keys are known by hash64: two keys of one hash share a record, which can only refuse more.
// Threads: one worker's. I/O: none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/proof/lsn.h"
#include "cacheserver/freshness/hash_index.h"

namespace tidemark::cacheserver {

// Where a position or an xid means something.
struct CommitDomain {
  ShardId shard = 0;
  DbEpoch db_epoch = 0;
  BucketEpoch bucket_epoch = 0;  // 0: the key's bucket was not this shard's by the node's topology; no proof has it
  bool operator==(const CommitDomain&) const = default;
};

struct Tombstone {
  Lsn end_lsn;
  Xid xid = 0;
  bool operator==(const Tombstone&) const = default;
};

inline constexpr size_t kTombstonesPerKey = 4;

struct TombstoneRecord {
  uint64_t key_hash = 0;
  CommitDomain domain;
  uint8_t count = 0;
  bool has_overflow = false;
  bool is_hint = false;                             // known from INVAL only
  uint8_t confirmed = 0;                            // bit i: newest[i] was brought by the stream, its end is exact
  std::array<Tombstone, kTombstonesPerKey> newest;  // in the order of arrival
  Tombstone overflow;                 // the greatest LSN and the greatest xid of those pushed out: not one commit's
  Instant arrived;                    // of the newest
  uint32_t next_domain = UINT32_MAX;  // place of the same key's record of another domain
  Xid staged_xid = 0;                 // the newest commit of the stream, if it named a stage; 0: it did not
  uint64_t stage = 0;

  bool is_confirmed(size_t i) const { return (confirmed >> i & 1) != 0; }
  Lsn greatest_lsn() const;
};

class Tombstones {
 public:
  struct Options {
    size_t bytes_max = 64u << 20;
    Duration retention = std::chrono::seconds(60);  // a record younger than this is not looked at by collect()
  };
  struct Overflow {  // a record that was dropped for want of memory
    ShardId shard = 0;
    DbEpoch db_epoch = 0;
    Lsn lsn;
  };

  explicit Tombstones(Options options);

  // Records a commit of the stream (is_hint false) or of an INVAL. `covered`: the shard's floor, up to which nothing
  // need be kept. `stage`: what the stream's commit named for the key. Returns the record that had to go, if the memory
  // was full.
  std::optional<Overflow> add(uint64_t key_hash, const CommitDomain& domain, const Tombstone& commit, bool is_hint,
                              Lsn covered, Instant now, std::optional<uint64_t> stage = std::nullopt);
  // Has the stream brought this commit on the key (and is it remembered)? Then an INVAL of it is no news.
  // knows(): or only a writer has told of it.
  bool is_confirmed(uint64_t key_hash, const CommitDomain& domain, Xid xid) const;
  bool knows(uint64_t key_hash, const CommitDomain& domain, Xid xid) const;
  bool has_room_for_hints(size_t keys) const;

  // Drops at most `work_max` records of the shard that its floor covers (end_lsn <= covered, or of an older db_epoch).
  // Returns how many went.
  size_t collect(ShardId shard, DbEpoch db_epoch, Lsn covered, Instant now, size_t work_max);

  // The key's records, newest first: for (auto* r = first(h); r; r = next(*r)). Valid until the next change.
  const TombstoneRecord* first(uint64_t key_hash) const;
  const TombstoneRecord* next(const TombstoneRecord& record) const;

  size_t size() const { return used_; }
  size_t hints() const { return hints_; }
  size_t bytes() const;
  size_t records_max() const { return records_max_; }
  uint64_t overflows() const { return overflows_; }

 private:
  struct Node {
    TombstoneRecord record;
    uint32_t newer = kNone, older = kNone;
  };
  struct List {
    uint32_t oldest = kNone, newest = kNone;
  };
  struct ShardLists {
    List confirmed, hinted;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  Node* find(uint64_t key_hash, const CommitDomain& domain);
  std::optional<bool> confirmation(uint64_t key_hash, const CommitDomain& domain, Xid xid) const;
  uint32_t allocate();
  void release(uint32_t at);
  List& list_of(const TombstoneRecord& record);
  void link_newest(uint32_t at);
  void unlink(uint32_t at);
  std::optional<Overflow> make_room(ShardId preferred);

  Options options_;
  size_t records_max_;
  std::vector<Node> nodes_;
  uint32_t free_ = kNone;
  size_t used_ = 0, hints_ = 0;
  uint64_t overflows_ = 0;
  HashIndex index_;
  std::unordered_map<ShardId, ShardLists> lists_;
};

}  // namespace tidemark::cacheserver
