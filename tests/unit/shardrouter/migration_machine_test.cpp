// The machine against a made-up world of two shards, killed after every number of actions.
#include "shardrouter/schema/migration_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace tidemark::shardrouter::migration {
namespace {

using ::testing::HasSubstr;
using Kind = MigrationRequest::Kind;

// What the shell and the shards would do. Every action is atomic, ledger included.
class World {
 public:
  World() {
    for (ShardId shard = 0; shard < 2; ++shard)
      for (Bucket bucket = shard * 4; bucket < shard * 4 + 4; ++bucket) rows_[shard][bucket] = 25;  // to be backfilled
  }

  std::vector<ShardSituation> situations() const {
    std::vector<ShardSituation> all;
    for (ShardId shard = 0; shard < 2; ++shard) {
      ShardSituation one{.shard = shard, .buckets_owned = static_cast<uint32_t>(rows_.at(shard).size())};
      for (const auto& [key, state] : ledger_)
        if (std::get<0>(key) == shard)
          one.ledger.push_back(
              {std::get<1>(key), std::get<2>(key), checksum(std::get<1>(key), std::get<2>(key)), state, 0});
      all.push_back(std::move(one));
    }
    return all;
  }

  // One run of the tool; dies before its (actions_max + 1)th action. True: it ended by itself.
  bool run(Kind kind, size_t actions_max, const std::string& id = "") {
    const auto steps = plan_migration(migrations_, situations(), {kind, id, {}});
    EXPECT_TRUE(steps) << (steps ? "" : steps.error().message);
    Machine machine(*steps, {.rows_per_batch = 10});
    Action action = machine.begin();
    for (size_t done = 0; done < actions_max; ++done) {
      if (std::holds_alternative<Finished>(action)) return true;
      if (const auto* stopped = std::get_if<Stopped>(&action)) {
        error_ = stopped->error.message;
        return true;
      }
      trace_ += to_string(action) + "\n";
      action = machine.on(std::visit([this](const auto& one) { return perform(one); }, action));
    }
    return false;
  }

  size_t scripts(ShardId shard, const std::string& id, Phase phase) { return scripts_[{shard, id, phase}]; }
  uint64_t remaining() const {
    uint64_t all = 0;
    for (const auto& [shard, buckets] : rows_)
      for (const auto& [bucket, rows] : buckets) all += rows;
    return all;
  }

  std::vector<Migration> migrations_ = *read_migrations({{"0001_a.expand.sql", "ALTER TABLE t ADD COLUMN a int"},
                                                         {"0001_a.backfill.sql", "UPDATE t SET a = 1 WHERE a IS NULL"},
                                                         {"0001_a.contract.sql", "ALTER TABLE t DROP COLUMN old"},
                                                         {"0002_b.expand.sql", "ALTER TABLE t ADD COLUMN b int"}});
  std::map<ShardId, std::map<Bucket, uint64_t>> rows_;
  std::optional<Bucket> bucket_leaves_;  // to shard 1, when its batch comes
  uint64_t appear_per_pass_ = 0;         // rows that an old writer makes
  uint64_t changed_ = 0;
  std::string error_, trace_;

 private:
  using Key = std::tuple<ShardId, std::string, Phase>;
  std::string checksum(const std::string& id, Phase phase) const {
    for (const Migration& migration : migrations_)
      if (migration.id == id) return migration.file(phase)->checksum;
    return "";
  }
  Event perform(const RunScript& a) {
    ++scripts_[{a.step.shard, a.step.id, a.step.phase}];
    ledger_[{a.step.shard, a.step.id, a.step.phase}] = LedgerEntry::State::kDone;
    return Done{};
  }
  Event perform(const CountRemaining& a) {
    uint64_t all = 0;
    for (const auto& [bucket, rows] : rows_[a.step.shard]) all += rows;
    return Remaining{all};
  }
  Event perform(const ReadBuckets& a) {
    BucketList list;
    for (auto& [bucket, rows] : rows_[a.step.shard]) list.buckets.push_back(bucket);
    return list;
  }
  Event perform(const RunBatch& a) {
    const Bucket bucket = *a.request.bucket;
    if (bucket_leaves_ == bucket) {
      rows_[1][bucket] = rows_[0][bucket];
      rows_[0].erase(bucket);
      bucket_leaves_.reset();
      return BucketLost{};
    }
    uint64_t& rows = rows_[a.step.shard][bucket];
    const uint64_t changed = std::min<uint64_t>(rows, a.request.rows_max);
    rows -= changed;
    changed_ += changed;
    if (rows == 0 && changed < a.request.rows_max) rows += appear_per_pass_;
    ledger_[{a.step.shard, a.step.id, Phase::kBackfill}] = LedgerEntry::State::kRunning;
    return BatchDone{{changed, changed, 0, {"k"}}, Duration(1000), 0};
  }
  Event perform(const ReadLag&) { return LagRead{0}; }
  Event perform(const MarkBackfilled& a) {
    ledger_[{a.step.shard, a.step.id, Phase::kBackfill}] = LedgerEntry::State::kDone;
    return Done{};
  }
  Event perform(const Wait&) { return Waited{}; }
  Event perform(const Finished&) { return Done{}; }
  Event perform(const Stopped&) { return Done{}; }

