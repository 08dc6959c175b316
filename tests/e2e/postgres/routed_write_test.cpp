#include <libpq-fe.h>
#include <signal.h>

#include "shardrouter/routing/bucket_map.h"
#include "shardrouter/routing/bucket_refusal.h"
#include "tests/e2e/postgres/shard_fixture.h"

namespace tidemark::shardrouter {
namespace {

// A second session of the application, outside of the pool, for interleavings.
struct Session {
  explicit Session(LocalCluster& cluster)
      : connection(PQconnectdb((cluster.process("s0-primary")->conninfo +
                                " user=tidemark_app passfile=" + cluster.passfile("tidemark_app").string())
                                   .c_str())) {}
  ~Session() { PQfinish(connection); }
  // SQLSTATE, or "" when it worked.
  std::string run(const char* sql) {
    PGresult* result = PQexec(connection, sql);
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    std::string text(state ? state : PQstatus(connection) == CONNECTION_OK ? "" : "no connection");
    PQclear(result);
    return text;
  }
  PGconn* connection;
};

class RoutedWriteTest : public ShardTest {
 protected:
  static void move_away(int bucket) {
    psql("UPDATE shard.bucket SET state = 'moved', epoch = 3, forward = '1' WHERE bucket = " + std::to_string(bucket));
  }
  static constexpr BucketRefusal kMovedToShard1{BucketState::kMoved, 3, ShardId{1}};
};

TEST_F(RoutedWriteTest, ReturnsATokenThatNamesItsCommit) {
  const auto written = write({5, 1}, "INSERT INTO item VALUES (5, 1, 10) RETURNING xmin::text");
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_EQ(written->results.size(), 1u);
  EXPECT_EQ(std::to_string(written->token.xid), written->results[0].rows.at(0).at(0));
  EXPECT_EQ(std::to_string(written->token.db_epoch), psql("SELECT e FROM tidemark.epoch"));
  EXPECT_EQ(psql("SELECT pg_current_wal_insert_lsn() >= '" + written->token.lsn.to_string() + "'"), "t");
}

TEST_F(RoutedWriteTest, IsRefusedWithTheForwardAddressByAnOldMap) {
  ASSERT_TRUE(write({6, 1}, "INSERT INTO item VALUES (6, 1, 10)"));
  move_away(6);
  const auto refused = write({6, 1}, "UPDATE item SET value = 11 WHERE bucket = 6 AND id = 1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(refusal_of(refused.error()), kMovedToShard1);
  EXPECT_EQ(psql("SELECT value FROM item WHERE bucket = 6"), "10");
}

TEST_F(RoutedWriteTest, IsRefusedWithTheForwardAddressAlsoWhenItMatchesNoRow) {
  move_away(6);
  const auto refused = write({6, 1}, "UPDATE item SET value = 11 WHERE bucket = 6 AND id = 99");
  ASSERT_FALSE(refused);
  const auto refusal = refusal_of(refused.error());
  ASSERT_EQ(refusal, kMovedToShard1);

  Topology topology;
  topology.buckets.assign(kBucketCount, BucketOwner{0, 1});
  BucketMap map(topology);
  EXPECT_EQ(map.heal(6, 0, 1, *refusal), BucketMap::Heal::kRetry);
  EXPECT_EQ(map.find(6), (BucketOwner{1, 3}));
}

TEST_F(RoutedWriteTest, IsRefusedByAnOwnedBucketOfAnotherEpoch) {
  const auto refused = write({7, 2}, "DELETE FROM item WHERE bucket = 7");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refusal_of(refused.error()), (BucketRefusal{BucketState::kOwned, 1, std::nullopt}));
}

TEST_F(RoutedWriteTest, GuardsEveryBucketOfAWriteToSeveral) {
  move_away(9);
  auto pipeline = make_routed_write({{8, 1}, {9, 1}}, {{"INSERT INTO item VALUES (8, 1, 1)", {}}});
  ASSERT_TRUE(pipeline);
  const Answer refused = run(std::move(*pipeline));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refusal_of(refused.error()), kMovedToShard1);
  auto good = make_routed_write({{8, 1}, {10, 1}}, {{"INSERT INTO item VALUES (8, 1, 1), (10, 1, 1)", {}}});
  Answer done = run(std::move(*good));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(read_routed_write(0, std::move(*done)));
}

TEST_F(RoutedWriteTest, WaitsForAFenceInProgressAndIsThenRefused) {
  Session fencer(*cluster_);
  ASSERT_EQ(fencer.run("BEGIN"), "");
  ASSERT_EQ(fencer.run("SELECT pg_advisory_xact_lock(7001, 11)"), "");
  auto pipeline = make_routed_write({{11, 1}}, {{"INSERT INTO item VALUES (11, 1, 1)", {}}});
  const Box box = begin(std::move(*pipeline));
  ASSERT_TRUE(eventually(
      [&] { return psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1"; }));
  move_away(11);
  ASSERT_EQ(fencer.run("COMMIT"), "");
  const Answer refused = await(box);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refusal_of(refused.error()), kMovedToShard1);
}

TEST_F(RoutedWriteTest, IsAbortedInRepeatableReadWhenTheBucketWasFencedAfterItsSnapshot) {
  ASSERT_TRUE(write({12, 1}, "INSERT INTO item VALUES (12, 1, 1)"));
  Session session(*cluster_);
  ASSERT_EQ(session.run("SELECT tidemark.open_incarnation()"), "");
  ASSERT_EQ(session.run("BEGIN ISOLATION LEVEL REPEATABLE READ"), "");
  ASSERT_EQ(session.run("SELECT count(*) FROM item"), "");
  move_away(12);
  EXPECT_EQ(session.run("SELECT shard.guard(12, 1)"), "40001");
  ASSERT_EQ(session.run("ROLLBACK"), "");
  // In READ COMMITTED the guard sees the fence itself.
  ASSERT_EQ(session.run("BEGIN"), "");
  ASSERT_EQ(session.run("SELECT count(*) FROM item"), "");
  EXPECT_EQ(session.run("SELECT shard.guard(12, 1)"), "SH001");
}

TEST_F(RoutedWriteTest, BackstopRefusesWritersThatCallNoGuard) {
  ASSERT_TRUE(write({13, 1}, "INSERT INTO item VALUES (13, 1, 1)"));
  move_away(13);
  Session session(*cluster_);
  EXPECT_EQ(session.run("UPDATE item SET value = 2 WHERE bucket = 13"), "SH001");
  EXPECT_EQ(session.run("DELETE FROM item WHERE bucket = 13"), "SH001");
  EXPECT_EQ(session.run("INSERT INTO item VALUES (13, 2, 2)"), "SH001");
  EXPECT_EQ(session.run("INSERT INTO item VALUES (14, 2, 2)"), "");
  EXPECT_EQ(session.run("UPDATE item SET bucket = 15 WHERE bucket = 14"), "SH003");
  // A guard for one bucket opens no other.
  ASSERT_EQ(session.run("SELECT tidemark.open_incarnation()"), "");
  ASSERT_EQ(session.run("BEGIN"), "");
  ASSERT_EQ(session.run("SELECT shard.guard(3, 1)"), "");
  EXPECT_EQ(session.run("UPDATE item SET value = 2 WHERE bucket = 13"), "SH001");
  ASSERT_EQ(session.run("ROLLBACK"), "");
  const auto truncated = cluster_->psql("s0-primary", "TRUNCATE item");
  ASSERT_FALSE(truncated);
  EXPECT_THAT(truncated.error().message, ::testing::HasSubstr("SH005"));
  // Otherwise the next test could not clean up.
  psql("UPDATE shard.bucket SET state = 'owned', epoch = 1, forward = NULL WHERE bucket = 13");
}

TEST_F(RoutedWriteTest, TheApplicationsRoleCannotTakeBucketsOrEpochs) {
  Session session(*cluster_);
  EXPECT_EQ(session.run("UPDATE shard.bucket SET epoch = 9"), "42501");
  EXPECT_EQ(session.run("UPDATE tidemark.epoch SET e = 9"), "42501");
  EXPECT_EQ(session.run("SELECT shard.protect_table('item')"), "42501");
}

TEST_F(RoutedWriteTest, EveryRestartOfThePrimaryHasItsOwnDbEpoch) {
  const auto before = write({16, 1}, "INSERT INTO item VALUES (16, 1, 1)");
  ASSERT_TRUE(before) << before.error().to_string();
  ASSERT_TRUE(cluster_->pg_stop("s0-primary", localcluster::StopMode::kImmediate));
  ASSERT_TRUE(cluster_->pg_start("s0-primary"));
  // A guard before anybody opened the incarnation is refused: nobody commits under the old number.
  Session session(*cluster_);
  ASSERT_EQ(session.run("BEGIN"), "");
  EXPECT_EQ(session.run("SELECT shard.guard(16, 1)"), "SH004");
  ASSERT_EQ(session.run("ROLLBACK"), "");

  Result<RoutedWriteResult> after = fail(ErrorCode::kInternal, "not tried");
  ASSERT_TRUE(eventually([&] {
    after = write({16, 1}, "UPDATE item SET value = 2 WHERE bucket = 16");
    return after.has_value();
  }));
  EXPECT_EQ(after->token.db_epoch, before->token.db_epoch + 1);
  ASSERT_EQ(session.run("BEGIN"), "");
  EXPECT_EQ(session.run("SELECT shard.guard(16, 1)"), "");
}

TEST_F(RoutedWriteTest, TheCrashOfOneBackendStartsANewDbEpochToo) {
  const auto before = write({17, 1}, "INSERT INTO item VALUES (17, 1, 1)");
  ASSERT_TRUE(before) << before.error().to_string();
  const std::string started = psql("SELECT pg_postmaster_start_time()");
  Session victim(*cluster_);
  ASSERT_EQ(::kill(PQbackendPID(victim.connection), SIGKILL), 0);
  Result<RoutedWriteResult> after = fail(ErrorCode::kInternal, "not tried");
  ASSERT_TRUE(eventually([&] {
    after = write({17, 1}, "UPDATE item SET value = 2 WHERE bucket = 17");
    return after.has_value() && after->token.db_epoch != before->token.db_epoch;
  }));
  EXPECT_EQ(after->token.db_epoch, before->token.db_epoch + 1);
  EXPECT_EQ(psql("SELECT pg_postmaster_start_time()"), started);
}

}  // namespace
}  // namespace tidemark::shardrouter
