#include "client/repository.h"

#include <boost/asio/use_future.hpp>
#include <thread>

#include "tests/unit/client/io/repository_fixture.h"

namespace tidemark::client {
namespace {

// ------------------------------------------------------------------------------------------------ reading one key
TEST_F(RepositoryTest, AHitComesFromTheNodeWithItsBound) {
  node_->entries["product:{bash}"] = cached("shell");
  node_->bound_ms = 12;
  auto answer = get("bash");
  EXPECT_EQ(describe(answer), "shell@node");
  EXPECT_EQ(answer->staleness_ms(), 12);
  EXPECT_EQ(loads(), 0u);
  EXPECT_EQ(node_->of("GETL")[0], (FakeNode::Request{"GETL", "product:{bash}", "MAXSTALE", "60000"}));
}

TEST_F(RepositoryTest, AProvenAbsenceComesFromTheNodeToo) {
  node_->entries["product:{nope}"] = std::nullopt;
  EXPECT_EQ(describe(get("nope")), "absent@node");
}

TEST_F(RepositoryTest, AMissIsLoadedFromThePrimaryAndFilledWithItsSnapshot) {
  auto answer = get("bash");
  EXPECT_EQ(describe(answer), "shell@primary");
  EXPECT_EQ(answer->staleness_ms(), 0);
  ASSERT_TRUE(wait_for_fills(1));
  EXPECT_EQ(node_->of("SETV")[0],
            (FakeNode::Request{"SETV", "product:{bash}", "lease1", "S:0:7:3:10:12:10:0/900", cached("shell")}));
  EXPECT_EQ(describe(get("bash")), "shell@node");
  EXPECT_EQ(metric("fills", "ok"), 1u);
}

TEST_F(RepositoryTest, AMissingRowIsFilledAsAProvenAbsence) {
  EXPECT_EQ(describe(get("nope")), "absent@primary");
  ASSERT_TRUE(wait_for_fills(1));
  EXPECT_EQ(node_->of("SETV")[0].back(), "NEG");
  EXPECT_EQ(node_->of("SETV")[0][4], "");
  EXPECT_EQ(describe(get("nope")), "absent@node");
}

TEST_F(RepositoryTest, TheLoadReadsItsRoleBeforeItsTransactionAndTheProofInsideTheDataStatement) {
  get("bash");
  const auto& groups = pool_->runs.back().pipeline.groups;
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_NE(groups[0][0].sql.find("pg_last_wal_replay_lsn"), std::string::npos);
  EXPECT_EQ(groups[1][0].sql, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY");
  EXPECT_NE(groups[1][1].sql.find("pg_current_snapshot()"), std::string::npos);
  EXPECT_NE(groups[1][1].sql.find("tidemark.epoch"), std::string::npos);
  EXPECT_EQ(groups[1].back().sql, "COMMIT");
}

// ---------------------------------------------------------------------------- leases that come after node_timeout
TEST_F(RepositoryTest, ALeaseThatComesAfterTheAnswerIsFilledWithWhatWasLoaded) {
  start_with_a_late_node();
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_TRUE(node_->of("SETV").empty());
  answer_late();
  ASSERT_TRUE(wait_for_fills(1));
  EXPECT_EQ(node_->of("SETV")[0],
            (FakeNode::Request{"SETV", "product:{bash}", "late", "S:0:7:3:10:12:10:0/900", cached("shell")}));
  EXPECT_EQ(metric("leases", "late"), 1u);
  EXPECT_TRUE(node_->leases.empty());
}

TEST_F(RepositoryTest, ALeaseThatComesDuringTheLoadIsFilledByIt) {
  start_with_a_late_node();
  pool_->hold = true;
  std::optional<Answer> answer;
  products_->async_get({"bash"}, {.timeout = seconds(10)}, [&](Answer result) { answer = std::move(result); });
  ASSERT_TRUE(run_until(context_, [&] { return loads() == 1; }));
  answer_late();
  ASSERT_TRUE(run_until(context_, [&] { return metric("leases", "late") == 1; }));
  pool_->hold = false;
  pool_->release();
  ASSERT_TRUE(wait_for_fills(1));
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ(node_->of("SETV")[0][2], "late");
}

TEST_F(RepositoryTest, ALateLeaseThatNothingWasLoadedForIsGivenBack) {
  start_with_a_late_node();
  table_.bucket_state = "moved";
  EXPECT_EQ(describe(get("bash")), "FAILED_PRECONDITION");
  answer_late();
  ASSERT_TRUE(run_until(context_, [&] { return !node_->of("SETV").empty(); }));
  EXPECT_EQ(node_->of("SETV")[0].back(), "NEG");
  EXPECT_EQ(metric("leases", "given_back"), 1u);
}

TEST_F(RepositoryTest, AValueOfAnotherSchemaIsAMissAndMakesRoomForANewOne) {
  node_->entries["product:{bash}"] = "old bytes of another program";
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(metric("bypass", "undecodable"), 1u);
  ASSERT_TRUE(run_until(context_, [&] { return !node_->entries.contains("product:{bash}"); }));
  get("bash");
  ASSERT_TRUE(wait_for_fills(1));
  EXPECT_EQ(describe(get("bash")), "shell@node");
}

TEST_F(RepositoryTest, ARowWhoseKeyColumnsDoNotGiveBackTheKeyIsRefused) {
  table_.names["BASH"] = "shell";
  on_query_ = [&](const FakeShardPool::Run& run) {
    if (run.data().params.size() > 1) const_cast<Statement&>(run.data()).params[1] = "BASH";  // as citext would find it
  };
  auto answer = get("bash");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInternal);
  EXPECT_NE(answer.error().message.find("product:{BASH}"), std::string::npos) << answer.error().message;
  EXPECT_TRUE(node_->of("SETV").empty());
}

TEST_F(RepositoryTest, AKeyThatCannotBeWrittenIsRefusedBeforeAnythingIsAsked) {
  EXPECT_EQ(describe(get("a{b")), "INVALID_ARGUMENT");
  EXPECT_TRUE(node_->of("GETL").empty());
}

// ---------------------------------------------------------------------------------------------------- replicas
TEST_F(RepositoryTest, AReplicaAnswersWhenItsPositionIsKnownToBeYoung) {
  replica_ = table_;
  replica_->is_standby = true;
  replica_->replayed = "0/900";
  replica_->inserted = "0/920";
  get("vim");  // the first load wakes the polling of the primary's position
  ASSERT_TRUE(run_until(context_, [&] { return database_->position_at_most(0, seconds(10)).has_value(); }));
  auto answer = get("bash");
  EXPECT_EQ(describe(answer), "shell@replica");
  EXPECT_GE(answer->staleness_ms(), 0);
  EXPECT_LE(answer->staleness_ms(), 5000);
  ASSERT_TRUE(wait_for_fills(2));
  EXPECT_EQ(node_->of("SETV")[1],
            (FakeNode::Request{"SETV", "product:{bash}", "lease2", "R:0:7:3:0/900", cached("shell"), "HI", "0/920"}));
}

TEST_F(RepositoryTest, AReplicaIsAskedToHaveReplayedWhatTheNodeNeeds) {
  replica_ = table_;
  replica_->is_standby = true;
  replica_->replayed = "0/2000";
  get("vim");
  ASSERT_TRUE(run_until(context_, [&] { return database_->position_at_most(0, seconds(10)).has_value(); }));
  node_->need = "0/1000";
  get("bash");
  EXPECT_EQ(pool_->runs.back().at_least, *Lsn::parse("0/1000"));
}

TEST_F(RepositoryTest, AnAnswerThatTheReplicaCannotDateComesFromThePrimary) {
  replica_ = table_;
  replica_->is_standby = true;
  replica_->replayed = "0/100";  // below every sample of the primary
  replica_->names["bash"] = "old";
  get("vim");
  ASSERT_TRUE(run_until(context_, [&] { return database_->position_at_most(0, seconds(10)).has_value(); }));
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(metric("replica_refused", "too_old"), 1u);
}

TEST_F(RepositoryTest, WithoutAUsableReplicaThePrimaryAnswers) {
  get("vim");
  ASSERT_TRUE(run_until(context_, [&] { return database_->position_at_most(0, seconds(10)).has_value(); }));
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(metric("replica_refused", "none"), 1u);
}

// ---------------------------------------------------------------------------------------------- the node cannot answer
TEST_F(RepositoryTest, ADeadNodeIsNoMissButABypass) {
  start({}, {}, false);
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(describe(get("nope")), "absent@primary");
  EXPECT_EQ(metric("bypass", "unavailable"), 2u);
}

TEST_F(RepositoryTest, ANodeThatHasNotJoinedIsBypassedAndNothingIsFilled) {
  node_->script = [](const FakeNode::Request& request) -> std::string {
    return request[0] == "GETL" ? "*3\r\n$6\r\nBYPASS\r\n$9\r\nNOTJOINED\r\n:-1\r\n" : "";
  };
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(metric("bypass", "notjoined"), 1u);
  run_pending();
  EXPECT_TRUE(node_->of("SETV").empty());
}

TEST_F(RepositoryTest, BypassesAreBoundedPerShard) {
  DatabaseOptions database;
  database.fallbacks_per_shard_max = 1;
  start({}, database, false);
  pool_->hold = true;
  std::vector<std::string> answers;
  for (const char* sku : {"bash", "vim"}) {
    products_->async_get({sku}, with_timeout({}), [&](Answer answer) { answers.push_back(describe(answer)); });
  }
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 1; }));
  EXPECT_EQ(answers[0], "RESOURCE_EXHAUSTED");
  pool_->release();
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 2; }));
  EXPECT_EQ(answers[1], "shell@primary");
  pool_->hold = false;
  EXPECT_EQ(describe(get("vim")), "editor@primary") << "the place was given back";
}

