// Walks through the steps of a migration: one action at a time, one event back.
//
//   steps (shard 0, 0001, expand) (shard 1, 0001, expand)
//   begin()           -> RunScript{shard 0}
//   on(Busy{"psql"})  -> Wait 50 ms        on(Waited) -> RunScript{shard 0} again, at most kScriptTriesMax times
//   on(Done)          -> RunScript{shard 1}   on(Done) -> Finished
//
// A backfill: count what remains; if that is nothing, mark it done; else one pass over the shard's buckets, batch by
// batch, and count again, at most kPassesMax passes. A bucket that was moved away in between is somebody else's now.
//
// Every action is one transaction that writes its own progress into the shard's ledger, so a process may die after any
// of them: the next one plans again from the ledgers and loses nothing. Invariant: after Finished or Stopped no event
// is taken. Threads: owned by one. I/O: none; time is told.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "shardrouter/schema/backfill_pace.h"
#include "shardrouter/schema/backfill_sql.h"
#include "shardrouter/schema/migration_plan.h"

namespace tidemark::shardrouter::migration {

// What the shell is to do.
struct RunScript {
  MigrationStep step;
};
struct CountRemaining {
  MigrationStep step;
};
struct ReadBuckets {  // those the shard owns and that hold rows which still need it
  MigrationStep step;
};
struct RunBatch {
  MigrationStep step;
  BatchRequest request;
};
struct ReadLag {  // of the shard's replicas and of the invalidator
  MigrationStep step;
};
struct MarkBackfilled {
  MigrationStep step;
};
struct Wait {
  Duration how_long{0};
  std::string reason;  // empty: the pace
};
struct Finished {};
struct Stopped {
  Error error;
};
using Action =
    std::variant<RunScript, CountRemaining, ReadBuckets, RunBatch, ReadLag, MarkBackfilled, Wait, Finished, Stopped>;
std::string to_string(const Action& action);

// What happened.
struct Done {};  // RunScript, MarkBackfilled
struct Busy {
  std::string holder;
};  // a lock was not to be had in time; nothing was done
struct Failed {
  Error error;
};  // nothing was done, or it is unknown
struct Remaining {
  uint64_t rows = 0;
};
struct BucketList {
  bool has_buckets = true;
  std::vector<Bucket> buckets;
};
struct BatchDone {
  BatchAnswer answer;
  Duration took{0};
  uint64_t lag_bytes = 0;
};
struct LagRead {
  uint64_t bytes = 0;
};
struct BucketLost {};  // the shard no longer owns the bucket of the batch
struct Waited {};
using Event = std::variant<Done, Busy, Failed, Remaining, BucketList, BatchDone, LagRead, BucketLost, Waited>;

class Machine {
 public:
  static constexpr uint32_t kTriesMax = 60;  // of one action that meets a lock; about a minute in all
  static constexpr uint32_t kPassesMax = 10;
  static constexpr uint32_t kLagWaitsMax = 6000;  // of kLagWait each: twenty minutes
  static constexpr Duration kLagWait = std::chrono::milliseconds(200);
  static constexpr Duration kRetryWaitMin = std::chrono::milliseconds(50);
  static constexpr Duration kRetryWaitMax = std::chrono::seconds(1);

  Machine(std::vector<MigrationStep> steps, BackfillPace::Limits limits);

  Action begin() { return begin_step(); }
  Action on(const Event& event);

  struct Progress {
    size_t steps_done = 0;
    size_t steps_total = 0;
    uint64_t rows_done = 0;       // of this step
    uint64_t rows_remaining = 0;  // when last counted
    size_t buckets_done = 0;      // of this pass
    size_t buckets_total = 0;
  };
  Progress progress() const;

 private:
  Action begin_step();
  Action end_step();
  Action stop(Error error);
  Action next_batch();
  Action next_bucket();
  Action on_event(const Done&) { return end_step(); }
  Action on_event(const Busy& event);
  Action on_event(const Failed& event) { return stop(event.error); }
  Action on_event(const Remaining& event);
  Action on_event(const BucketList& event);
  Action on_event(const BatchDone& event);
  Action on_event(const LagRead& event);
  Action on_event(const BucketLost&) { return next_bucket(); }
  Action on_event(const Waited&) { return act(after_wait_); }
  Action act(Action action);  // remembers it, for another try

  const MigrationStep& step() const { return steps_[at_]; }

  std::vector<MigrationStep> steps_;
  size_t at_ = 0;
  BackfillPace::Limits limits_;
  BackfillPace pace_;
  uint32_t tries_ = 0;
  uint32_t passes_ = 0;
  uint32_t lag_waits_ = 0;
  uint64_t rows_done_ = 0;
  uint64_t rows_remaining_ = 0;
  bool has_buckets_ = true;
  std::vector<Bucket> buckets_;
  size_t bucket_at_ = 0;
  std::vector<std::optional<std::string>> after_key_;
  Action last_ = Finished{};
  Action after_wait_ = Finished{};
  Action after_lag_ = Finished{};
};

}  // namespace tidemark::shardrouter::migration
