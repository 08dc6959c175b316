#include "tests/e2e/postgres/shard_fixture.h"

namespace tidemark::shardrouter {
namespace {

class ShardPoolTest : public ShardTest {};

std::string cell(const ResultSet& set) {
  return set.rows.at(0).at(0).value_or("NULL");
}

TEST_F(ShardPoolTest, GivesOneResultPerStatementOverAllGroupsInOrder) {
  Pipeline pipeline;
  pipeline.groups.push_back({{"BEGIN", {}}, {"SELECT $1::int + 1", {"41"}}, {"SELECT NULL::text", {}}, {"COMMIT", {}}});
  pipeline.groups.push_back({{"SELECT $1::text AS word", {"tide"}}});
  const Answer answer = run(pipeline);
  ASSERT_TRUE(answer) << answer.error().to_string();
  ASSERT_EQ(answer->size(), 5u);
  EXPECT_EQ(cell((*answer)[1]), "42");
  EXPECT_EQ((*answer)[2].rows.at(0).at(0), std::nullopt);
  EXPECT_EQ((*answer)[3].command_tag, "COMMIT");
  EXPECT_EQ((*answer)[4].columns, std::vector<std::string>{"word"});
  EXPECT_EQ(cell((*answer)[4]), "tide");
}

TEST_F(ShardPoolTest, KeepsItsAnswersApartWhenManyRequestsWait) {
  std::vector<Box> boxes;
  for (int i = 0; i < 500; ++i) boxes.push_back(begin(one("SELECT $1::int", {std::to_string(i)})));
  for (int i = 0; i < 500; ++i) {
    const Answer answer = await(boxes[static_cast<size_t>(i)]);
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(cell(answer->at(0)), std::to_string(i));
  }
  EXPECT_LE(pool_->servers().at(0).connections, ShardPool::Options{}.connections_per_server_max);
}

TEST_F(ShardPoolTest, OutlivesMoreStatementTextsThanAConnectionPrepares) {
  open_pool({.passfile = {}, .connections_per_server_max = 1});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 300; ++i) {
      const Answer answer = run(one("SELECT " + std::to_string(i)));
      ASSERT_TRUE(answer) << answer.error().to_string();
      ASSERT_EQ(cell(answer->at(0)), std::to_string(i));
    }
  }
  const Answer prepared = run(one("SELECT count(*) FROM pg_prepared_statements"));
  ASSERT_TRUE(prepared);
  EXPECT_LE(std::stoi(cell(prepared->at(0))), 256);
}

TEST_F(ShardPoolTest, AnswersAtTheDeadlineAndNeverUsesTheConnectionDirty) {
  open_pool({.passfile = {}, .connections_per_server_max = 1});
  ASSERT_TRUE(run(one("SELECT 1")));
  const auto start = std::chrono::steady_clock::now();
  const Answer late = run(one("SELECT pg_sleep(0.4), 'late'"), 100ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 350ms);
  const Answer next = run(one("SELECT 'next'"));
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(cell(next->at(0)), "next");
}

TEST_F(ShardPoolTest, ReplacesAConnectionThatDoesNotDrain) {
  open_pool({.passfile = {}, .connections_per_server_max = 1});
  const Answer stuck = run(one("SELECT pg_sleep(60)"), 50ms);
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().code, ErrorCode::kDeadlineExceeded);
  ASSERT_TRUE(eventually([&] { return run(one("SELECT 1")).has_value(); }));
}

TEST_F(ShardPoolTest, RefusesWhatDoesNotFitIntoTheQueue) {
  open_pool({.passfile = {}, .connections_per_server_max = 1, .queue_max = 2});
  ASSERT_TRUE(run(one("SELECT 1")));
  const Box running = begin(one("SELECT pg_sleep(0.2)"));
  const Box waiting1 = begin(one("SELECT 1"));
  const Box waiting2 = begin(one("SELECT 2"));
  const Answer refused = run(one("SELECT 3"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(await(running));
  EXPECT_TRUE(await(waiting1));
  EXPECT_TRUE(await(waiting2));
}

TEST_F(ShardPoolTest, RollsBackAFailedTransactionBeforeTheNextRequest) {
  open_pool({.passfile = {}, .connections_per_server_max = 1});
  Pipeline pipeline;
  pipeline.groups.push_back(
      {{"BEGIN", {}}, {"INSERT INTO item VALUES (1, 1, 1)", {}}, {"SELECT 1/0", {}}, {"COMMIT", {}}});
  const Answer failed = run(pipeline);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(failed.error().message, ::testing::StartsWith("22012"));
  const Answer count = run(one("SELECT count(*) FROM item"));
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_EQ(cell(count->at(0)), "0");
}

TEST_F(ShardPoolTest, RefusesAPipelineThatLeavesItsTransactionOpen) {
  Pipeline pipeline;
  pipeline.groups.push_back({{"BEGIN", {}}, {"INSERT INTO item VALUES (1, 1, 1)", {}}});
  const Answer open = run(pipeline);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(psql("SELECT count(*) FROM item"), "0");
}

TEST_F(ShardPoolTest, MapsErrorsByTheirSqlstate) {
  ASSERT_TRUE(write({1, 1}, "INSERT INTO item VALUES (1, 1, 1)"));
  const auto duplicate = write({1, 1}, "INSERT INTO item VALUES (1, 1, 2)");
  ASSERT_FALSE(duplicate);
  EXPECT_EQ(duplicate.error().code, ErrorCode::kInvalidArgument);
  const Answer nonsense = run(one("SELEC 1"));
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, ErrorCode::kInternal);
  EXPECT_THAT(nonsense.error().message, ::testing::StartsWith("42601"));
}

TEST_F(ShardPoolTest, PreparesAgainWhenATableChangedUnderAPlan) {
  open_pool({.passfile = {}, .connections_per_server_max = 1});
  psql("CREATE TABLE IF NOT EXISTS shape (a int); GRANT SELECT ON shape TO tidemark_app");
  ASSERT_TRUE(run(one("SELECT * FROM shape")));
  psql("ALTER TABLE shape ADD COLUMN b int");
  const Answer stale = run(one("SELECT * FROM shape"));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, ErrorCode::kAborted);
  EXPECT_TRUE(run(one("SELECT * FROM shape")));
  psql("DROP TABLE shape");
}

