// Database over fake pools: which server is asked, what is believed, when it asks again.
#include "client/database.h"
#include "client/io/hand_over.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/io/metrics.h"
#include "base/io/system_clock.h"
#include "client/session_token.h"
#include "client/testing/fake_shard_pool.h"

namespace tidemark::client {
namespace {

using shardrouter::ResultSet;
using shardrouter::ShardPool;
using shardrouter::Statement;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tidemark::testing::FakeShardPool;

// One shard: answers gates, rows, scatter parts and writes as a server in this state would.
struct FakeServer {
  std::string inserted = "0/900";  // primary
  std::string replayed = "0/500";  // replica
  std::string received = "0/950";
  std::string primary_xmin = "700";
  std::string db_epoch = "3";
  std::string state = "owned";
  std::string bucket_epoch = "1";
  std::optional<std::string> forward{};
  std::string owned_ranges;
  std::vector<std::vector<std::optional<std::string>>> rows{};
  std::optional<Error> replica_error{}, primary_error{};
  bool primary_is_replica = false;
  int polls = 0;

  Result<std::vector<ResultSet>> answer(const FakeShardPool::Run& run) {
    if (run.pipeline.groups.size() == 1 && run.pipeline.groups[0].size() == 1 &&
        run.pipeline.groups[0][0].sql.find("AS inserted") != std::string::npos) {
      ++polls;
      return {{ResultSet{{"e", "inserted"}, {{db_epoch, inserted}}, "SELECT 1"}}};
    }
    const bool is_replica = run.target == ShardPool::Target::kReplica;
    if (is_replica && replica_error) return std::unexpected(*replica_error);
    if (!is_replica && primary_error) return std::unexpected(*primary_error);
    std::vector<ResultSet> results;
    for (const auto& group : run.pipeline.groups)
      for (const Statement& statement : group) results.push_back(one(statement, is_replica || primary_is_replica));
    return results;
  }
  ResultSet one(const Statement& statement, bool is_replica) const {
    if (statement.sql.starts_with("BEGIN")) return {{}, {}, "BEGIN"};
    if (statement.sql.starts_with("COMMIT")) return {{}, {}, "COMMIT"};
    if (statement.sql.find("shard.guard") != std::string::npos) return {{"guard"}, {{db_epoch}}, "SELECT 1"};
    if (statement.sql.find("pg_current_xact_id()") != std::string::npos) return {{"xid"}, {{"701"}}, "SELECT 1"};
    if (statement.sql == "SELECT pg_current_wal_insert_lsn()::text") return {{"lsn"}, {{inserted}}, "SELECT 1"};
    if (statement.sql.find("pg_is_in_recovery") == std::string::npos) return {{"bucket", "sku"}, rows, "SELECT"};
    ResultSet gate;
    std::vector<std::optional<std::string>> server = {is_replica ? "t" : "f",
                                                      is_replica ? std::optional(replayed) : std::nullopt,
                                                      is_replica ? received : inserted,
                                                      primary_xmin,
                                                      db_epoch,
                                                      std::nullopt};
    if (statement.sql.find("range_agg") != std::string::npos) {
      server.emplace_back(owned_ranges);
    } else if (!statement.params.empty()) {
      server.insert(server.end(), {statement.params[0], state, bucket_epoch, forward});
    }
    gate.rows.push_back(std::move(server));
    return gate;
  }
};

class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto topology = std::make_shared<Topology>();
    topology->version = 1;
    topology->shards = {{0, {}}, {1, {}}};
    for (uint32_t b = 0; b < kBucketCount; ++b)
      topology->buckets.push_back(BucketOwner{static_cast<ShardId>(b < 2048 ? 0 : 1), 1});
    servers_[0].owned_ranges = "{[0,2048)}";
    servers_[1].owned_ranges = "{[2048,4096)}";
    DatabaseOptions options;
    options.position_poll_interval = milliseconds(5);
    options.make_pool = [this](const Shard& shard) {
      auto pool = std::make_shared<FakeShardPool>(
          context_, [this, id = shard.id](const FakeShardPool::Run& run) { return servers_[id].answer(run); });
      pools_[shard.id] = pool;
      return pool;
    };
    database_ = Database::create(context_, topology, options);
  }
  void TearDown() override {
    database_->close();
    context_.run_for(milliseconds(50));
  }