TEST_F(RepositoryTest, ABusyKeyIsWaitedForAndThenHit) {
  node_->leases["product:{bash}"] = "somebody's";
  int asked = 0;
  node_->script = [&](const FakeNode::Request& request) -> std::string {
    if (request[0] == "GETL" && ++asked == 3) node_->entries["product:{bash}"] = cached("shell");
    return "";
  };
  EXPECT_EQ(describe(get("bash")), "shell@node");
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(loads(), 0u);
}

TEST_F(RepositoryTest, AKeyThatStaysBusyIsLoadedWithoutFilling) {
  RepositoryOptions options;
  options.busy_wait_max = milliseconds(20);
  start(options);
  node_->leases["product:{bash}"] = "somebody's";
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(metric("bypass", "busy"), 1u);
  run_pending();
  EXPECT_TRUE(node_->of("SETV").empty());
}

TEST_F(RepositoryTest, AnOperationEndsAtItsDeadline) {
  node_->script = [](const FakeNode::Request& request) -> std::string { return request[0] == "GETL" ? "-" : ""; };
  const Instant start = io::steady_now();
  EXPECT_EQ(describe(get("bash", {.timeout = milliseconds(50)})), "DEADLINE_EXCEEDED");
  EXPECT_LT(io::steady_now() - start, seconds(1));
}

