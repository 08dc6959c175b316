// What a DBA can do with a move: look, pause, take back, hold, finish; and what stops one before it begins.
#include <chrono>
#include <thread>

#include "tests/e2e/moves/move_fixture.h"

namespace tidemark::shards {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class MoveVerbsTest : public MoveTest {
 protected:
  static Answer verb(const std::string& name, std::vector<std::string> more = {}) {
    more.insert(more.begin(), name);
    return tool(more);
  }
  // True once the condition holds.
  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  }
};

TEST_F(MoveVerbsTest, ADryRunSaysWhatWouldHappenAndChangesNothing) {
  fill(100, 103);
  const Answer answer = move("100-103", 1, {"--dry-run"});
  ASSERT_TRUE(answer.is_ok) << answer.error;
  EXPECT_EQ(answer.json["rows"], 4 * 40 * 3);
  EXPECT_EQ(answer.json["tables"].size(), 3u);
  EXPECT_GT(answer.json["predicted_blocked_ms"].get<double>(), 0);
  ASSERT_TRUE(answer.json["target_free_bytes"].is_number()) << "the target's own df was asked";
  EXPECT_GT(answer.json["target_free_bytes"].get<int64_t>(), 1 << 20);
  EXPECT_TRUE(answer.json["refusals"].empty());
  EXPECT_EQ(psql(0, "SELECT count(*) FROM shard.move WHERE bucket_lo = 100"), "0");
}

TEST_F(MoveVerbsTest, APausedMoveHandsNothingOverUntilItIsResumed) {
  fill(110, 110);
  ASSERT_FALSE(move("110", 1, {"--id", "slow", "--no-guardian"}, "after copy").is_ok);
  EXPECT_THAT(verb("watch", {"--once"}).json[0]["source_step"], "reserved");
  const Answer verified = verb("verify", {"--id", "slow"});
  ASSERT_TRUE(verified.is_ok) << verified.error;
  EXPECT_EQ(verified.json["outcome"], "verified");
  EXPECT_EQ(verified.json["rows_verified"], 120);
  EXPECT_EQ(owned(0, 110, 110), "1");
  EXPECT_EQ(psql(0, "SELECT wish FROM shard.move WHERE move_id = 'slow'"), "pause");
  const Answer resumed = verb("resume", {"--id", "slow"});
  ASSERT_TRUE(resumed.is_ok) << resumed.error;
  EXPECT_EQ(owned(1, 110, 110), "1");
  expect_nothing_left();
}

TEST_F(MoveVerbsTest, AMoveIsPreparedAheadAndHandedOverLater) {
  fill(112, 112);
  const Answer prepared = move("112", 1, {"--id", "ahead", "--prepare"});
  ASSERT_TRUE(prepared.is_ok) << prepared.error;
  EXPECT_EQ(prepared.json["outcome"], "verified");
  EXPECT_EQ(owned(0, 112, 112), "1");
  psql(0, "UPDATE account SET counter = 8 WHERE bucket = 112");
  const Answer resumed = verb("resume", {"--id", "ahead"});
  ASSERT_TRUE(resumed.is_ok) << resumed.error;
  EXPECT_EQ(psql(1, "SELECT count(*) FROM account WHERE bucket = 112 AND counter = 8"), "40");
  expect_nothing_left();
}

TEST_F(MoveVerbsTest, AMoveThatKeepsTooMuchOfTheSourcesLogIsGivenUp) {
  fill(114, 114);
  ASSERT_TRUE(move("114", 1, {"--id", "greedy", "--prepare"}).is_ok);
  psql(0, "SELECT count(pg_logical_emit_message(false, 'x', repeat('y', 100000))) FROM generate_series(1, 100)");
  const Answer resumed = verb("resume", {"--id", "greedy", "--wal-max", "4mb"});
  EXPECT_FALSE(resumed.is_ok);
  EXPECT_EQ(resumed.json["outcome"], "aborted");
  EXPECT_THAT(resumed.json["reason"].get<std::string>(), HasSubstr("bytes of WAL at shard 0"));
  EXPECT_EQ(owned(0, 114, 114), "1");
  EXPECT_EQ(rows_of(1, 114, 114), "0");
  expect_nothing_left();
}