  template <typename T>
  T await(std::optional<T>& box) {
    const Instant end = io::steady_now() + seconds(15);
    while (!box && io::steady_now() < end) {
      context_.restart();
      context_.run_one_for(milliseconds(20));
    }
    if (!box) return fail(ErrorCode::kInternal, "no answer in 15 s");
    return std::move(*box);
  }
  Result<Queried> query(Bucket bucket, QueryOptions options = {}) {
    std::optional<Result<Queried>> box;
    database_->async_query({bucket}, std::vector<Statement>{{"SELECT bucket, sku FROM t"}}, options,
                           [&](Result<Queried> answer) { box = std::move(answer); });
    return await(box);
  }
  Result<Scattered> scatter(QueryOptions options = {}, size_t limit = 3) {
    std::optional<Result<Scattered>> box;
    ScatterQuery query{.sql = "SELECT bucket, sku FROM t", .order_by = {{"sku"}}, .limit = limit};
    database_->async_scatter(query, options, [&](Result<Scattered> answer) { box = std::move(answer); });
    return await(box);
  }
  Result<Written> commit(Transaction tx) {
    std::optional<Result<Written>> box;
    database_->async_commit(std::move(tx), {}, [&](Result<Written> answer) { box = std::move(answer); });
    return await(box);
  }
  // Until the primary's position is known: without it no replica can be chosen by age.
  void learn_positions(ShardId shard = 0) {
    const Instant end = io::steady_now() + seconds(15);
    while (!database_->position_at_most(shard, seconds(60)) && io::steady_now() < end) {
      context_.restart();
      context_.run_one_for(milliseconds(20));
    }
    ASSERT_TRUE(database_->position_at_most(shard, seconds(60)));
  }
  // Targets of the pipelines that read rows, polls left out.
  std::vector<ShardPool::Target> targets(ShardId shard = 0) {
    std::vector<ShardPool::Target> list;
    for (const auto& run : pools_[shard]->runs)
      if (run.pipeline.kind == shardrouter::Pipeline::Kind::kRead) list.push_back(run.target);
    return list;
  }
  static std::vector<std::string> skus(const Result<Scattered>& answer) {
    if (!answer) return {answer.error().to_string()};
    std::vector<std::string> list;
    for (const auto& row : answer->rows.rows) list.push_back(*row[1]);
    return list;
  }

  static constexpr auto kPrimary = ShardPool::Target::kPrimary;
  static constexpr auto kReplica = ShardPool::Target::kReplica;
  boost::asio::io_context context_;
  FakeServer servers_[2];
  std::map<ShardId, std::shared_ptr<FakeShardPool>> pools_;
  std::shared_ptr<Database> database_;
};

TEST_F(DatabaseTest, ReadsFromAReplicaThatHasReplayedWhatMaxStaleAsksFor) {
  learn_positions();
  servers_[0].replayed = "0/900";
  const auto answer = query(7);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->source.origin, Origin::kReplica);
  EXPECT_EQ(answer->source.position, *Lsn::parse("0/900"));
  EXPECT_THAT(targets(), ElementsAre(kReplica));
  EXPECT_EQ(pools_[0]->runs.back().at_least.to_string(), "0/900");
}

TEST_F(DatabaseTest, GoesToThePrimaryWhileNoPositionIsKnown) {
  const auto answer = query(7);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->source.origin, Origin::kPrimary);
  EXPECT_EQ(answer->source.position, *Lsn::parse("0/900"));
}

TEST_F(DatabaseTest, GoesToThePrimaryWhenNoReplicaIsThereYetOrItsAnswerIsTooOld) {
  learn_positions();
  servers_[0].replica_error = Error{ErrorCode::kFailedPrecondition, "no replica of shard 0 has replayed 0/900 yet"};
  EXPECT_EQ(query(7)->source.origin, Origin::kPrimary);
  EXPECT_THAT(targets(), ElementsAre(kReplica, kPrimary));
  pools_[0]->runs.clear();
  servers_[0].replica_error.reset();
  servers_[0].replayed = "0/100";  // it was chosen by an older poll's word, and says itself that it is not there
  EXPECT_EQ(query(7)->source.origin, Origin::kPrimary);
  EXPECT_THAT(targets(), ElementsAre(kReplica, kPrimary));
}

TEST_F(DatabaseTest, AStatementThatIsWrongIsWrongEverywhere) {
  learn_positions();
  servers_[0].replica_error = Error{ErrorCode::kInvalidArgument, "22012 division by zero"};
  EXPECT_EQ(query(7).error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(targets(), ElementsAre(kReplica));
}

TEST_F(DatabaseTest, AMovedBucketIsReadAtItsNewOwner) {
  servers_[0].state = "moved";
  servers_[0].bucket_epoch = "3";
  servers_[0].forward = "1";
  servers_[1].bucket_epoch = "3";
  const auto answer = query(7, {.may_use_replica = false});
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->source.shard, 1);
  EXPECT_EQ(database_->owner_of(7)->shard, 1);
}

