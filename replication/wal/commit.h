// One committed transaction as the cache sees it: which keys it touched.
//
// `invalidates_all` says that the keys cannot be told (TRUNCATE, a family whose keys cannot be computed, too many
// keys): every worker is then brought up with FENCEALL instead, and `keys` is empty.
// Threads: a value; a published commit never changes. I/O: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/proof/lsn.h"
#include "base/slot.h"

namespace tidemark::replication {

struct InvalidatedKey {
  std::string key;
  Slot slot = 0;
  std::optional<uint64_t> stage{};  // named by a stage message that is the key's last event in the transaction
  bool operator==(const InvalidatedKey&) const = default;
};

// The shard owns the bucket no more under a smaller epoch.
struct MovedBucket {
  Bucket bucket = 0;
  BucketEpoch epoch = 0;
  bool operator==(const MovedBucket&) const = default;
};

struct Commit {
  Xid xid = 0;
  Lsn end_lsn;
  int64_t commit_us = 0;  // Unix microseconds, for the lag metric only
  bool invalidates_all = false;
  std::vector<InvalidatedKey> keys;  // ascending, without repeats
  std::vector<MovedBucket> moved{};  // ascending by bucket, without repeats

  bool operator==(const Commit&) const = default;

  size_t bytes() const {
    size_t total = sizeof(Commit) + moved.size() * sizeof(MovedBucket);
    for (const InvalidatedKey& key : keys) total += sizeof(InvalidatedKey) + key.key.size();
    return total;
  }
};

}  // namespace tidemark::replication