TEST_F(MoveVerbsTest, AnAbortBeforeTheHandOverLeavesTheSourceAsItWas) {
  int bucket = 120;
  for (const char* place :
       {"after reserve source", "after reserve target", "after copy", "after verify", "after fence"}) {
    SCOPED_TRACE(place);
    fill(bucket, bucket);
    const std::string buckets = std::to_string(bucket);
    ASSERT_FALSE(move(buckets, 1, {"--no-guardian"}, place).is_ok);
    const Answer aborted = verb("abort");
    EXPECT_TRUE(aborted.is_ok) << aborted.error;
    EXPECT_EQ(owned(0, bucket, bucket), "1");
    EXPECT_EQ(owned(1, bucket, bucket), "0");
    EXPECT_EQ(rows_of(0, bucket, bucket), "40");
    EXPECT_EQ(rows_of(1, bucket, bucket), "0");
    expect_nothing_left();
    // A fence that was taken back cost three epochs, and a new move still works.
    const Answer again = move(buckets, 1);
    EXPECT_TRUE(again.is_ok) << again.error;
    EXPECT_EQ(rows_of(1, bucket, bucket), "40");
    ++bucket;
  }
}

TEST_F(MoveVerbsTest, AnAbortAfterTheHandOverIsRefused) {
  fill(130, 130);
  ASSERT_FALSE(move("130", 1, {"--id", "late", "--no-guardian"}, "after mark moved").is_ok);
  EXPECT_THAT(verb("abort", {"--id", "late"}).error, HasSubstr("handed over already"));
  ASSERT_TRUE(verb("resume", {"--id", "late"}).is_ok);
  EXPECT_EQ(owned(1, 130, 130), "1");
}

TEST_F(MoveVerbsTest, AHeldMoveIsTakenBackWithWhatWasWrittenSince) {
  fill(140, 141);
  const Answer held = move("140-141", 1, {"--id", "held", "--hold"});
  ASSERT_TRUE(held.is_ok) << held.error;
  EXPECT_EQ(held.json["outcome"], "held");
  EXPECT_EQ(owned(1, 140, 141), "2");
  EXPECT_EQ(rows_of(0, 140, 141), "80");  // kept, for nobody to write to
  psql(1, "UPDATE account SET counter = 99 WHERE bucket = 140");
  psql(1, "INSERT INTO account (bucket, id, counter, name) VALUES (141, 5, 5, 'new')");
  psql(1, "DELETE FROM a_label WHERE bucket = 141 AND account_id = 2000000000000");
  const Answer back = verb("rollback", {"--id", "held"});
  ASSERT_TRUE(back.is_ok) << back.error;
  EXPECT_EQ(back.json["outcome"], "finished");
  EXPECT_EQ(back.json["rows_copied"], 0);
  EXPECT_EQ(owned(0, 140, 141), "2");
  EXPECT_EQ(owned(1, 140, 141), "0");
  EXPECT_EQ(psql(0, "SELECT count(*) FROM account WHERE bucket = 140 AND counter = 99"), "40");
  EXPECT_EQ(psql(0, "SELECT name FROM account WHERE bucket = 141 AND id = 5"), "new");
  EXPECT_EQ(psql(0, "SELECT count(*) FROM a_label WHERE bucket = 141"), "39");
  EXPECT_EQ(rows_of(1, 140, 141), "0");
  expect_nothing_left();
}

TEST_F(MoveVerbsTest, AHeldMoveIsCompleted) {
  fill(150, 150);
  ASSERT_TRUE(move("150", 1, {"--id", "kept", "--hold"}).is_ok);
  EXPECT_EQ(rows_of(0, 150, 150), "40");
  const Answer done = verb("complete", {"--id", "kept"});
  ASSERT_TRUE(done.is_ok) << done.error;
  EXPECT_EQ(rows_of(0, 150, 150), "0");
  EXPECT_THAT(verb("rollback", {"--id", "kept"}).error, HasSubstr("no move"));
  expect_nothing_left();
}

