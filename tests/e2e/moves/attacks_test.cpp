// What has broken moves before, here or in other tools, each tried again: processes that come back too late, standbys
// that lag, tables with traps, writers that hold on.
#include <chrono>
#include <future>
#include <thread>

#include "tests/e2e/moves/move_fixture.h"
#include "tools/shards/move/pg_link.h"

namespace tidemark::shards {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class MoveAttackTest : public MoveTest {
 protected:
  static void SetUpTestSuite() {
    MoveTest::SetUpTestSuite();
    // A table of traps: text that depends on settings, an identity column, a unique constraint that may be deferred.
    for (const int shard : {0, 1})
      psql(shard,
           "CREATE TABLE IF NOT EXISTS public.odd (bucket int NOT NULL, id int NOT NULL, at timestamptz NOT NULL "
           "DEFAULT now(), "
           "raw bytea NOT NULL DEFAULT '\\x00ff41', price float8 NOT NULL DEFAULT 0.1, serial bigint GENERATED ALWAYS "
           "AS IDENTITY, "
           "pos int, PRIMARY KEY (bucket, id), UNIQUE (bucket, pos) DEFERRABLE INITIALLY IMMEDIATE); "
           "SELECT shard.protect_table('public.odd')");
    psql(1,
         "ALTER DATABASE tidemark SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE tidemark SET bytea_output = 'escape'; "
         "ALTER DATABASE tidemark SET extra_float_digits = 0");
  }

  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  }
  static PgLink link(int shard) {
    auto opened = PgLink::connect("test", cluster_->admin_conninfo("s" + std::to_string(shard) + "-primary"));
    EXPECT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(opened->run("SET idle_in_transaction_session_timeout = 0"));
    return std::move(*opened);
  }
  static std::string state_of(const Status& status) { return status ? "" : sqlstate_of(status.error()); }

  // A writer that holds its bucket: the move copies, streams and compares, and waits before its fence.
  struct Waiting {
    PgLink writer;
    std::future<Answer> move;
    Answer release() {
      EXPECT_TRUE(writer.run("COMMIT"));
      return move.get();
    }
  };
  static Waiting move_that_waits(int bucket, std::vector<std::string> more = {}) {
    Waiting waiting{link(0), {}};
    EXPECT_TRUE(waiting.writer.run("BEGIN"));
    EXPECT_TRUE(waiting.writer.run("SELECT pg_advisory_xact_lock_shared(7001, $1::int)", {std::to_string(bucket)}));
    waiting.move = std::async(std::launch::async, [=] { return move(std::to_string(bucket), 1, more); });
    EXPECT_TRUE(eventually([&] {
      return psql(0, "SELECT count(*) FROM shard.move WHERE note LIKE '%holds a bucket%' AND ended_at IS NULL") == "1";
    }));
    return waiting;
  }
};

// ------------------------------------------------------------------------------------- processes that come back too
// late
TEST_F(MoveAttackTest, AZombieCleanUpDeletesNoRowOfABucketThatCameBack) {
  fill(300, 300);
  ASSERT_FALSE(move("300", 1, {"--id", "away", "--no-guardian"}, "after start cleaning").is_ok);
  PgLink zombie = link(0);
  ASSERT_TRUE(zombie.run("SET session_replication_role = 'replica'"));
  ASSERT_TRUE(zombie.run("SELECT shard.move_clean('away', 'account', 10)"));  // its first batch, then it is paused
  ASSERT_TRUE(tool({"resume", "--id", "away"}).is_ok);
  ASSERT_TRUE(move("300", 0).is_ok);
  ASSERT_EQ(rows_of(0, 300, 300), "40");
  EXPECT_EQ(state_of(zombie.run("SELECT shard.move_clean('away', 'account', 10)")), "SH007");
  EXPECT_EQ(rows_of(0, 300, 300), "40");
}

TEST_F(MoveAttackTest, AZombieCleanUpIsRefusedWhenOnlyTheBucketSaysSo) {
  fill(301, 301);
  ASSERT_FALSE(move("301", 1, {"--id", "half", "--no-guardian"}, "after start cleaning").is_ok);
  psql(0, "UPDATE shard.bucket SET move_id = 'another' WHERE bucket = 301");
  PgLink zombie = link(0);
  EXPECT_EQ(state_of(zombie.run("SELECT shard.move_clean('half', 'account', 10)")), "SH007");
  psql(0, "UPDATE shard.bucket SET move_id = 'half' WHERE bucket = 301");
  EXPECT_TRUE(tool({"resume", "--id", "half"}).is_ok);
}