TEST_F(ShardPoolTest, FailsAtOnceWhileTheServerIsDownAndComesBackWithIt) {
  ASSERT_TRUE(run(one("SELECT 1")));
  ASSERT_TRUE(cluster_->pg_stop("s0-primary", localcluster::StopMode::kFast));
  ASSERT_TRUE(eventually([&] { return pool_->servers().at(0).connections == 0; }));
  const auto start = std::chrono::steady_clock::now();
  const Answer down = run(one("SELECT 1"), 5s);
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().code, ErrorCode::kUnavailable) << down.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  EXPECT_FALSE(pool_->servers().at(0).is_usable);
  ASSERT_TRUE(cluster_->pg_start("s0-primary"));
  ASSERT_TRUE(eventually([&] { return run(one("SELECT 1")).has_value(); }, 5s));
}

TEST_F(ShardPoolTest, SaysThatAWriteCutOffByACrashMayHaveHappened) {
  ASSERT_TRUE(run(one("SELECT 1")));
  const Box cut = begin(one("INSERT INTO item SELECT 1, 1, 1 FROM pg_sleep(30)"), 10s);
  const Box read = begin(one("SELECT pg_sleep(30)"), 10s);
  ASSERT_TRUE(eventually([&] {
    return psql(
               "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' "
               "AND usename = 'tidemark_app'") == "2";
  }));
  ASSERT_TRUE(cluster_->pg_stop("s0-primary", localcluster::StopMode::kImmediate));
  const Answer written = await(cut);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kOutcomeUnknown) << written.error().message;
  const Answer asked = await(read);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, ErrorCode::kUnavailable) << asked.error().message;
  ASSERT_TRUE(cluster_->pg_start("s0-primary"));
}

TEST_F(ShardPoolTest, KeepsDeadlinesWhileTheServerSleeps) {
  ASSERT_TRUE(run(one("SELECT 1")));
  ASSERT_TRUE(cluster_->pause("s0-primary"));
  const auto start = std::chrono::steady_clock::now();
  const Answer asleep = run(one("SELECT 1"), 200ms);
  EXPECT_FALSE(asleep);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 400ms);
  ASSERT_TRUE(cluster_->resume("s0-primary"));
  ASSERT_TRUE(eventually([&] { return run(one("SELECT 1")).has_value(); }));
}

TEST_F(ShardPoolTest, ChoosesAReplicaByItsReplayPosition) {
  const auto replica = ShardPool::Target::kReplica;
  const auto written = write({3, 1}, "INSERT INTO item VALUES (3, 1, 7)");
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_TRUE(
      eventually([&] { return run(one("SELECT value FROM item"), 1s, replica, written->token.lsn).has_value(); }));
  const Answer read = run(one("SELECT value, pg_is_in_recovery() FROM item"), 1s, replica, written->token.lsn);
  ASSERT_TRUE(read);
  EXPECT_EQ(cell(read->at(0)), "7");
  EXPECT_EQ(read->at(0).rows.at(0).at(1), "t");

  ASSERT_TRUE(cluster_->pause_replay("s0-replica1"));
  const auto newer = write({3, 1}, "UPDATE item SET value = 8");
  ASSERT_TRUE(newer);
  const Answer behind = run(one("SELECT value FROM item"), 1s, replica, newer->token.lsn);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, ErrorCode::kFailedPrecondition);
  const Answer any = run(one("SELECT value FROM item"), 1s, replica);
  ASSERT_TRUE(any) << any.error().to_string();
  EXPECT_EQ(cell(any->at(0)), "7");
  ASSERT_TRUE(cluster_->resume_replay("s0-replica1"));
}

TEST_F(ShardPoolTest, NamesAWrongPassword) {
  const std::filesystem::path wrong = cluster_->directory() / "wrong.pgpass";
  std::ofstream(wrong) << "*:*:*:tidemark_app:wrong\n";
  std::filesystem::permissions(wrong, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  open_pool({.passfile = wrong.string()});
  const Answer refused = run(one("SELECT 1"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated) << refused.error().message;
}

}  // namespace
}  // namespace tidemark::shardrouter