TEST_F(RepositoryTest, AFailingDatabaseIsAnErrorAndNeverAnAbsence) {
  pool_->hold = false;
  table_.bucket_state = "moved";
  auto answer = get("bash");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(answer.error().message.find("state=moved"), std::string::npos) << answer.error().message;
}

// ----------------------------------------------------------------------------------------------------- refused fills
TEST_F(RepositoryTest, ARefusedFillIsCountedAndTheKeyIsLeftAloneForAMomentWhenACommitIsNotVisibleYet) {
  RepositoryOptions options;
  options.reject_backoff = seconds(30);
  options.reject_backoff_max = seconds(30);
  start(options);
  node_->verdict = "-REJECT OLDER 0/10 tombstone";
  node_->is_visible_soon = true;
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  ASSERT_TRUE(wait_for_fills(1));
  EXPECT_EQ(describe(get("bash")), "shell@primary");
  EXPECT_EQ(metric("bypass", "backoff"), 1u);
  EXPECT_EQ(node_->of("GETL").size(), 1u) << "no lease is taken while fills are hopeless";
}

TEST_F(RepositoryTest, ARefusalWithoutTheHintDoesNotStopTheNextTry) {
  node_->verdict = "-REJECT OLDER 0/10 tombstone";
  get("bash");
  ASSERT_TRUE(wait_for_fills(1));
  get("bash");
  EXPECT_EQ(node_->of("GETL").size(), 2u);
}