TEST_F(MoveAttackTest, AZombieApplierAppliesNothingAfterAnAbortOrAHandOver) {
  fill(302, 303);
  ASSERT_FALSE(move("302", 1, {"--id", "given_up", "--no-guardian"}, "after copy").is_ok);
  PgLink zombie = link(1);
  EXPECT_TRUE(zombie.run("SELECT shard.move_applying('given_up', 'copied')"));
  ASSERT_TRUE(tool({"abort", "--id", "given_up"}).is_ok);
  EXPECT_EQ(state_of(zombie.run("SELECT shard.move_applying('given_up', 'copied')")), "SH007");
  ASSERT_TRUE(move("303", 1, {"--id", "arrived"}).is_ok);
  EXPECT_EQ(state_of(zombie.run("SELECT shard.move_applying('arrived', 'copied')")), "SH007");
}

TEST_F(MoveAttackTest, AnAbortWaitsForAnApplierThatIsUnderWay) {
  fill(304, 304);
  ASSERT_FALSE(move("304", 1, {"--id", "racing", "--no-guardian"}, "after copy").is_ok);
  PgLink applier = link(1);
  ASSERT_TRUE(applier.run("BEGIN"));
  ASSERT_TRUE(applier.run("SELECT shard.move_applying('racing', 'copied')"));
  auto abort = std::async(std::launch::async, [] { return tool({"abort", "--id", "racing"}); });
  EXPECT_TRUE(eventually([] { return psql(1, "SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"; }));
  EXPECT_EQ(psql(1, "SELECT step FROM shard.move WHERE move_id = 'racing'"), "copied");
  ASSERT_TRUE(applier.run("COMMIT"));
  EXPECT_TRUE(abort.get().is_ok);
  EXPECT_EQ(rows_of(1, 304, 304), "0");
}

TEST_F(MoveAttackTest, AnAttemptThatWasTakenBackCannotFlip) {
  fill(305, 305);
  ASSERT_FALSE(move("305", 1, {"--id", "twice", "--no-guardian"}, "after fence").is_ok);
  PgLink late = link(1);
  psql(1, "SELECT shard.move_next_attempt('twice', 1)");
  EXPECT_EQ(state_of(late.run("SELECT shard.move_flip('twice', 1, NULL)")), "SH007");
  EXPECT_EQ(owned(1, 305, 305), "0");
  ASSERT_TRUE(tool({"resume", "--id", "twice"}).is_ok);
  EXPECT_EQ(owned(1, 305, 305), "1");
}

TEST_F(MoveAttackTest, AFlipThatComesTooLateDoesNotHappen) {
  fill(311, 311);
  ASSERT_FALSE(move("311", 1, {"--id", "late", "--no-guardian"}, "after fence").is_ok);
  PgLink target = link(1);
  EXPECT_EQ(state_of(target.run("SELECT shard.move_flip('late', 1, clock_timestamp() - interval '1 us')")), "SH009");
  EXPECT_EQ(owned(1, 311, 311), "0");
  // Held up by somebody's lock it gives up, and is not found waiting when the source has taken the bucket back.
  PgLink other = link(1);
  ASSERT_TRUE(other.run("BEGIN"));
  ASSERT_TRUE(other.run("SELECT FROM shard.move WHERE move_id = 'late' FOR UPDATE"));
  EXPECT_EQ(state_of(target.run("SELECT shard.move_flip('late', 1, NULL)")), "55P03");
  ASSERT_TRUE(other.run("ROLLBACK"));
  EXPECT_TRUE(tool({"resume", "--id", "late"}).is_ok);
  EXPECT_EQ(psql(1, "SELECT state, epoch FROM shard.bucket WHERE bucket = 311"), "owned|6");
}

TEST_F(MoveAttackTest, AServerThatWasPromotedHandsNothingOver) {
  fill(312, 312);
  ASSERT_FALSE(move("312", 1, {"--id", "elsewhere", "--no-guardian"}, "after fence").is_ok);
  psql(1, "UPDATE shard.move SET timeline = timeline - 1 WHERE move_id = 'elsewhere'");
  PgLink target = link(1);
  EXPECT_EQ(state_of(target.run("SELECT shard.move_flip('elsewhere', 1, NULL)")), "SH007");
  EXPECT_EQ(owned(1, 312, 312), "0");
  const Answer resumed = tool({"resume", "--id", "elsewhere"});
  EXPECT_EQ(resumed.json["outcome"], "aborted");
  EXPECT_THAT(resumed.json["reason"].get<std::string>(), HasSubstr("the target failed over"));
  EXPECT_EQ(owned(0, 312, 312), "1");
}

TEST_F(MoveAttackTest, AnAttemptThatOneSideForgotInACrashIsCaughtUpWith) {
  fill(313, 314);
  ASSERT_FALSE(move("313", 1, {"--id", "forgot_source", "--no-guardian"}, "after fence").is_ok);
  psql(1, "SELECT shard.move_next_attempt('forgot_source', 1)");
  psql(0,
       "UPDATE shard.bucket SET state = 'owned', epoch = epoch - 1, forward = NULL WHERE bucket = 313; "
       "UPDATE shard.move SET step = 'reserved', fenced_at = NULL WHERE move_id = 'forgot_source'; "
       "DELETE FROM shard.move_marker WHERE move_id = 'forgot_source'");
  ASSERT_TRUE(tool({"resume", "--id", "forgot_source"}).is_ok);
  EXPECT_EQ(psql(1, "SELECT state, epoch FROM shard.bucket WHERE bucket = 313"), "owned|6");
  EXPECT_EQ(psql(0, "SELECT state, epoch FROM shard.bucket WHERE bucket = 313"), "moved|6");

  ASSERT_FALSE(move("314", 1, {"--id", "forgot_target", "--no-guardian"}, "after fence").is_ok);
  psql(0, "SELECT shard.move_unfence('forgot_target', 1)");
  ASSERT_TRUE(tool({"resume", "--id", "forgot_target"}).is_ok);
  EXPECT_EQ(psql(1, "SELECT state, epoch FROM shard.bucket WHERE bucket = 314"), "owned|6");
  expect_nothing_left();
}

TEST_F(MoveAttackTest, AFlipThatIsShortOfOneBucketFlipsNone) {
  fill(306, 308);
  ASSERT_FALSE(move("306-308", 1, {"--id", "short", "--no-guardian"}, "after fence").is_ok);
  psql(1, "UPDATE shard.bucket SET move_id = 'thief' WHERE bucket = 307");
  PgLink target = link(1);
  EXPECT_EQ(state_of(target.run("SELECT shard.move_flip('short', 1, NULL)")), "SH007");
  EXPECT_EQ(owned(1, 306, 308), "0");
  psql(1, "UPDATE shard.bucket SET move_id = 'short' WHERE bucket = 307");
  EXPECT_TRUE(tool({"resume", "--id", "short"}).is_ok);
}

TEST_F(MoveAttackTest, ASlotThatIsAheadOfTheTargetEndsTheMove) {
  fill(309, 309);
  ASSERT_FALSE(move("309", 1, {"--id", "gap", "--no-guardian"}, "after copy").is_ok);
  psql(0, "INSERT INTO account (bucket, id, counter, name) VALUES (309, 1, 1, 'in the gap')");
  ASSERT_TRUE(
      eventually([] { return psql(0, "SELECT active FROM pg_replication_slots WHERE slot_name = 'mv_gap'") == "f"; }));
  psql(0, "SELECT pg_replication_slot_advance('mv_gap', pg_current_wal_insert_lsn())");
  const Answer resumed = tool({"resume", "--id", "gap"});
  EXPECT_FALSE(resumed.is_ok);
  EXPECT_EQ(resumed.json["outcome"], "aborted");
  EXPECT_THAT(resumed.json["reason"].get<std::string>(), HasSubstr("ahead of what the target holds"));
  EXPECT_EQ(owned(0, 309, 309), "1");
  expect_nothing_left();
}

TEST_F(MoveAttackTest, CleaningUpWaitsForASessionThatStillHoldsTheOrigin) {
  fill(310, 310);
  ASSERT_FALSE(move("310", 1, {"--id", "holding", "--no-guardian"}, "after copy").is_ok);
  ASSERT_TRUE(eventually([] {
    return psql(1,
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidemark-shards' AND pid <> "
                "pg_backend_pid()") == "0";
  }));
  auto dying = std::make_unique<PgLink>(link(1));
  ASSERT_TRUE(dying->run("SELECT pg_replication_origin_session_setup('mv_holding')"));
  auto abort = std::async(std::launch::async, [] { return tool({"abort", "--id", "holding"}); });
  EXPECT_TRUE(eventually([] { return psql(0, "SELECT step FROM shard.move WHERE move_id = 'holding'") == "aborted"; }));
  std::this_thread::sleep_for(200ms);
  dying.reset();
  EXPECT_TRUE(abort.get().is_ok);
  expect_nothing_left();
}

// ------------------------------------------------------------------------------------------------------ writers,
// readers
TEST_F(MoveAttackTest, AWriteThatMatchesNoRowIsRefusedAtTheOldOwnerToo) {
  fill(320, 320);
  ASSERT_TRUE(move("320", 1).is_ok);
  PgLink stale = link(0);
  ASSERT_TRUE(stale.run("BEGIN"));
  EXPECT_EQ(state_of(stale.run("SELECT shard.guard(320, 1)")), "SH001");
}

TEST_F(MoveAttackTest, ARepeatableReadWriterFromBeforeTheFenceDoesNotPass) {
  fill(321, 321);
  PgLink writer = link(0);
  ASSERT_TRUE(writer.run("SELECT tidemark.open_incarnation()"));
  ASSERT_TRUE(writer.run("BEGIN ISOLATION LEVEL REPEATABLE READ"));
  ASSERT_TRUE(writer.run("SELECT count(*) FROM account WHERE bucket = 321"));  // its snapshot
  ASSERT_FALSE(move("321", 1, {"--no-guardian"}, "after fence").is_ok);
  EXPECT_EQ(state_of(writer.run("SELECT shard.guard(321, 1)")), "40001");
  ASSERT_TRUE(writer.run("ROLLBACK"));
  EXPECT_TRUE(move("321", 1).is_ok);
}

TEST_F(MoveAttackTest, AWriterThatHoldsItsBucketDelaysTheHandOverAndNobodyElse) {
  fill(322, 322);
  Waiting waiting = move_that_waits(322);
  PgLink other = link(0);
  ASSERT_TRUE(other.run("SELECT tidemark.open_incarnation()"));
  ASSERT_TRUE(other.run("SET statement_timeout = '10s'"));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(other.run("BEGIN"));
    EXPECT_TRUE(other.run("SELECT shard.guard(322, 1)")) << "the bucket is its owner's still, with its epoch";
    EXPECT_TRUE(other.run("COMMIT"));
  }
  const Answer moved = waiting.release();
  ASSERT_TRUE(moved.is_ok) << moved.error;
  EXPECT_EQ(owned(1, 322, 322), "1");
}

