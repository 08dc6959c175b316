// Drives the migration machine over real shards: performs each action, tells it what happened, and says so on the way.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/shards/schema/migrating_shard.h"

namespace tidemark::shards {

// kNotFound naming the directory; files that do not end in .sql are left alone.
Result<std::vector<shardrouter::Migration>> read_migration_directory(const std::string& directory);

struct MigrationListener {
  std::function<void(const shardrouter::MigrationStep&, uint64_t rows)> on_step_done;
  std::function<void(const shardrouter::MigrationStep&, const shardrouter::migration::Machine::Progress&)> on_progress;
  std::function<void(const shardrouter::MigrationStep&, const std::string&)> on_wait;
};

class MigrationRun {
 public:
  MigrationRun(const std::vector<shardrouter::Migration>& migrations, std::vector<MigratingShard>& shards,
               std::vector<SourceTable> families, MigrationListener listener);

  Status run(std::vector<shardrouter::MigrationStep> steps, shardrouter::BackfillPace::Limits limits);

 private:
  using Event = shardrouter::migration::Event;
  Event perform(const shardrouter::migration::RunScript& action);
  Event perform(const shardrouter::migration::CountRemaining& action);
  Event perform(const shardrouter::migration::ReadBuckets& action);
  Event perform(const shardrouter::migration::RunBatch& action);
  Event perform(const shardrouter::migration::ReadLag& action);
  Event perform(const shardrouter::migration::MarkBackfilled& action);
  Event perform(const shardrouter::migration::Wait& action);
  Event perform(const shardrouter::migration::Finished&) { return shardrouter::migration::Done{}; }  // never asked for
  Event perform(const shardrouter::migration::Stopped&) { return shardrouter::migration::Done{}; }

  Event failed(const shardrouter::MigrationStep& step, const Error& error);
  MigratingShard& shard(ShardId id);
  const shardrouter::Migration& migration(const std::string& id) const;
  shardrouter::Backfill backfill(const std::string& id) const;

  const std::vector<shardrouter::Migration>& migrations_;
  std::vector<MigratingShard>& shards_;
  std::vector<SourceTable> families_;
  MigrationListener listener_;
  shardrouter::MigrationStep at_;
};

}  // namespace tidemark::shards
