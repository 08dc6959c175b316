#include "shardrouter/schema/migration_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark::shardrouter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = MigrationRequest::Kind;
using State = LedgerEntry::State;

std::vector<Migration> migrations() {
  return *read_migrations({{"0001_a.expand.sql", "ALTER TABLE t ADD COLUMN a int"},
                           {"0001_a.backfill.sql", "UPDATE t SET a = 1 WHERE a IS NULL"},
                           {"0001_a.contract.sql", "ALTER TABLE t DROP COLUMN old"},
                           {"0001_a.undo.sql", "ALTER TABLE t DROP COLUMN a"},
                           {"0002_b.expand.sql", "ALTER TABLE t ADD COLUMN b int"},
                           {"0002_b.undo.sql", "ALTER TABLE t DROP COLUMN b"}});
}

class MigrationPlanTest : public ::testing::Test {
 protected:
  void add_entry(size_t shard, const std::string& id, Phase phase, State state = State::kDone) {
    const size_t at = id == "0001_a" ? 0 : 1;
    shards_[shard].ledger.push_back({id, phase, migrations_[at].file(phase)->checksum, state, 0});
  }
  void add_everywhere(const std::string& id, Phase phase) {
    for (size_t i = 0; i < shards_.size(); ++i) add_entry(i, id, phase);
  }
  std::vector<std::string> steps(Kind kind, const std::string& id = "", std::optional<ShardId> shard = {}) {
    const auto plan = plan_migration(migrations_, shards_, {kind, id, shard});
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
    std::vector<std::string> texts;
    if (plan)
      for (const MigrationStep& step : *plan) texts.push_back(to_string(step));
    return texts;
  }
  std::string refusal(Kind kind, const std::string& id = "") {
    const auto plan = plan_migration(migrations_, shards_, {kind, id, {}});
    return plan ? "" : plan.error().message;
  }

  std::vector<Migration> migrations_ = migrations();
  std::vector<ShardSituation> shards_{{.shard = 0, .buckets_owned = 2048}, {.shard = 1, .buckets_owned = 2048}};
};

TEST_F(MigrationPlanTest, ExpandsEveryMigrationOnEveryShardInOrder) {
  EXPECT_THAT(steps(Kind::kExpand), ElementsAre("shard 0: run 0001_a.expand", "shard 1: run 0001_a.expand",
                                                "shard 0: run 0002_b.expand", "shard 1: run 0002_b.expand"));
}

TEST_F(MigrationPlanTest, LeavesOutWhatIsDoneAndGoesOnWithWhatWasInterrupted) {
  add_entry(0, "0001_a", Phase::kExpand);
  add_entry(1, "0001_a", Phase::kExpand, State::kRunning);
  EXPECT_THAT(steps(Kind::kExpand, "0001_a"), ElementsAre("shard 1: run 0001_a.expand"));
}

TEST_F(MigrationPlanTest, ExpandsTheTargetOfALiveMoveBeforeItsSource) {
  shards_[1].buckets_importing = 4;
  shards_[0].buckets_leaving = 4;
  EXPECT_THAT(steps(Kind::kExpand, "0001_a"), ElementsAre("shard 1: run 0001_a.expand", "shard 0: run 0001_a.expand"));
}

TEST_F(MigrationPlanTest, RefusesToExpandALaterMigrationFirst) {
  EXPECT_THAT(refusal(Kind::kExpand, "0002_b"), HasSubstr("0001_a comes first"));
}

TEST_F(MigrationPlanTest, RefusesAFileThatChangedSinceItRan) {
  add_entry(1, "0001_a", Phase::kExpand);
  shards_[1].ledger[0].checksum = "0123456789012345678901234567890123456789";
  EXPECT_THAT(refusal(Kind::kExpand), HasSubstr("0001_a.expand.sql has changed since shard 1 ran it"));
}

TEST_F(MigrationPlanTest, RefusesADirectoryThatLacksWhatAShardHasRun) {
  shards_[0].ledger.push_back({"0003_c", Phase::kExpand, "x", State::kDone, 0});
  EXPECT_THAT(refusal(Kind::kExpand), HasSubstr("shard 0 has run 0003_c.expand.sql, which the directory lacks"));
}

TEST_F(MigrationPlanTest, AnUndoneEntryBindsNobody) {
  add_everywhere("0001_a", Phase::kExpand);
  add_entry(0, "0002_b", Phase::kExpand, State::kUndone);
  shards_[0].ledger.back().checksum = "another";
  EXPECT_THAT(steps(Kind::kExpand), ElementsAre("shard 0: run 0002_b.expand", "shard 1: run 0002_b.expand"));
}