TEST_F(DatabaseTest, ABucketWithoutOwnerIsAskedForAgainAndThenRefused) {
  servers_[0].state = "fenced";
  servers_[0].bucket_epoch = "2";
  const auto answer = query(7, {.may_use_replica = false});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(targets().size(), static_cast<size_t>(kHandOverWaitsMax) + 1);
}

TEST_F(DatabaseTest, AReplicaBehindAMoveIsNotAskedTwice) {
  learn_positions();
  servers_[0].replayed = "0/900";
  servers_[0].state = "importing";
  const auto answer = query(7);
  EXPECT_FALSE(answer);
  EXPECT_EQ(targets().at(0), kReplica);
  EXPECT_EQ(targets().at(1), kPrimary);
}

TEST_F(DatabaseTest, ASessionsWritesMustBeReplayedByTheReplicaThatServesIt) {
  learn_positions();
  auto session = std::make_shared<Session>();
  SessionToken token;
  token.absorb_write(0, 3, *Lsn::parse("0/A00"));
  session->absorb(token);
  servers_[0].replayed = "0/900";
  EXPECT_EQ(query(7, {.session = session})->source.origin, Origin::kPrimary);
  for (const auto& run : pools_[0]->runs)
    if (run.target == kReplica) EXPECT_EQ(run.at_least.to_string(), "0/A00");
  servers_[0].replayed = "0/A00";
  servers_[0].received = "0/A00";
  EXPECT_EQ(query(7, {.session = session})->source.origin, Origin::kReplica);
}

TEST_F(DatabaseTest, WhatASessionReadOnAReplicaThePrimaryMustProveToShow) {
  auto session = std::make_shared<Session>();
  session->absorb_read(0, 3, *Lsn::parse("0/800"), false);
  servers_[0].primary_xmin = "700";  // below the fresh id 701: something older still runs
  const auto stalled = query(7, {.timeout = milliseconds(500), .may_use_replica = false, .session = session});
  ASSERT_FALSE(stalled);
  EXPECT_EQ(stalled.error().code, ErrorCode::kUnavailable);
  servers_[0].primary_xmin = "702";
  const auto settled = query(7, {.may_use_replica = false, .session = session});
  ASSERT_TRUE(settled) << settled.error().to_string();
  // Read on the primary: from now on it may be read there without proof.
  servers_[0].primary_xmin = "700";
  EXPECT_TRUE(query(7, {.may_use_replica = false, .session = session}));
}

TEST_F(DatabaseTest, AServerOfAnOlderEpochThanTheSessionIsNotBelieved) {
  auto session = std::make_shared<Session>();
  session->absorb_read(0, 4, *Lsn::parse("0/100"), true);
  const auto answer = query(7, {.session = session});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

TEST_F(DatabaseTest, AReadAbsorbsWhatItSaw) {
  auto session = std::make_shared<Session>();
  ASSERT_TRUE(query(7, {.session = session}));
  const auto seen = session->token().find(0);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->own, *Lsn::parse("0/900"));
  learn_positions();
  servers_[0].replayed = "0/900";
  ASSERT_EQ(query(7, {.session = session})->source.origin, Origin::kReplica);
  EXPECT_EQ(session->token().find(0)->read, *Lsn::parse("0/950"));
}

TEST_F(DatabaseTest, APrimaryThatIsAReplicaIsNoPrimary) {
  servers_[0].primary_is_replica = true;
  const auto answer = query(7);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
}

// ------------------------------------------------------------------------------------------------------------ scatter
TEST_F(DatabaseTest, ScatterMergesAllShards) {
  servers_[0].rows = {{"1", "bash"}, {"2", "nano"}, {"3", "zsh"}};
  servers_[1].rows = {{"3000", "awk"}, {"3001", "mawk"}};
  const auto answer = scatter();
  EXPECT_THAT(skus(answer), ElementsAre("awk", "bash", "mawk"));
  ASSERT_EQ(answer->sources.size(), 2u);
  EXPECT_EQ(answer->sources[1].shard, 1);
}