TEST_F(MoveAttackTest, AFenceIsBoundedAsAWholeNotLockByLock) {
  ASSERT_FALSE(move("323-342", 1, {"--id", "bounded", "--no-guardian"}, "after verify").is_ok);
  std::vector<PgLink> writers;
  for (int bucket = 323; bucket <= 342; ++bucket) {
    writers.push_back(link(0));
    ASSERT_TRUE(writers.back().run("BEGIN"));
    ASSERT_TRUE(writers.back().run("SELECT pg_advisory_xact_lock_shared(7001, $1::int)", {std::to_string(bucket)}));
  }
  std::jthread leave([&] {
    for (PgLink& writer : writers) {
      std::this_thread::sleep_for(20ms);  // each lock is waited for less than the time-out
      EXPECT_TRUE(writer.run("COMMIT"));
    }
  });
  PgLink fencer = link(0);
  ASSERT_TRUE(fencer.run("SET statement_timeout = '50ms'"));
  EXPECT_EQ(state_of(fencer.run("SELECT shard.move_fence('bounded', 1)")), "57014");
  leave.join();
  EXPECT_EQ(owned(0, 323, 342), "20");
  EXPECT_TRUE(tool({"abort", "--id", "bounded"}).is_ok);
}

TEST_F(MoveAttackTest, ASlotWaitsForARunningTransactionAndTheMoveWithIt) {
  fill(345, 345);
  PgLink idle = link(0);
  ASSERT_TRUE(idle.run("BEGIN"));
  ASSERT_TRUE(idle.run("SELECT pg_current_xact_id()"));
  auto moving = std::async(std::launch::async, [] { return move("345", 1, {"--id", "patient"}); });
  EXPECT_TRUE(eventually([] {
    return psql(0,
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE_REPLICATION_SLOT%' AND wait_event_type "
                "= 'Lock'") != "0";
  }));
  std::this_thread::sleep_for(700ms);  // longer than a silent tool may be
  EXPECT_EQ(psql(0, "SELECT heartbeat > clock_timestamp() - interval '3 s' FROM shard.move WHERE move_id = 'patient'"),
            "t");
  ASSERT_TRUE(idle.run("COMMIT"));
  const Answer moved = moving.get();
  EXPECT_TRUE(moved.is_ok) << moved.error;
}