TEST_F(MigrationPlanTest, BackfillsOnceEveryShardIsExpanded) {
  EXPECT_THAT(steps(Kind::kBackfill), IsEmpty());
  add_entry(0, "0001_a", Phase::kExpand);
  EXPECT_THAT(refusal(Kind::kBackfill), HasSubstr("its expand is not on every shard"));
  add_entry(1, "0001_a", Phase::kExpand);
  EXPECT_THAT(steps(Kind::kBackfill), ElementsAre("shard 0: run 0001_a.backfill", "shard 1: run 0001_a.backfill"));
}

TEST_F(MigrationPlanTest, ContractsAfterACheckOfEveryShard) {
  add_everywhere("0001_a", Phase::kExpand);
  add_everywhere("0001_a", Phase::kBackfill);
  EXPECT_THAT(steps(Kind::kContract, "0001_a"),
              ElementsAre("shard 0: check 0001_a (no row may still need its backfill)",
                          "shard 1: check 0001_a (no row may still need its backfill)", "shard 0: run 0001_a.contract",
                          "shard 1: run 0001_a.contract"));
}

TEST_F(MigrationPlanTest, RefusesToContractWithEveryReason) {
  add_everywhere("0001_a", Phase::kExpand);
  add_entry(0, "0001_a", Phase::kBackfill);
  add_entry(1, "0001_a", Phase::kBackfill, State::kRunning);
  shards_[0].readers = {{"order-1", "0000_start"}, {"order-2", "0001_a"}};
  shards_[1].buckets_importing = 2;
  const std::string said = refusal(Kind::kContract, "0001_a");
  EXPECT_THAT(said, HasSubstr("shard 1: the backfill of 0001_a is not done"));
  EXPECT_THAT(said, HasSubstr("shard 0: reader order-1 understands the schema up to 0000_start only"));
  EXPECT_THAT(said, Not(HasSubstr("order-2")));
  EXPECT_THAT(said, HasSubstr("shard 1: 2 buckets are in the middle of a move"));
}

TEST_F(MigrationPlanTest, RefusesToContractBeforeTheBackfillWasEverRun) {
  add_everywhere("0001_a", Phase::kExpand);
  EXPECT_THAT(refusal(Kind::kContract, "0001_a"), HasSubstr("shard 0: the backfill of 0001_a is not done"));
}

TEST_F(MigrationPlanTest, ContractAndUndoTakeOneMigrationThatHasThem) {
  EXPECT_THAT(refusal(Kind::kContract), HasSubstr("name it"));
  EXPECT_THAT(refusal(Kind::kContract, "0002_b"), HasSubstr("0002_b has no contract"));
  EXPECT_THAT(refusal(Kind::kUndo, "0009_x"), HasSubstr("is not in the directory"));
}

TEST_F(MigrationPlanTest, UndoesAnExpandWhereItIs) {
  add_everywhere("0001_a", Phase::kExpand);
  add_entry(1, "0002_b", Phase::kExpand);
  EXPECT_THAT(steps(Kind::kUndo, "0002_b"), ElementsAre("shard 1: run 0002_b.undo"));
}

TEST_F(MigrationPlanTest, UndoesAnExpandThatWasInterrupted) {
  add_everywhere("0001_a", Phase::kExpand);
  add_entry(0, "0002_b", Phase::kExpand, State::kRunning);
  EXPECT_THAT(steps(Kind::kUndo, "0002_b"), ElementsAre("shard 0: run 0002_b.undo"));
}

TEST_F(MigrationPlanTest, RefusesToUndoWhatIsContractedOrBuiltUponOrReliedOn) {
  add_everywhere("0001_a", Phase::kExpand);
  add_everywhere("0001_a", Phase::kBackfill);
  add_entry(0, "0001_a", Phase::kContract);
  add_entry(1, "0002_b", Phase::kExpand);
  shards_[1].readers = {{"order-1", "0001_a"}};
  const std::string said = refusal(Kind::kUndo, "0001_a");
  EXPECT_THAT(said, HasSubstr("0001_a is contracted"));
  EXPECT_THAT(said, HasSubstr("0002_b was expanded after it"));
  EXPECT_THAT(said, HasSubstr("reader order-1 already relies on 0001_a"));
}

TEST_F(MigrationPlanTest, CatchesAnEmptyShardUpWithWhatTheOthersHaveDone) {
  add_everywhere("0001_a", Phase::kExpand);
  add_everywhere("0001_a", Phase::kBackfill);
  add_everywhere("0001_a", Phase::kContract);
  shards_.push_back({.shard = 2});
  EXPECT_THAT(
      steps(Kind::kCatchUp, "", ShardId{2}),
      ElementsAre("shard 2: run 0001_a.expand", "shard 2: run 0001_a.backfill", "shard 2: run 0001_a.contract"));
  shards_[2].buckets_owned = 1;
  const auto refused = plan_migration(migrations_, shards_, {Kind::kCatchUp, "", ShardId{2}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("shard 2 owns 1 buckets"));
}

}  // namespace
}  // namespace tidemark::shardrouter
