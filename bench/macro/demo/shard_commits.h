// The order of commits of every shard, each through a slot of the oracle's own.
//
// A row lies on the shard of its bucket, so the histories of rows never mix and the shards' orders are put one after
// the other. A row committed on a shard that does not own its bucket is counted: nothing of the system would look for
// it there. Threads: as CommitReader. Limits: CommitReader's, per shard; finish() waits at most `timeout` for all.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/slot.h"
#include "bench/macro/io/commit_reader.h"

namespace tidemark::bench {

class ShardCommits {
 public:
  struct Options {
    std::vector<std::string> conninfos;       // of the primaries, by shard
    std::vector<CommitStream::Table> tables;  // the first one's keys are natural keys
    std::function<size_t(Bucket)> shard_of;   // index into conninfos
  };
  static Result<ShardCommits> create(Options options);

  // Every commit acknowledged before this call. To be called once.
  Result<std::vector<RowCommit>> finish(std::chrono::milliseconds timeout);
  uint64_t misplaced() const { return misplaced_; }  // rows of the first table; after finish()
  uint64_t commits() const;                          // so far

 private:
  ShardCommits() = default;

  std::vector<std::unique_ptr<CommitReader>> readers_;
  std::function<size_t(Bucket)> shard_of_;
  uint64_t misplaced_ = 0;
};

}  // namespace tidemark::bench