  std::map<Key, LedgerEntry::State> ledger_;
  std::map<Key, size_t> scripts_;
};

constexpr size_t kNoLimit = 100'000;

TEST(MigrationMachine, RunsEveryScriptOnceAndEveryRowOnce) {
  World world;
  ASSERT_TRUE(world.run(Kind::kExpand, kNoLimit));
  ASSERT_TRUE(world.run(Kind::kBackfill, kNoLimit));
  ASSERT_TRUE(world.run(Kind::kContract, kNoLimit, "0001_a"));
  EXPECT_EQ(world.error_, "");
  EXPECT_EQ(world.remaining(), 0u);
  EXPECT_EQ(world.changed_, 200u);
  for (ShardId shard = 0; shard < 2; ++shard) {
    EXPECT_EQ(world.scripts(shard, "0001_a", Phase::kExpand), 1u);
    EXPECT_EQ(world.scripts(shard, "0002_b", Phase::kExpand), 1u);
    EXPECT_EQ(world.scripts(shard, "0001_a", Phase::kContract), 1u);
  }
}

TEST(MigrationMachine, KilledAfterAnyActionTheNextRunGoesOn) {
  for (size_t kill_after = 0; kill_after < 120; ++kill_after) {
    World world;
    for (const Kind kind : {Kind::kExpand, Kind::kBackfill, Kind::kContract}) {
      const std::string id = kind == Kind::kContract ? "0001_a" : "";
      if (!world.run(kind, kill_after, id)) ASSERT_TRUE(world.run(kind, kNoLimit, id)) << kill_after;
    }
    ASSERT_EQ(world.error_, "") << kill_after << "\n" << world.trace_;
    ASSERT_EQ(world.remaining(), 0u) << kill_after;
    ASSERT_EQ(world.changed_, 200u) << kill_after;
    for (ShardId shard = 0; shard < 2; ++shard)
      ASSERT_EQ(world.scripts(shard, "0001_a", Phase::kContract), 1u) << kill_after;
  }
}

TEST(MigrationMachine, ABucketThatWasMovedAwayIsCaughtByTheCheckBeforeTheContract) {
  World world;
  ASSERT_TRUE(world.run(Kind::kExpand, kNoLimit));
  world.rows_[1].clear();  // shard 1 is done before the bucket comes
  ASSERT_TRUE(world.run(Kind::kBackfill, kNoLimit));
  world.rows_[1][2] = 25;
  ASSERT_TRUE(world.run(Kind::kContract, kNoLimit, "0001_a"));
  EXPECT_THAT(world.error_, HasSubstr("25 rows still need the backfill"));
  EXPECT_EQ(world.scripts(0, "0001_a", Phase::kContract), 0u);
  world.error_.clear();
  ASSERT_TRUE(world.run(Kind::kBackfill, kNoLimit));
  ASSERT_TRUE(world.run(Kind::kContract, kNoLimit, "0001_a"));
  EXPECT_EQ(world.error_, "");
}

TEST(MigrationMachine, GoesOnWithTheNextBucketWhenOneLeavesUnderItsHands) {
  World world;
  ASSERT_TRUE(world.run(Kind::kExpand, kNoLimit));
  world.bucket_leaves_ = 2;
  ASSERT_TRUE(world.run(Kind::kBackfill, kNoLimit));
  EXPECT_EQ(world.error_, "");
  EXPECT_EQ(world.remaining(), 0u);
}

TEST(MigrationMachine, GivesUpWhenRowsKeepAppearing) {
  World world;
  ASSERT_TRUE(world.run(Kind::kExpand, kNoLimit));
  world.appear_per_pass_ = 3;
  ASSERT_TRUE(world.run(Kind::kBackfill, kNoLimit));
  EXPECT_THAT(world.error_, HasSubstr("after 10 passes 12 rows still need it"));
}

const std::vector<MigrationStep> kOneScript{{MigrationStep::Kind::kRun, 0, "0001_a", Phase::kExpand}};
const std::vector<MigrationStep> kOneBackfill{{MigrationStep::Kind::kRun, 0, "0001_a", Phase::kBackfill}};

TEST(MigrationMachine, TriesAgainForALockAndThenNamesWhoIsInTheWay) {
  Machine machine(kOneScript, {});
  Action action = machine.begin();
  uint32_t tries = 0;
  Duration waited{0};
  while (std::holds_alternative<RunScript>(action)) {
    ++tries;
    action = machine.on(Busy{"pid 7"});
    if (!std::holds_alternative<Wait>(action)) break;
    EXPECT_LE(std::get<Wait>(action).how_long, Machine::kRetryWaitMax);
    waited += std::get<Wait>(action).how_long;
    action = machine.on(Waited{});
  }
  EXPECT_EQ(tries, Machine::kTriesMax);
  EXPECT_GT(waited, std::chrono::seconds(30));
  ASSERT_TRUE(std::holds_alternative<Stopped>(action));
  EXPECT_THAT(std::get<Stopped>(action).error.message, HasSubstr("in the way: pid 7"));
}

TEST(MigrationMachine, ALockThatIsGotStartsTheCountOfTriesAnew) {
  Machine machine(kOneBackfill, {});
  machine.begin();
  machine.on(Remaining{1'000'000});
  machine.on(BucketList{true, {5}});
  for (uint32_t batch = 0; batch < 3; ++batch)
    for (uint32_t i = 0; i + 1 < Machine::kTriesMax; ++i) {
      ASSERT_TRUE(std::holds_alternative<Wait>(machine.on(Busy{"x"})));
      ASSERT_TRUE(std::holds_alternative<RunBatch>(machine.on(Waited{})));
      if (i + 2 == Machine::kTriesMax) machine.on(BatchDone{{5000, 5000, 0, {"1"}}, Duration(0), 0});
    }
}

TEST(MigrationMachine, WaitsForAsLongAsTheBatchTook) {
  Machine machine(kOneBackfill, {.rows_per_batch = 100, .busy_share = 0.5});
  machine.begin();
  machine.on(Remaining{1000});
  machine.on(BucketList{true, {5}});
  const Action action = machine.on(BatchDone{{100, 100, 0, {"9"}}, std::chrono::milliseconds(30), 0});
  ASSERT_TRUE(std::holds_alternative<Wait>(action));
  EXPECT_EQ(std::get<Wait>(action).how_long, std::chrono::milliseconds(30));
  const Action next = machine.on(Waited{});
  ASSERT_TRUE(std::holds_alternative<RunBatch>(next));
  EXPECT_EQ(std::get<RunBatch>(next).request.after_key.at(0), "9");
}

TEST(MigrationMachine, StopsAtAConditionThatTheChangeDoesNotMakeFalse) {
  Machine machine(kOneBackfill, {.rows_per_batch = 100});
  machine.begin();
  machine.on(Remaining{1000});
  machine.on(BucketList{true, {5}});
  const Action action = machine.on(BatchDone{{100, 100, 7, {"9"}}, Duration(1), 0});
  ASSERT_TRUE(std::holds_alternative<Stopped>(action));
  EXPECT_THAT(std::get<Stopped>(action).error.message, HasSubstr("still holds for 7 rows"));
}

TEST(BackfillPace, KeepsBatchesNearTheirTime) {
  BackfillPace pace({.rows_per_batch = 1000});
  pace.after({1000, std::chrono::milliseconds(120)});
  EXPECT_EQ(pace.rows_max(), 500u);
  pace.after({500, std::chrono::milliseconds(5)});
  EXPECT_EQ(pace.rows_max(), 625u);
  pace.after({3, std::chrono::milliseconds(1)});  // the rest of a bucket says nothing
  EXPECT_EQ(pace.rows_max(), 625u);
  for (int i = 0; i < 50; ++i) pace.after({100, std::chrono::seconds(1)});
  EXPECT_EQ(pace.rows_max(), BackfillPace::kRowsMin);
}

TEST(BackfillPace, KeepsToTheRate) {
  BackfillPace pace({.rows_per_second = 1000, .busy_share = 1});
  EXPECT_EQ(pace.after({100, std::chrono::milliseconds(40)}), std::chrono::milliseconds(60));
  EXPECT_EQ(pace.after({1'000'000, Duration(0)}), BackfillPace::kWaitMax);
}

TEST(MigrationMachine, DoesNothingWhileAReplicaIsTooFarBehind) {
  Machine machine(kOneBackfill, {.rows_per_batch = 100, .lag_bytes_max = 1000});
  machine.begin();
  machine.on(Remaining{1000});
  machine.on(BucketList{true, {5}});
  Action action = machine.on(BatchDone{{100, 100, 0, {"9"}}, Duration(1), 1001});
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(std::holds_alternative<Wait>(action)) << to_string(action);
    EXPECT_THAT(std::get<Wait>(action).reason, HasSubstr("1001 bytes behind"));
    ASSERT_TRUE(std::holds_alternative<ReadLag>(machine.on(Waited{})));
    action = machine.on(LagRead{1001});
  }
  machine.on(Waited{});
  action = machine.on(LagRead{1000});
  ASSERT_TRUE(std::holds_alternative<RunBatch>(action));
  EXPECT_EQ(std::get<RunBatch>(action).request.after_key.at(0), "9");
  // It is the batch that is tried again when it meets a lock, not the question for the lag.
  machine.on(Busy{"x"});
  EXPECT_TRUE(std::holds_alternative<RunBatch>(machine.on(Waited{})));
}

