// The verbs of tidemark-shards that have to do with moves of buckets.
#pragma once

#include <memory>
#include <optional>

#include "base/io/options.h"

namespace tidemark::shards {

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
