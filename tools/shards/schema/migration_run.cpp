#include "tools/shards/schema/migration_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/invariant.h"

namespace tidemark::shards {

using namespace shardrouter;
using namespace shardrouter::migration;

Result<std::vector<Migration>> read_migration_directory(const std::string& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (entry.path().extension() == ".sql") paths.push_back(entry.path());
  if (error) return fail(ErrorCode::kNotFound, fmt::format("directory {}: {}", directory, error.message()));
  std::ranges::sort(paths);
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& path : paths) {
    auto text = read_text_file(path);
    if (!text) return std::unexpected(text.error());
    files.emplace_back(path.filename().string(), std::move(*text));
  }
  return read_migrations(files);
}

MigrationRun::MigrationRun(const std::vector<Migration>& migrations, std::vector<MigratingShard>& shards,
                           std::vector<SourceTable> families, MigrationListener listener)
    : migrations_(migrations), shards_(shards), families_(std::move(families)), listener_(std::move(listener)) {}

Status MigrationRun::run(std::vector<MigrationStep> steps, BackfillPace::Limits limits) {
  const std::vector<MigrationStep> all = steps;
  Machine machine(std::move(steps), limits);
  Action action = machine.begin();
  while (true) {
    if (std::holds_alternative<Finished>(action)) return {};
    if (const auto* stopped = std::get_if<Stopped>(&action)) return std::unexpected(stopped->error);
    const auto before = machine.progress();
    at_ = all[before.steps_done];
    const Event event = std::visit([this](const auto& one) { return perform(one); }, action);
    action = machine.on(event);
    const auto after = machine.progress();
    if (after.steps_done != before.steps_done)
      listener_.on_step_done(at_, before.rows_done);
    else if (std::holds_alternative<RunBatch>(action))
      listener_.on_progress(at_, after);
  }
}

MigratingShard& MigrationRun::shard(ShardId id) {
  const auto found = std::ranges::find(shards_, id, &MigratingShard::id);
  INVARIANT(found != shards_.end(), id);
  return *found;
}

const Migration& MigrationRun::migration(const std::string& id) const {
  const auto found = std::ranges::find(migrations_, id, &Migration::id);
  INVARIANT(found != migrations_.end(), id);
  return *found;
}

Backfill MigrationRun::backfill(const std::string& id) const {
  return read_backfill(migration(id).backfill->statements.front()).value();  // was checked when the file was read
}

Event MigrationRun::failed(const MigrationStep& step, const Error& error) {
  // A lock time-out and a deadlock leave nothing behind.
  if (error.code == ErrorCode::kAborted) return Busy{shard(step.shard).oldest_transaction()};
  return Failed{error};
}

Event MigrationRun::perform(const RunScript& action) {
  const auto original = std::ranges::min_element(shards_, {}, &MigratingShard::id)->id();
  const Status done =
      shard(action.step.shard).run_script(migration(action.step.id), action.step.phase, original, families_);
  if (!done) return failed(action.step, done.error());
  return Done{};
}

Event MigrationRun::perform(const CountRemaining& action) {
  const auto rows = shard(action.step.shard).count_remaining(backfill(action.step.id));
  if (!rows) return failed(action.step, rows.error());
  return Remaining{*rows};
}

Event MigrationRun::perform(const ReadBuckets& action) {
  auto buckets = shard(action.step.shard).read_buckets(backfill(action.step.id));
  if (!buckets) return failed(action.step, buckets.error());
  return std::move(*buckets);
}

Event MigrationRun::perform(const RunBatch& action) {
  MigratingShard& at = shard(action.step.shard);
  const auto began = std::chrono::steady_clock::now();
  const auto answer = at.run_batch(migration(action.step.id), backfill(action.step.id), action.request);
  if (!answer) return failed(action.step, answer.error());
  if (!*answer) return BucketLost{};
  BatchDone done{**answer, std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began), 0};
  if (done.answer.rows_chosen == 0) return done;
  const auto lag = at.lag_bytes();
  if (!lag) return failed(action.step, lag.error());
  done.lag_bytes = *lag;
  return done;
}

Event MigrationRun::perform(const ReadLag& action) {
  const auto lag = shard(action.step.shard).lag_bytes();
  if (!lag) return failed(action.step, lag.error());
  return LagRead{*lag};
}

Event MigrationRun::perform(const MarkBackfilled& action) {
  const Status done = shard(action.step.shard).mark_backfilled(migration(action.step.id));
  if (!done) return failed(action.step, done.error());
  return Done{};
}

Event MigrationRun::perform(const Wait& action) {
  if (!action.reason.empty()) listener_.on_wait(at_, action.reason);
  std::this_thread::sleep_for(action.how_long);
  return Waited{};
}

}  // namespace tidemark::shards