// -------------------------------------------------------------------------------------------------------------
// standbys
TEST_F(MoveAttackTest, AStandbyThatIsAwayStopsAMoveBeforeItBegins) {
  ASSERT_TRUE(cluster_->pg_stop("s1-replica1", localcluster::StopMode::kFast));
  ASSERT_TRUE(eventually([] {
    return psql(1, "SELECT count(*) FROM pg_stat_replication WHERE application_name = 's1-replica1'") == "0";
  }));
  EXPECT_THAT(move("350", 1).error, HasSubstr("standby s1-replica1 does not stream"));
  ASSERT_TRUE(cluster_->pg_start("s1-replica1"));
}

TEST_F(MoveAttackTest, TheSourceTakesBackOnlyWhenTheTargetsStandbyKnowsOfTheAbort) {
  fill(351, 351);
  ASSERT_FALSE(move("351", 1, {"--id", "durable", "--no-guardian"}, "after fence").is_ok);
  ASSERT_TRUE(cluster_->pg_stop("s1-replica1", localcluster::StopMode::kFast));
  auto abort = std::async(std::launch::async, [] { return tool({"abort", "--id", "durable", "--no-guardian"}); });
  ASSERT_TRUE(
      eventually([] { return psql(1, "SELECT step FROM shard.move WHERE move_id = 'durable'") == "aborting"; }));
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(psql(0, "SELECT state FROM shard.bucket WHERE bucket = 351"), "fenced");
  ASSERT_TRUE(cluster_->pg_start("s1-replica1"));
  EXPECT_TRUE(abort.get().is_ok);
  EXPECT_EQ(psql(0, "SELECT state, epoch FROM shard.bucket WHERE bucket = 351"), "owned|4")
      << "an odd step, beyond any flip";
}