TEST_F(DatabaseTest, ScatterAnswersNothingWhileABucketHasNoOwnerOrTwo) {
  servers_[0].rows = {{"1", "bash"}};
  servers_[1].owned_ranges = "{[2049,4096)}";
  const auto missing = scatter({.timeout = seconds(15)});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(missing.error().message, HasSubstr("buckets 2048 to 2048 are owned by 0 shards"));
  servers_[1].owned_ranges = "{[2000,4096)}";
  EXPECT_THAT(scatter({.timeout = seconds(15)}).error().message,
              HasSubstr("buckets 2000 to 2047 are owned by 2 shards"));
  servers_[1].owned_ranges = "{[2048,4096)}";
  EXPECT_THAT(skus(scatter()), ElementsAre("bash"));
}

TEST_F(DatabaseTest, ScatterFindsTheOwnersAfterAHandOver) {
  servers_[1].owned_ranges = "{[2049,4096)}";
  int refreshes = 0;
  database_->on_stale_topology([&] {
    if (++refreshes == 2) servers_[1].owned_ranges = "{[2048,4096)}";
  });
  EXPECT_TRUE(scatter({.timeout = seconds(15)}));
  EXPECT_EQ(refreshes, 2);
}

TEST_F(DatabaseTest, ScatterTakesAFailedReplicasPartFromThePrimary) {
  learn_positions(0);
  learn_positions(1);
  servers_[0].replica_error = Error{ErrorCode::kUnavailable, "gone"};
  servers_[1].replayed = "0/900";
  const auto answer = scatter();
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->sources[0].origin, Origin::kPrimary);
  EXPECT_EQ(answer->sources[1].origin, Origin::kReplica);
}

TEST_F(DatabaseTest, ScatterFailsWithTheShardThatFailed) {
  servers_[1].primary_error = Error{ErrorCode::kUnavailable, "s1-primary: not reachable"};
  const auto answer = scatter();
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("shard 1"));
  EXPECT_EQ(scatter({}, 0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(scatter({}, shardrouter::kScatterRowsMax + 1).error().code, ErrorCode::kInvalidArgument);
}

// ------------------------------------------------------------------------------------------------------------- writes
TEST_F(DatabaseTest, ATransactionOverTwoShardsIsRefusedWithBothAndTheAdvice) {
  Transaction tx({7, 3000});
  tx.run({"UPDATE t"});
  const auto written = commit(std::move(tx));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(written.error().message, HasSubstr("shard 0"));
  EXPECT_THAT(written.error().message, HasSubstr("shard 1"));
  EXPECT_THAT(written.error().message, HasSubstr("saga"));
  EXPECT_TRUE(pools_[0]->runs.empty());
  EXPECT_TRUE(pools_[1]->runs.empty());
}

TEST_F(DatabaseTest, ACommitsResultsAreThoseOfItsOwnStatements) {
  servers_[0].rows = {{"7", "bash"}};
  Transaction tx({7});
  std::string name = "a";  // of a key on the same shard
  while (database_->owner_of(bucket_of_natural_key(name))->shard != 0) name += "a";
  tx.run({"UPDATE t RETURNING bucket, sku"}).invalidate_key("list:{" + name + "}");
  const auto written = commit(std::move(tx));
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_EQ(written->results.size(), 1u);
  EXPECT_EQ(written->results[0].rows[0][1], "bash");
}

TEST_F(DatabaseTest, AWriteRefusedByAMoveGoesToTheNewOwnerWithItsEpoch) {
  servers_[0].primary_error = Error{ErrorCode::kFailedPrecondition,
                                    "SH001 bucket 7 at epoch 1 is not owned here: state=moved epoch=3 forward=1"};
  Transaction tx({7});
  tx.run({"UPDATE t"});
  ASSERT_TRUE(commit(std::move(tx)));
  const auto& guard = pools_[1]->runs.back().pipeline.groups[0][1];
  EXPECT_THAT(guard.params, ElementsAre("7", "3", "0"));
}

TEST_F(DatabaseTest, StatementsRunOnAShardAsGiven) {
  servers_[1].rows = {{"3000", "due"}};
  std::optional<Result<std::vector<ResultSet>>> box;
  database_->async_on_shard(1, std::vector<Statement>{{"SELECT bucket, sku FROM outbox"}}, seconds(1),
                            [&](Result<std::vector<ResultSet>> answer) { box = std::move(answer); });
  const auto answer = await(box);
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)[0].rows[0][1], "due");
  EXPECT_THAT(database_->shards(), ElementsAre(0, 1));
}

}  // namespace
}  // namespace tidemark::client