// ---------------------------------------------------------------------------------------------------- single flight
TEST_F(RepositoryTest, CallersOfOneKeyShareOneLoad) {
  pool_->hold = true;
  std::vector<std::string> answers;
  for (int i = 0; i < 5; ++i) {
    products_->async_get({"bash"}, with_timeout({}), [&](Answer answer) { answers.push_back(describe(answer)); });
  }
  ASSERT_TRUE(run_until(context_, [&] { return loads() == 1; }));
  pool_->release();
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 5; }));
  EXPECT_EQ(answers, std::vector<std::string>(5, "shell@primary"));
  EXPECT_EQ(loads(), 1u);
  EXPECT_EQ(node_->of("GETL").size(), 1u);
}

TEST_F(RepositoryTest, WhoJoinsALoadIsToldHowMuchOlderItIs) {
  pool_->hold = true;
  std::vector<Answer> answers;
  products_->async_get({"bash"}, with_timeout({}), [&](Answer answer) { answers.push_back(answer); });
  ASSERT_TRUE(run_until(context_, [&] { return loads() == 1; }));
  let_pass(milliseconds(3));  // the load is under way for a while when the second caller comes
  products_->async_get({"bash"}, with_timeout({}), [&](Answer answer) { answers.push_back(answer); });
  run_pending();
  pool_->release();
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 2; }));
  EXPECT_EQ(answers[0]->staleness_ms(), 0);
  EXPECT_GE(answers[1]->staleness_ms(), 3);
  EXPECT_EQ(answers[0]->as_of(), answers[1]->as_of());
}

TEST_F(RepositoryTest, WhoWillNotTakeTheSharedAnswersAgeAsksAlone) {
  pool_->hold = true;
  std::vector<Answer> answers;
  products_->async_get({"bash"}, with_timeout({}), [&](Answer answer) { answers.push_back(answer); });
  ASSERT_TRUE(run_until(context_, [&] { return loads() == 1; }));
  let_pass(milliseconds(3));
  auto options = with_timeout({});
  options.max_stale = Duration::zero();
  products_->async_get({"bash"}, options, [&](Answer answer) { answers.push_back(answer); });
  run_pending();
  pool_->hold = false;
  pool_->release();
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 2; }));
  EXPECT_EQ(answers[1]->staleness_ms(), 0);
  EXPECT_EQ(loads(), 2u);
}

TEST_F(RepositoryTest, AFollowerWithAShorterDeadlineDoesNotWaitForTheLeader) {
  pool_->hold = true;
  std::vector<std::string> answers;
  products_->async_get({"bash"}, with_timeout({}), [&](Answer answer) { answers.push_back(describe(answer)); });
  ASSERT_TRUE(run_until(context_, [&] { return loads() == 1; }));
  products_->async_get({"bash"}, {.timeout = milliseconds(20)},
                       [&](Answer answer) { answers.push_back(describe(answer)); });
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 1; }));
  EXPECT_EQ(answers[0], "DEADLINE_EXCEEDED");
  pool_->release();
  ASSERT_TRUE(run_until(context_, [&] { return answers.size() == 2; }));
  EXPECT_EQ(answers[1], "shell@primary");
}