TEST_F(MoveAttackTest, TheFenceIsOnTheSourcesStandbyBeforeTheHandOver) {
  fill(352, 352);
  Waiting waiting = move_that_waits(352);
  // The standby receives nothing any more, but is connected still.
  ASSERT_TRUE(cluster_->pause("s0-replica1"));
  ASSERT_TRUE(waiting.writer.run("COMMIT"));
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(owned(1, 352, 352), "0");
  ASSERT_TRUE(cluster_->resume("s0-replica1"));
  const Answer moved = waiting.move.get();
  EXPECT_TRUE(moved.is_ok) << moved.error;
  EXPECT_EQ(owned(1, 352, 352), "1");
}

// ------------------------------------------------------------------------------------------------------ tables with
// traps
TEST_F(MoveAttackTest, TextThatDependsOnSettingsIdentityColumnsAndGeneratedOnesAreMoved) {
  fill(360, 360);
  psql(0, "INSERT INTO odd (bucket, id, pos) SELECT 360, g, g FROM generate_series(1, 50) g");
  const std::string serials =
      psql(0, "SELECT sum(serial), sum(extract(epoch FROM at))::numeric, sum(price) FROM odd WHERE bucket = 360");
  const Answer moved = move("360", 1);
  ASSERT_TRUE(moved.is_ok) << moved.error;
  EXPECT_EQ(psql(1,
                 "SET extra_float_digits = 3; SELECT sum(serial), sum(extract(epoch FROM at))::numeric, sum(price) "
                 "FROM odd WHERE bucket = 360"),
            serials);
}

