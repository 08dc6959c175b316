#include "services/session/sweeper.h"

#include <utility>

namespace tidemark::session {

struct Sweeper::Run {
  UnixMillis now;
  client::Callback<SweepSummary> done;
  size_t shards_left = 0;
  SweepSummary summary;
};

void Sweeper::sweep(UnixMillis now, client::Callback<SweepSummary> done) {
  const std::vector<ShardId> shards = store_->shards();
  if (shards.empty()) return done({});
  auto run =
      std::make_shared<Run>(Run{.now = now, .done = std::move(done), .shards_left = shards.size(), .summary = {}});
  for (ShardId shard : shards) next_batch(run, shard, 0);
}

void Sweeper::next_batch(std::shared_ptr<Run> run, ShardId shard, int batches) {
  if (batches == kBatchesPerShardMax) {
    run->summary.is_behind = true;
    return end_shard(*run);
  }
  store_->find_ended(shard, run->now, kBatchRowsMax, kStatementTimeout,
                     [self = shared_from_this(), run, shard, batches](Result<std::vector<EndedSession>> ended) {
                       if (!ended) return self->fail_shard(*run, ended.error());
                       if (ended->empty()) return self->end_shard(*run);
                       const bool is_full = ended->size() == kBatchRowsMax;
                       self->store_->delete_ended(std::move(*ended), run->now, kStatementTimeout,
                                                  [self, run, shard, batches, is_full](auto deleted) {
                                                    self->on_deleted(run, shard, batches, is_full, std::move(deleted));
                                                  });
                     });
}

void Sweeper::on_deleted(std::shared_ptr<Run> run, ShardId shard, int batches, bool is_full,
                         Result<std::optional<int64_t>> deleted) {
  if (!deleted) return fail_shard(*run, deleted.error());
  if (!*deleted) {
    ++metrics_->batches_busy;
    return end_shard(*run);
  }
  ++metrics_->batches_ok;
  metrics_->swept += static_cast<uint64_t>(**deleted);
  run->summary.deleted += **deleted;
  // Nothing deleted of a full batch: somebody else was there first, and the next find would be as futile.
  if (!is_full || **deleted == 0) return end_shard(*run);
  next_batch(std::move(run), shard, batches + 1);
}

void Sweeper::fail_shard(Run& run, const Error& error) {
  ++metrics_->batches_failed;
  ++run.summary.shards_failed;
  run.summary.error = error;
  end_shard(run);
}

void Sweeper::end_shard(Run& run) {
  if (--run.shards_left > 0) return;
  metrics_->sweep_is_behind = run.summary.is_behind;
  run.done(std::move(run.summary));
}

}  // namespace tidemark::session