TEST_F(MoveVerbsTest, TheGuardianGoesOnWhenTheToolIsKilled) {
  int bucket = 160;
  for (const char* place : {"after copy", "after fence", "after flip", "after mark moved"}) {
    SCOPED_TRACE(place);
    fill(bucket, bucket);
    ASSERT_FALSE(move(std::to_string(bucket), 1, {}, place).is_ok);
    EXPECT_TRUE(eventually([&] {
      return psql(0, "SELECT count(*) FROM shard.move WHERE ended_at IS NULL") == "0" &&
             psql(1, "SELECT count(*) FROM shard.move WHERE ended_at IS NULL") == "0";
    })) << psql(0, "SELECT * FROM shard.move WHERE ended_at IS NULL");
    EXPECT_EQ(owned(1, bucket, bucket), "1");
    EXPECT_EQ(rows_of(1, bucket, bucket), "40");
    expect_nothing_left();
    ++bucket;
  }
}

TEST_F(MoveVerbsTest, ASecondToolForTheSameMoveIsRefusedWhileTheFirstShowsItself) {
  fill(170, 170);
  ASSERT_FALSE(move("170", 1, {"--id", "busy", "--no-guardian"}, "after copy").is_ok);
  // Somebody holds the move's lock, and its heart beats.
  std::jthread holder([](std::stop_token stop) {
    while (!stop.stop_requested())
      psql(0,
           "SELECT pg_advisory_lock(7002, hashtext('busy')); UPDATE shard.move SET heartbeat = clock_timestamp() "
           "WHERE move_id = 'busy'; SELECT pg_sleep(0.2)");
  });
  ASSERT_TRUE(eventually(
      [] { return psql(0, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7002") != "0"; }));
  EXPECT_THAT(move("170", 1, {"--no-guardian"}).error, HasSubstr("another process"));
  holder.request_stop();
  holder.join();
  EXPECT_TRUE(move("170", 1).is_ok);
  expect_nothing_left();
}

TEST_F(MoveVerbsTest, ASilentToolsSessionsAreEnded) {
  fill(175, 175);
  ASSERT_FALSE(move("175", 1, {"--id", "silent", "--no-guardian"}, "after fence").is_ok);
  std::jthread holder([] {
    (void)cluster_->psql("s0-primary", "SELECT pg_advisory_lock(7002, hashtext('silent')); SELECT pg_sleep(60)");
  });
  ASSERT_TRUE(eventually(
      [] { return psql(0, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7002") != "0"; }));
  ASSERT_TRUE(eventually([] {
    return psql(0,
                "SELECT heartbeat < clock_timestamp() - interval '600 ms' FROM shard.move WHERE move_id = 'silent'") ==
           "t";
  }));
  const Answer resumed = verb("resume", {"--id", "silent"});
  EXPECT_TRUE(resumed.is_ok) << resumed.error;
  EXPECT_EQ(owned(1, 175, 175), "1");
}

TEST_F(MoveVerbsTest, PreFlightRefusesAndChangesNothing) {
  psql(0,
       "CREATE TABLE IF NOT EXISTS public.lonely (bucket int NOT NULL, id int NOT NULL, number int UNIQUE, PRIMARY KEY "
       "(bucket, id)); SELECT shard.protect_table('public.lonely')");
  EXPECT_THAT(move("180", 1).error,
              AllOf(HasSubstr("nothing was changed"), HasSubstr("lonely: does not exist at the target")));
  psql(1,
       "CREATE TABLE IF NOT EXISTS public.lonely (bucket int NOT NULL, id int NOT NULL, number bigint UNIQUE, PRIMARY "
       "KEY "
       "(bucket, id)); SELECT shard.protect_table('public.lonely')");
  EXPECT_THAT(move("180", 1).error,
              AllOf(HasSubstr("different columns"), HasSubstr("lonely_number_key is unique without")));
  psql(0, "ALTER TABLE lonely DROP CONSTRAINT lonely_pkey, ADD PRIMARY KEY (id)");
  EXPECT_THAT(move("180", 1).error,
              AllOf(HasSubstr("primary key lacks the bucket"), HasSubstr("every UPDATE of the application")));
  for (const int shard : {0, 1}) psql(shard, "SET session_replication_role = 'replica'; DROP TABLE lonely");
  EXPECT_EQ(psql(0, "SELECT count(*) FROM shard.move WHERE bucket_lo = 180"), "0");
  EXPECT_TRUE(move("180", 1).is_ok);
}

}  // namespace
}  // namespace tidemark::shards
