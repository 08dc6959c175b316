// Follows the order of commits of one Postgres server through a logical slot of its own, on its own thread.
//
// The slot is made by create(), so every commit from then on is read exactly once, in order; a server that restarts in
// between is asked again from where its slot stands, and transactions it sends a second time are told by their LSN.
// Threads: create(), finish() and the destructor by the owner; the reading thread is inside. Limits: kChangesPerRead
// per question, one question each kReadInterval; finish() waits at most `timeout` for the last commits. The slot holds
// WAL on the server while it is not read: the destructor drops it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/macro/commit_stream.h"

namespace tidemark::bench {

class CommitReader {
 public:
  static constexpr int kChangesPerRead = 20'000;
  static constexpr std::chrono::milliseconds kReadInterval{250};

  struct Options {
    std::string conninfo;  // of a role that may use replication slots
    std::string slot = "tidemark_oracle";
    CommitStream::Options stream;
  };
  static Result<std::unique_ptr<CommitReader>> create(Options options);
  virtual ~CommitReader() = default;

  // Every commit acknowledged before this call is in what it gives. To be called once; reading ends with it.
  virtual Result<std::vector<RowCommit>> finish(std::chrono::milliseconds timeout) = 0;
  virtual uint64_t commits() const = 0;  // so far
};

}  // namespace tidemark::bench
