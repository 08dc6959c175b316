// The verbs of tidemark-shards that have to do with moves of buckets.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/io/options.h"
#include "base/result.h"
#include "base/topology/topology.h"

namespace tidemark::shards {

// One move as the verb does it, pre-flight and guardian included; false: it was aborted. For whoever makes many.
struct OneMove {
  std::string shards_file;
  std::string topology;
  Bucket first = 0;
  Bucket last = 0;
  ShardId to = 0;
  uint64_t bytes_per_second = 0;  // 0: as fast as it goes
  std::string format = "table";
};
Result<bool> run_one_move(const OneMove& one);

class MoveVerbs {
 public:
  explicit MoveVerbs(io::Options& options);  // declares them
  ~MoveVerbs();
  // The exit code, if one of them was chosen: 0 done; 1 failed, and said; 3 the move was aborted.
  std::optional<int> run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark::shards
