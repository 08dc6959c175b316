// Cached<V>: an answer of a repository, with where it came from and how old it can be.
//
// The promise: every commit that happened before (start of the request - staleness_bound) is in the answer. The bound
// is counted on this machine's steady clock from moments that lie before the answer's snapshot; no two clocks are
// compared.
//
//   loaded from the primary   bound 0 ms                  loaded from a replica   age of a position it had replayed
//   from a cache node         what the node promised      joined a load that began before you asked: that much more
//
// Threads: immutable; the value is shared, copying is a reference count.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/invariant.h"

namespace tidemark::client {

enum class Origin : uint8_t { kNode, kReplica, kPrimary };

inline std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::kNode:
      return "node";
    case Origin::kReplica:
      return "replica";
    case Origin::kPrimary:
      return "primary";
  }
  return "primary";
}

inline constexpr int64_t kStalenessUnknown = -1;

template <typename V>
class Cached {
 public:
  Cached(std::shared_ptr<const V> value, Origin origin, int64_t staleness_ms, Instant as_of)
      : value_(std::move(value)), origin_(origin), staleness_ms_(staleness_ms), as_of_(as_of) {}

  // Absent is proven: the database says that there is no row. It is never "could not ask".
  bool has_value() const { return value_ != nullptr; }
  bool is_absent() const { return value_ == nullptr; }
  const V& value() const {
    INVARIANT(value_ != nullptr, "an absent answer has no value: ask is_absent() first");
    return *value_;
  }
  const std::shared_ptr<const V>& shared() const { return value_; }

  Origin origin() const { return origin_; }
  // Milliseconds, rounded up; kStalenessUnknown only if the caller asked without a max_stale.
  int64_t staleness_ms() const { return staleness_ms_; }
  // Every commit before this point of the process's steady clock is in the answer; Instant{} if unknown.
  Instant as_of() const { return as_of_; }

 private:
  std::shared_ptr<const V> value_;
  Origin origin_;
  int64_t staleness_ms_;
  Instant as_of_;
};

}  // namespace tidemark::client
