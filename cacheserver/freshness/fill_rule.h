// The fill rule: may this value be installed under this key? A pure function; PROTOCOL.md (SETV) states it in words.
//
// In this order: (1) lease, (2) epochs, (3) tombstones, (4) floor, (5) an entry that contains more stays.
// What it keeps true: an entry never lacks a commit whose invalidation this worker has applied.
//
//   T (xid 725, end 0/500) was invalidated here.  Proof S:0:1:1:725:726:725:0/600  does not see 725  -> kOlder 0/500
//                                                 Proof S:0:1:1:726:726::0/600      sees it           -> kAccepted
//                                                 Proof R:0:1:1:0/4FF               replayed less     -> kOlder 0/500
//
// TIDEMARK_TEST_NO_PROOF_RULE compiles a rule of leases alone, for the end-to-end tests that show what the proofs are
// good for; no target of the product defines it.
// Threads: pure. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/proof/proof.h"
#include "base/topology/topology.h"
#include "cacheserver/freshness/ingredients.h"
#include "cacheserver/freshness/tombstones.h"

namespace tidemark::cacheserver {

// What every fill must contain at least. No snapshot: no S proof can show it yet (the shard joined, or tombstones
// overflowed, and nothing as late has settled since).
struct Floor {
  Lsn lsn;
  std::optional<PgSnapshot> snapshot;
  bool operator==(const Floor&) const = default;
};

enum class FillVerdict : uint8_t { kAccepted, kKept, kLease, kEpoch, kOlder, kFloor };
inline constexpr size_t kFillVerdictCount = 6;
std::string_view to_string(FillVerdict verdict);  // "accepted", "kept", "lease", "epoch", "older", "floor"

struct FillQuestion {
  bool lease_is_current = false;
  const Proof& proof;
  BucketOwner owner;     // of the key's bucket, by this node's topology
  DbEpoch db_epoch = 0;  // this node's, of owner.shard
  const Tombstones& tombstones;
  uint64_t key_hash = 0;
  const Floor& floor;              // of owner.shard
  Lsn proof_lo;                    // what the proof's value contains for certain, see ShardTide::lo_of
  std::optional<Lsn> existing_lo;  // of a valid entry of the same (p, e, be)
};

struct FillJudgement {
  FillVerdict verdict = FillVerdict::kLease;
  Lsn need;  // kOlder, kFloor: the LSN a replica must have replayed; 0/0 if no LSN of this shard can help
  bool operator==(const FillJudgement&) const = default;
};

FillJudgement judge_fill(const FillQuestion& question, const Ingredients& ingredients = {});

}  // namespace tidemark::cacheserver
