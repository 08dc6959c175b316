// Fill leases of one worker: after a miss, one client loads and fills; the others wait.
//
// One lease per key, named uniquely per grant, for 10 s on the node's clock. An invalidation kills it. Leases keep
// herds away from the database; that no stale value is installed is the proof's business (fill_rule.h), not theirs.
//
// The table is bounded: when full, the oldest lease ends early (its holder's fill is refused, nothing else).
// Keys are known by hash64: two keys of one hash share a lease, so one of them is loaded without filling.
// Threads: one worker's. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/proof/lsn.h"
#include "cacheserver/freshness/hash_index.h"
#include "cacheserver/freshness/lease.h"

namespace tidemark::cacheserver {

class FillLeases {
 public:
  struct Options {
    Duration life = std::chrono::seconds(10);
    size_t leases_max = 65536;
    Duration busy_retry_min = std::chrono::milliseconds(2);
    Duration busy_retry_max = std::chrono::milliseconds(100);
  };
  struct Grant {
    std::optional<LeaseId> lease;  // empty: another client holds it
    Duration retry_after{};        // then: about as long as the holder has already taken, within the options' limits
  };

  FillLeases(FreshnessIdentity identity, Options options);

  Grant grant(uint64_t key_hash, ShardId shard, Instant now);
  bool is_current(uint64_t key_hash, const LeaseId& lease, Instant now) const;
  bool is_leased(uint64_t key_hash, Instant now) const;

  bool kill(uint64_t key_hash);    // true if there was one
  void kill_shard(ShardId shard);  // O(1): every lease granted for it so far
  // The worker's group epoch or slot table changed: every lease granted so far is dead.
  void set_identity(FreshnessIdentity identity);
  const FreshnessIdentity& identity() const { return identity_; }

  void expire(Instant now, size_t work_max);  // ends leases whose time has come
  size_t size() const { return used_; }
  uint64_t ended_early() const { return ended_early_; }  // for want of room

 private:
  struct Node {
    uint64_t key_hash = 0;
    uint64_t counter = 0;
    Instant granted;
    ShardId shard = 0;
    uint32_t newer = kNone, older = kNone;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  bool is_alive(const Node& node, Instant now) const;
  void remove(uint32_t at);

  FreshnessIdentity identity_;
  Options options_;
  uint64_t counter_ = 0;
  std::vector<Node> nodes_;
  uint32_t free_ = kNone, oldest_ = kNone, newest_ = kNone;
  size_t used_ = 0;
  uint64_t ended_early_ = 0;
  HashIndex index_;
  std::unordered_map<ShardId, uint64_t> killed_up_to_;  // leases of the shard with a counter up to this are dead
};

}  // namespace tidemark::cacheserver