TEST(MigrationMachine, GivesUpWaitingForAReplicaThatNeverCatchesUp) {
  Machine machine(kOneBackfill, {.rows_per_batch = 100, .lag_bytes_max = 1000});
  machine.begin();
  machine.on(Remaining{1000});
  machine.on(BucketList{true, {5}});
  Action action = machine.on(BatchDone{{100, 100, 0, {"9"}}, Duration(1), 9999});
  uint32_t waits = 0;
  for (; std::holds_alternative<Wait>(action) && waits <= Machine::kLagWaitsMax; ++waits) {
    machine.on(Waited{});
    action = machine.on(LagRead{9999});
  }
  EXPECT_EQ(waits, Machine::kLagWaitsMax);
  ASSERT_TRUE(std::holds_alternative<Stopped>(action));
  EXPECT_THAT(std::get<Stopped>(action).error.message, HasSubstr("for 1200 s"));
}

TEST(BackfillSql, ABatchGoesOnBehindTheLastKeyOfItsBucket) {
  const auto statements = split_statements("UPDATE shop.item SET a = b * 2, c = 1 WHERE a IS NULL OR c = 0");
  const auto backfill = read_backfill(statements->at(0));
  ASSERT_TRUE(backfill) << backfill.error().message;
  EXPECT_EQ(backfill->assignments, "a = b * 2, c = 1");
  EXPECT_EQ(backfill->condition, "a IS NULL OR c = 0");
  const Statement batch = make_batch(*backfill, {{"bucket", "integer"}, {"id", "bigint"}},
                                     {.bucket = 7, .after_key = {"7", "41"}, .rows_max = 9});
  EXPECT_THAT(batch.sql, HasSubstr("bucket = $1::int AND (a IS NULL OR c = 0\n) AND (bucket, id) > ($2::integer, "
                                   "$3::bigint) ORDER BY bucket, id LIMIT 9 FOR UPDATE"));
  EXPECT_THAT(batch.params, ::testing::ElementsAre("7", "7", "41"));
}

}  // namespace
}  // namespace tidemark::shardrouter::migration
