#include "shardrouter/schema/migration_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemark::shardrouter {
namespace {

using Kind = MigrationRequest::Kind;

class Planner {
 public:
  Planner(const std::vector<Migration>& migrations, const std::vector<ShardSituation>& shards,
          const MigrationRequest& request)
      : migrations_(migrations), request_(request) {
    for (const ShardSituation& shard : shards) shards_.push_back(&shard);
    // Targets of live moves first; the order of ids otherwise.
    std::ranges::sort(shards_, [](const ShardSituation* a, const ShardSituation* b) {
      const bool a_first = a->buckets_importing > 0, b_first = b->buckets_importing > 0;
      return a_first != b_first ? a_first : a->shard < b->shard;
    });
  }

  Result<std::vector<MigrationStep>> run() {
    if (shards_.empty()) return fail(ErrorCode::kInvalidArgument, "no shard is given");
    if (!request_.id.empty() && !find_migration(request_.id))
      return fail(ErrorCode::kNotFound, fmt::format("migration {} is not in the directory", request_.id));
    if (request_.id.empty() && (request_.kind == Kind::kContract || request_.kind == Kind::kUndo))
      return fail(ErrorCode::kInvalidArgument, "contract and undo take one migration: name it");
    check_ledgers();
    if (reasons_.empty()) add_steps();
    if (reasons_.empty()) return std::move(steps_);
    std::string all;
    for (const std::string& reason : reasons_) all += "\n  " + reason;
    return fail(ErrorCode::kFailedPrecondition, "refused:" + all);
  }

 private:
  const Migration* find_migration(const std::string& id) const {
    const auto found = std::ranges::find(migrations_, id, &Migration::id);
    return found == migrations_.end() ? nullptr : &*found;
  }
  void refuse(std::string reason) { reasons_.push_back(std::move(reason)); }

  void check_ledgers() {
    for (const ShardSituation* shard : shards_) {
      for (const LedgerEntry& entry : shard->ledger) {
        if (entry.state == LedgerEntry::State::kUndone) continue;
        const Migration* migration = find_migration(entry.id);
        const MigrationFile* file = migration ? migration->file(entry.phase) : nullptr;
        if (!file)
          refuse(fmt::format("shard {} has run {}.{}.sql, which the directory lacks: is it an older checkout?",
                             shard->shard, entry.id, to_string(entry.phase)));
        else if (file->checksum != entry.checksum)
          refuse(
              fmt::format("{} has changed since shard {} ran it (SHA-1 {:.10}…, then {:.10}…): restore it and write a "
                          "new migration",
                          file->name, shard->shard, file->checksum, entry.checksum));
      }
    }
  }

  void add_steps() {
    if (request_.kind == Kind::kCatchUp) return add_catch_up();
    for (const Migration& migration : migrations_) {
      if (!request_.id.empty() && migration.id != request_.id) continue;
      if (request_.kind == Kind::kExpand) add_expand(migration);
      if (request_.kind == Kind::kBackfill) add_backfill(migration);
      if (request_.kind == Kind::kContract) add_contract(migration);
      if (request_.kind == Kind::kUndo) add_undo(migration);
    }
  }

  bool is_anywhere(const std::string& id, Phase phase) const {
    return std::ranges::any_of(shards_, [&](const ShardSituation* shard) { return is_done(*shard, id, phase); });
  }
  bool is_everywhere(const std::string& id, Phase phase) const {
    return std::ranges::all_of(shards_, [&](const ShardSituation* shard) { return is_done(*shard, id, phase); });
  }

  void add_pending(const Migration& migration, Phase phase) {
    for (const ShardSituation* shard : shards_)
      if (!is_done(*shard, migration.id, phase))
        steps_.push_back({MigrationStep::Kind::kRun, shard->shard, migration.id, phase});
  }

  void add_expand(const Migration& migration) {
    if (!migration.expand) return;
    if (!request_.id.empty())
      for (const Migration& earlier : migrations_)
        if (earlier.number < migration.number && earlier.expand && !is_everywhere(earlier.id, Phase::kExpand))
          refuse(fmt::format("{} comes first: its expand is not on every shard", earlier.id));
    add_pending(migration, Phase::kExpand);
  }

  void add_backfill(const Migration& migration) {
    if (!migration.backfill) return;
    if (migration.expand && !is_everywhere(migration.id, Phase::kExpand)) {
      if (!request_.id.empty() || is_anywhere(migration.id, Phase::kExpand))
        refuse(fmt::format("{}: its expand is not on every shard: run expand first", migration.id));
      return;
    }
    if (is_anywhere(migration.id, Phase::kContract)) return;
    // One that is done is run again: rows that an old writer made meanwhile, or that a move brought, are caught up
    // with.
    for (const ShardSituation* shard : shards_)
      steps_.push_back({MigrationStep::Kind::kRun, shard->shard, migration.id, Phase::kBackfill});
  }

