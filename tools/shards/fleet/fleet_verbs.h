// The verbs about the fleet of shards as a whole: migrate, plan, rebalance, sql, add-shard, remove-shard, references,
// doctor.
#pragma once

#include <memory>
#include <optional>

#include "base/io/options.h"

namespace tidemark::shards {

class FleetVerbs {
 public:
  explicit FleetVerbs(io::Options& options);  // declares them
  ~FleetVerbs();
  // After the command line was read. The exit code, if one of them was chosen.
  std::optional<int> run() const;

 private:
  struct Arguments;
  std::unique_ptr<Arguments> arguments_;
};

}  // namespace tidemark::shards