TEST_F(RepositoryTest, NobodyJoinsALoadThatBeganBeforeAWriteOfTheKey) {
  pool_->hold = true;
  std::vector<std::string> answers;
  products_->async_get({"bash"}, with_timeout({}), [&](Answer answer) { answers.push_back(describe(answer)); });
  ASSERT_TRUE(run_until(context_, [&] { return loads() == 1; }));
  pool_->hold = false;  // the first load stays held
  ASSERT_TRUE(update("bash"));
  table_.names["bash"] = "new shell";
  EXPECT_EQ(describe(get("bash")), "new shell@primary");
}

// --------------------------------------------------------------------------------------------------------- batches
TEST_F(RepositoryTest, ABatchKeepsTheOrderAllowsDuplicatesAndLoadsItsMissesWithOneStatement) {
  node_->entries["product:{vim}"] = cached("editor");
  auto answers = get_many({"git", "vim", "nope", "bash", "git"});
  std::vector<std::string> texts;
  for (const auto& answer : answers) texts.push_back(describe(answer));
  EXPECT_EQ(texts, (std::vector<std::string>{"history@primary", "editor@node", "absent@primary", "shell@primary",
                                             "history@primary"}));
  EXPECT_EQ(loads(), 1u);
  ASSERT_TRUE(wait_for_fills(3));
  EXPECT_EQ(metric("fills", "ok"), 3u);
}

TEST_F(RepositoryTest, ABatchLoadsArraysInTheOrderOfItsMisses) {
  get_many({"git", "bash"});
  const Statement& data = pool_->runs.back().data();
  EXPECT_EQ(*data.params[0],
            fmt::format("{{\"{}\",\"{}\"}}", bucket_of_natural_key("git"), bucket_of_natural_key("bash")));
  EXPECT_EQ(*data.params[1], "{\"git\",\"bash\"}");
}

TEST_F(RepositoryTest, OneBadKeyFailsNoOtherOfTheBatch) {
  auto answers = get_many({"bash", "a{b", "vim"});
  EXPECT_EQ(describe(answers[0]), "shell@primary");
  EXPECT_EQ(describe(answers[1]), "INVALID_ARGUMENT");
  EXPECT_EQ(describe(answers[2]), "editor@primary");
}

TEST_F(RepositoryTest, ABatchWithABusyKeyDoesNotWaitForItToLoadTheOthers) {
  node_->leases["product:{vim}"] = "somebody's";
  auto answers = get_many({"bash", "vim"});
  EXPECT_EQ(describe(answers[0]), "shell@primary");
  EXPECT_EQ(describe(answers[1]), "editor@primary");
  EXPECT_EQ(metric("bypass", "busy"), 1u);
}

TEST_F(RepositoryTest, ABatchOfADeadNodeTakesOneOfTheShardsPlaces) {
  DatabaseOptions database;
  database.fallbacks_per_shard_max = 1;
  start({}, database, false);
  auto answers = get_many({"bash", "vim", "git"});
  for (const auto& answer : answers) EXPECT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(loads(), 1u);
}

TEST_F(RepositoryTest, AnEmptyBatchIsAnsweredAtOnce) {
  EXPECT_TRUE(get_many({}).empty());
}

