// Deletes sessions some time after their end, in batches, on every shard; reading never deletes.
//
//   every shard by itself:   find up to kBatchRowsMax ended rows -> delete them in one guarded transaction -> again,
//                            until there are fewer, another sweeper is at work, or kBatchesPerShardMax were done
//
// An advisory lock lets one sweeper of all services work on a shard at a time; a shard that is down holds up no other.
// Threads: sweep() from any thread, one at a time; `done` and everything else on the store's loop. I/O: the store's.
#pragma once

#include <memory>

#include "services/session/session_metrics.h"
#include "services/session/session_store.h"

namespace tidemark::session {

struct SweepSummary {
  int64_t deleted = 0;
  int shards_failed = 0;
  bool is_behind = false;  // the limit ended it, not the lack of ended sessions
  Error error{};           // of a failed shard
};

class Sweeper : public std::enable_shared_from_this<Sweeper> {
 public:
  static constexpr size_t kBatchRowsMax = 256;  // hence as many guards and locks at most
  static constexpr int kBatchesPerShardMax = 40;
  static constexpr Duration kStatementTimeout = std::chrono::seconds(5);

  Sweeper(std::shared_ptr<SessionStore> store, std::shared_ptr<SessionMetrics> metrics)
      : store_(std::move(store)), metrics_(std::move(metrics)) {}

  // `now`: what has ended by then, and kSweepDelay ago, goes.
  void sweep(UnixMillis now, client::Callback<SweepSummary> done);

 private:
  struct Run;
  void next_batch(std::shared_ptr<Run> run, ShardId shard, int batches);
  void on_deleted(std::shared_ptr<Run> run, ShardId shard, int batches, bool is_full,
                  Result<std::optional<int64_t>> deleted);
  void end_shard(Run& run);
  void fail_shard(Run& run, const Error& error);

  std::shared_ptr<SessionStore> store_;
  std::shared_ptr<SessionMetrics> metrics_;
};

}  // namespace tidemark::session