  void add_contract(const Migration& migration) {
    if (!migration.contract) return refuse(fmt::format("{} has no contract", migration.id));
    for (const ShardSituation* shard : shards_) {
      for (const Phase phase : {Phase::kExpand, Phase::kBackfill})
        if (migration.file(phase) && !is_done(*shard, migration.id, phase))
          refuse(fmt::format("shard {}: the {} of {} is not done: run {} first", shard->shard, to_string(phase),
                             migration.id, to_string(phase)));
      if (shard->buckets_importing + shard->buckets_leaving > 0)
        refuse(fmt::format("shard {}: {} buckets are in the middle of a move: wait for its end, or abort it",
                           shard->shard, shard->buckets_importing + shard->buckets_leaving));
      for (const Reader& reader : shard->readers)
        if (number_of_migration(reader.understands).value_or(0) < migration.number)
          refuse(fmt::format("shard {}: reader {} understands the schema up to {} only: upgrade or stop it first",
                             shard->shard, reader.name, reader.understands));
    }
    if (!reasons_.empty()) return;
    for (const ShardSituation* shard : shards_)
      if (migration.backfill && !is_done(*shard, migration.id, Phase::kContract))
        steps_.push_back({MigrationStep::Kind::kCheck, shard->shard, migration.id, Phase::kBackfill});
    add_pending(migration, Phase::kContract);
  }

  void add_undo(const Migration& migration) {
    if (!migration.undo) return refuse(fmt::format("{} has no undo", migration.id));
    if (migration.contract && is_anywhere(migration.id, Phase::kContract))
      refuse(fmt::format("{} is contracted: what the old code needed is gone", migration.id));
    for (const Migration& later : migrations_)
      if (later.number > migration.number && is_anywhere(later.id, Phase::kExpand))
        refuse(fmt::format("{} was expanded after it: undo that one first", later.id));
    for (const ShardSituation* shard : shards_) {
      if (shard->buckets_importing + shard->buckets_leaving > 0)
        refuse(
            fmt::format("shard {}: buckets are in the middle of a move: wait for its end, or abort it", shard->shard));
      for (const Reader& reader : shard->readers)
        if (number_of_migration(reader.understands).value_or(0) >= migration.number)
          refuse(fmt::format("shard {}: reader {} already relies on {}: stop it first", shard->shard, reader.name,
                             migration.id));
    }
    for (const ShardSituation* shard : shards_)
      if (is_done(*shard, migration.id, Phase::kExpand) || find_running(*shard, migration.id))
        steps_.push_back({MigrationStep::Kind::kRun, shard->shard, migration.id, Phase::kUndo});
  }

  static bool find_running(const ShardSituation& shard, const std::string& id) {
    const LedgerEntry* entry = find_entry(shard, id, Phase::kExpand);
    return entry && entry->state == LedgerEntry::State::kRunning;
  }

  void add_catch_up() {
    const ShardSituation* target = nullptr;
    std::vector<const ShardSituation*> others;
    for (const ShardSituation* shard : shards_) {
      if (shard->shard == request_.shard)
        target = shard;
      else
        others.push_back(shard);
    }
    if (!target) return refuse("the shard to catch up is not among those given");
    if (target->buckets_owned > 0)
      return refuse(
          fmt::format("shard {} owns {} buckets: only an empty shard is caught up as a whole; use expand, "
                      "backfill and contract",
                      target->shard, target->buckets_owned));
    for (const Migration& migration : migrations_)
      for (const Phase phase : {Phase::kExpand, Phase::kBackfill, Phase::kContract}) {
        const bool on_others = std::ranges::any_of(
            others, [&](const ShardSituation* shard) { return is_done(*shard, migration.id, phase); });
        if (migration.file(phase) && on_others && !is_done(*target, migration.id, phase))
          steps_.push_back({MigrationStep::Kind::kRun, target->shard, migration.id, phase});
      }
  }

  const std::vector<Migration>& migrations_;
  std::vector<const ShardSituation*> shards_;
  const MigrationRequest& request_;
  std::vector<std::string> reasons_;
  std::vector<MigrationStep> steps_;
};

}  // namespace

std::string_view to_string(LedgerEntry::State state) {
  switch (state) {
    case LedgerEntry::State::kRunning:
      return "running";
    case LedgerEntry::State::kDone:
      return "done";
    case LedgerEntry::State::kUndone:
      return "undone";
  }
  return "?";
}

std::optional<LedgerEntry::State> parse_ledger_state(std::string_view text) {
  using State = LedgerEntry::State;
  for (const State state : {State::kRunning, State::kDone, State::kUndone})
    if (to_string(state) == text) return state;
  return std::nullopt;
}

std::string to_string(const MigrationStep& step) {
  return fmt::format("shard {}: {} {}{}", step.shard, step.kind == MigrationStep::Kind::kCheck ? "check" : "run",
                     step.id,
                     step.kind == MigrationStep::Kind::kCheck ? " (no row may still need its backfill)"
                                                              : fmt::format(".{}", to_string(step.phase)));
}

const LedgerEntry* find_entry(const ShardSituation& shard, const std::string& id, Phase phase) {
  for (const LedgerEntry& entry : shard.ledger)
    if (entry.id == id && entry.phase == phase) return &entry;
  return nullptr;
}

bool is_done(const ShardSituation& shard, const std::string& id, Phase phase) {
  const LedgerEntry* entry = find_entry(shard, id, phase);
  return entry && entry->state == LedgerEntry::State::kDone;
}

Result<std::vector<MigrationStep>> plan_migration(const std::vector<Migration>& migrations,
                                                  const std::vector<ShardSituation>& shards,
                                                  const MigrationRequest& request) {
  return Planner(migrations, shards, request).run();
}

}  // namespace tidemark::shardrouter