// ---------------------------------------------------------------------------------------------------------- writing
TEST_F(RepositoryTest, AWriteIsGuardedAndItsKeyInvalidatedByTheCommitToken) {
  node_->entries["product:{bash}"] = cached("shell");
  auto written = update("bash");
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(written->token.xid(), 55u);
  EXPECT_EQ(written->results.size(), 1u);
  const auto& group = pool_->runs.back().pipeline.groups[0];
  EXPECT_NE(group[1].sql.find("shard.guard"), std::string::npos);
  EXPECT_EQ(group[1].params[0], std::to_string(bucket_of_natural_key("bash")));
  ASSERT_TRUE(run_until(context_, [&] { return node_->of("INVAL").size() == 1; }));
  EXPECT_EQ(node_->of("INVAL")[0], (FakeNode::Request{"INVAL", "0", "7", "0/950", "55", "product:{bash}"}));
  EXPECT_FALSE(node_->entries.contains("product:{bash}"));
}

TEST_F(RepositoryTest, AFailedWriteInvalidatesNothing) {
  write_error_ = Error{ErrorCode::kInvalidArgument, "23505 duplicate key"};
  EXPECT_FALSE(update("bash"));
  run_pending();
  EXPECT_TRUE(node_->of("INVAL").empty());
}

TEST_F(RepositoryTest, ARefusedWriteIsSentAgainWithTheHealedEpoch) {
  write_error_ = Error{ErrorCode::kFailedPrecondition,
                       "SH001 bucket 1 at epoch 1 is not owned here: state=owned epoch=4 forward=-"};
  on_query_ = [&](const FakeShardPool::Run& run) {
    if (run.pipeline.groups[0][1].params[1] == "4") write_error_.reset();
  };
  auto written = update("bash");
  EXPECT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(pool_->runs.size(), 2u);
}

TEST_F(RepositoryTest, AWriteThatNoHealingHelpsNamesTheForwardAddress) {
  write_error_ = Error{ErrorCode::kFailedPrecondition,
                       "SH001 bucket 1 at epoch 1 is not owned here: state=aborted epoch=4 forward=9"};
  auto written = update("bash");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(written.error().message.find("forward=9"), std::string::npos);
}

TEST_F(RepositoryTest, ACommitTokenInvalidatesFurtherKeys) {
  node_->entries["product:{vim}"] = cached("editor");
  auto written = update("bash");
  ASSERT_TRUE(written);
  std::optional<Result<int64_t>> dropped;
  products_->async_invalidate(written->token, {{"vim"}, {"git"}}, [&](Result<int64_t> result) { dropped = result; });
  ASSERT_TRUE(run_until(context_, [&] { return dropped.has_value(); }));
  ASSERT_TRUE(*dropped);
  EXPECT_EQ(**dropped, 1);
}

// ------------------------------------------------------------------------------------------------- styles of calling
TEST_F(RepositoryTest, FuturesAndBlockingCallsWorkFromAnotherThread) {
  node_->entries["product:{bash}"] = cached("shell");
  std::string by_future;
  std::string by_sync;
  std::atomic<bool> is_done = false;
  std::thread caller([&] {
    by_future = describe(products_->async_get({"bash"}, {}, boost::asio::use_future).get());
    by_sync = describe(products_->sync().get({"bash"}));
    is_done = true;
  });
  EXPECT_TRUE(run_until(context_, [&] { return is_done.load(); }));
  caller.join();
  EXPECT_EQ(by_future, "shell@node");
  EXPECT_EQ(by_sync, "shell@node");
}

TEST_F(RepositoryTest, ABlockingCallOnTheContextsThreadIsRefused) {
  std::optional<Answer> answer;
  boost::asio::post(context_, [&] { answer = products_->sync().get({"bash"}); });
  ASSERT_TRUE(run_until(context_, [&] { return answer.has_value(); }));
  EXPECT_EQ(describe(*answer), "FAILED_PRECONDITION");
}

TEST_F(RepositoryTest, ReadsPastTheCacheTouchNoNode) {
  EXPECT_EQ(describe(get("bash", {.is_cache_bypassed = true})), "shell@primary");
  EXPECT_TRUE(node_->of("GETL").empty());
  EXPECT_EQ(metric("bypass", "asked"), 1u);
}

}  // namespace
}  // namespace tidemark::client
