// Counts the changes of each bucket in a shard's stream of changes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>

#include "base/result.h"
#include "base/slot.h"

namespace tidemark::shards {

class WriteCounter {
 public:
  // One pgoutput message. What belongs to no bucket is not counted.
  Status add(std::string_view message);
  uint64_t count(Bucket bucket) const { return counts_[bucket]; }

 private:
  void count_text(std::string_view text);
  std::map<uint32_t, size_t> bucket_columns_;  // relation -> place of the column "bucket"
  std::array<uint64_t, kBucketCount> counts_{};
};

}  // namespace tidemark::shards