TEST_F(MoveAttackTest, ChangedKeysSwapsUnderADeferredConstraintAndToastedValuesAreApplied) {
  fill(361, 361);
  psql(0, "INSERT INTO odd (bucket, id, pos) VALUES (361, 1, 1), (361, 2, 2)");
  psql(0,
       "UPDATE account SET note = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 400) g) WHERE bucket = "
       "361");
  Waiting waiting = move_that_waits(361);
  psql(0, "UPDATE entry SET seq = 77 WHERE bucket = 361 AND account_id = 2000000000000");  // the key itself
  psql(0, "UPDATE account SET counter = counter + 1 WHERE bucket = 361");  // note stays out of the stream
  psql(0, "UPDATE odd SET pos = 3 - pos WHERE bucket = 361");              // a legal swap
  psql(0, "DELETE FROM a_label WHERE bucket = 361 AND account_id = 2000000000001");
  const Answer moved = waiting.release();
  ASSERT_TRUE(moved.is_ok) << moved.error;
  EXPECT_EQ(moved.json["outcome"], "finished");
  EXPECT_EQ(psql(1, "SELECT count(*), count(*) FILTER (WHERE seq = 77) FROM entry WHERE bucket = 361"), "40|1");
  EXPECT_EQ(psql(1, "SELECT count(*) FROM account WHERE bucket = 361 AND counter = 8 AND length(note) = 12800"), "40");
  EXPECT_EQ(psql(1, "SELECT string_agg(id || ':' || pos, ' ' ORDER BY id) FROM odd WHERE bucket = 361"), "1:2 2:1");
  EXPECT_EQ(psql(1, "SELECT count(*) FROM a_label WHERE bucket = 361"), "39");
}

TEST_F(MoveAttackTest, ASchemaChangeDuringAMoveEndsIt) {
  fill(362, 362);
  Waiting waiting = move_that_waits(362);
  psql(0, "ALTER TABLE a_label ADD COLUMN added int");
  psql(0, "UPDATE a_label SET added = 1 WHERE bucket = 362");
  const Answer moved = waiting.release();
  EXPECT_FALSE(moved.is_ok);
  EXPECT_EQ(moved.json["outcome"], "aborted");
  EXPECT_THAT(moved.json["reason"].get<std::string>(), HasSubstr("schema change"));
  EXPECT_EQ(owned(0, 362, 362), "1");
  psql(0, "ALTER TABLE a_label DROP COLUMN added");
  expect_nothing_left();
}

TEST_F(MoveAttackTest, ADifferenceThatArosesAfterTheComparisonIsFoundAtTheFence) {
  fill(363, 363);
  Waiting waiting = move_that_waits(363, {"--id", "crooked"});
  psql(1,
       "SET session_replication_role = 'replica'; UPDATE account SET counter = 1000 WHERE bucket = 363 AND id = "
       "2000000000000");
  const Answer moved = waiting.release();
  EXPECT_FALSE(moved.is_ok);
  EXPECT_THAT(moved.error, HasSubstr("differed at the moment of the hand-over"));
  EXPECT_EQ(rows_of(0, 363, 363), "40") << "nothing is cleaned";
  EXPECT_EQ(psql(0, "SELECT checked FROM shard.move WHERE move_id = 'crooked'"), "f");
  const Answer back = tool({"rollback", "--id", "crooked"});
  EXPECT_TRUE(back.is_ok) << back.error;
  EXPECT_EQ(owned(0, 363, 363), "1");
  expect_nothing_left();
}

TEST_F(MoveAttackTest, ARowThatIsMissingAtTheTargetStopsTheApplier) {
  fill(364, 364);
  Waiting waiting = move_that_waits(364);
  psql(1,
       "SET session_replication_role = 'replica'; DELETE FROM a_label WHERE bucket = 364 AND account_id = "
       "2000000000000");
  psql(0, "UPDATE a_label SET label = 'x' WHERE bucket = 364 AND account_id = 2000000000000");
  const Answer moved = waiting.release();
  EXPECT_EQ(moved.json["outcome"], "aborted");
  EXPECT_THAT(moved.json["reason"].get<std::string>(), HasSubstr("hit 0 rows"));
  expect_nothing_left();
}

TEST_F(MoveAttackTest, ATruncateIsRefused) {
  PgLink writer = link(0);
  EXPECT_EQ(state_of(writer.run("TRUNCATE a_label")), "SH005");
}

}  // namespace
}  // namespace tidemark::shards
