// What a shard says when it refuses a routed write: SQLSTATE SH001 with DETAIL "state=moved epoch=3 forward=1".
//
// The pool hands it on as kFailedPrecondition whose message ends with that detail; refusal_of() reads it back.
// Threads: values. I/O: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/proof/lsn.h"
#include "base/result.h"

namespace tidemark::shardrouter {

enum class BucketState : uint8_t { kOwned, kFenced, kMoved, kImporting, kAborted, kAbsent };

std::string_view to_string(BucketState state);
std::optional<BucketState> parse_bucket_state(std::string_view text);

struct BucketRefusal {
  BucketState state = BucketState::kAbsent;
  BucketEpoch epoch = 0;           // the shard's own
  std::optional<ShardId> forward;  // where the bucket went or goes

  bool operator==(const BucketRefusal&) const = default;
  std::string to_string() const;
  static std::optional<BucketRefusal> parse(std::string_view detail);  // exactly the DETAIL
};

// The refusal in an error of the pool; nothing if the error is another one.
std::optional<BucketRefusal> refusal_of(const Error& error);

}  // namespace tidemark::shardrouter
