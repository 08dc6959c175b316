// Reads of sessions: whoever answers has what the session wrote and read, or another is asked.
#include "tests/unit/client/io/repository_fixture.h"

namespace tidemark::client {
namespace {

constexpr bool kElsewhere = false;

std::shared_ptr<Session> session_of(SessionToken token) {
  return std::make_shared<Session>(std::move(token));
}
std::shared_ptr<Session> session_that_wrote(const char* lsn, DbEpoch db_epoch = 7) {
  SessionToken token;
  token.absorb_write(0, db_epoch, *Lsn::parse(lsn));
  return session_of(token);
}
std::shared_ptr<Session> session_that_read(const char* lsn, DbEpoch db_epoch = 7) {
  SessionToken token;
  token.absorb_read(0, db_epoch, *Lsn::parse(lsn), kElsewhere);
  return session_of(token);
}
Lsn lsn(const char* text) {
  return *Lsn::parse(text);
}

class RepositorySessionTest : public RepositoryTest {
 protected:
  void start_replica(const char* replayed) {
    replica_ = table_;
    replica_->is_standby = true;
    replica_->replayed = replayed;
    replica_->inserted = "0/2000";
    for (auto& [sku, name] : replica_->names) name += " of replica";
    // The primary's position is known once somebody has asked for it.
    get("git");
    ASSERT_TRUE(run_until(context_, [&] { return database_->position_at_most(0, seconds(60)).has_value(); }));
    pool_->runs.clear();
  }
  void show_replica(const char* polled) {
    pool_->states = {{.name = "r1",
                      .role = ShardServer::Role::kReplica,
                      .is_usable = true,
                      .replay_lsn = lsn(polled),
                      .replay_age = {}}};
  }
  Answer read(const std::shared_ptr<Session>& session, const std::string& sku = "bash", ReadOptions options = {}) {
    options.session = session;
    return get(sku, options);
  }
  const FakeShardPool::Run& last_load() const {
    for (auto run = pool_->runs.rbegin(); run != pool_->runs.rend(); ++run) {
      if (run->pipeline.groups.size() == 2) return *run;
    }
    return pool_->runs.back();
  }
};

// ------------------------------------------------------------------------------------------------------- absorbing
TEST_F(RepositorySessionTest, AWriteIsAbsorbedBeforeItsHandlerRuns) {
  auto session = std::make_shared<Session>();
  ASSERT_TRUE(update("bash", session));
  EXPECT_EQ(session->token().find(0)->own, lsn("0/950"));
  EXPECT_EQ(session->token().find(0)->db_epoch, 7u);
  EXPECT_TRUE(session->token().find(0)->is_written);
}

TEST_F(RepositorySessionTest, AHitIsAbsorbedAsReadElsewhere) {
  node_->entries["product:{bash}"] = cached("shell");
  auto session = std::make_shared<Session>();
  EXPECT_EQ(describe(read(session)), "shell@node");
  EXPECT_EQ(session->token().find(0)->read, lsn("0/180"));
  EXPECT_TRUE(session->token().find(0)->own.is_zero());
}

TEST_F(RepositorySessionTest, ALoadFromThePrimaryIsAbsorbedAsVisibleThere) {
  auto session = std::make_shared<Session>();
  EXPECT_EQ(describe(read(session)), "shell@primary");
  EXPECT_EQ(session->token().find(0)->own, lsn("0/900"));
  EXPECT_TRUE(session->token().find(0)->read.is_zero());
  EXPECT_FALSE(session->token().find(0)->is_written);
}

TEST_F(RepositorySessionTest, ALoadFromAReplicaIsAbsorbedWithItsUpperBound) {
  start_replica("0/900");
  auto session = std::make_shared<Session>();
  EXPECT_EQ(describe(read(session)), "shell of replica@replica");
  EXPECT_EQ(session->token().find(0)->read, lsn("0/2000"));
}

// ------------------------------------------------------------------------------------------------------- the node
TEST_F(RepositorySessionTest, TheNodeIsAskedForWhatTheSessionHas) {
  node_->entries["product:{bash}"] = cached("shell");
  node_->complete_through = "0/950";
  EXPECT_EQ(describe(read(session_that_wrote("0/950"))), "shell@node");
  EXPECT_EQ(node_->of("GETL")[0], (FakeNode::Request{"GETL", "product:{bash}", "MAXSTALE", "60000", "AFTER", "7",
                                                     "0/950", "OWNER", "0", "1"}));
}

TEST_F(RepositorySessionTest, ANodeThatIsNotThereYetIsAMiss) {
  node_->entries["product:{bash}"] = cached("old shell");
  node_->complete_through = "0/94F";
  EXPECT_EQ(describe(read(session_that_wrote("0/950"))), "shell@primary");
}

TEST_F(RepositorySessionTest, ANodeOfAnotherEpochIsPassedByForThePrimary) {
  start_replica("0/2000");
  node_->entries["product:{bash}"] = cached("old shell");
  auto session = session_that_wrote("0/10", 6);
  EXPECT_EQ(describe(read(session)), "shell@primary") << "also no replica: the primary of the new epoch decides";
  EXPECT_EQ(session->token().find(0)->db_epoch, 7u);
  EXPECT_EQ(metric("bypass", "epoch"), 1u);
}

TEST_F(RepositorySessionTest, AHitWithoutAnUpperBoundCannotBeAbsorbedAndIsNotGiven) {
  node_->entries["product:{bash}"] = cached("old shell");
  node_->hi = "FFFFFFFF/FFFFFFFF";
  EXPECT_EQ(describe(read(std::make_shared<Session>())), "shell@primary");
  EXPECT_EQ(describe(get("bash")), "old shell@node") << "for everybody else it is as good as before";
}

TEST_F(RepositorySessionTest, AHitOfANodeThatSaysLessIsNotGiven) {
  node_->script = [&](const FakeNode::Request& request) {
    if (request[0] != "GETL") return std::string();
    const std::string value = cached("old shell");
    return fmt::format("*4\r\n$3\r\nHIT\r\n${}\r\n{}\r\n:1\r\n$5\r\n0/100\r\n", value.size(), value);
  };
  EXPECT_EQ(describe(read(std::make_shared<Session>())), "shell@primary");
}

TEST_F(RepositorySessionTest, ASessionThatHasForgottenWritesIsAnsweredByThePrimary) {
  start_replica("0/2000");
  node_->entries["product:{bash}"] = cached("old shell");
  node_->complete_through = "FFFFFFFF/0";
  SessionToken token;
  for (ShardId shard = 1; shard <= 4; ++shard) token.absorb_write(shard, 7, Lsn{100});
  EXPECT_EQ(describe(read(session_of(token))), "shell@primary");
}

// ------------------------------------------------------------------------------------------------------- replicas
TEST_F(RepositorySessionTest, AReplicaMustHaveReplayedWhatTheSessionNeeds) {
  start_replica("0/2000");
  EXPECT_EQ(describe(read(session_that_wrote("0/1F00"))), "shell of replica@replica");
  EXPECT_EQ(last_load().at_least, lsn("0/1F00"));
}

TEST_F(RepositorySessionTest, AReplicaThatProvesLessThanItWasChosenForIsNotBelieved) {
  start_replica("0/1EFF");
  EXPECT_EQ(describe(read(session_that_wrote("0/1F00"))), "shell@primary");
  EXPECT_EQ(metric("sessions", "replica_behind"), 1u);
}

TEST_F(RepositorySessionTest, AReplicaOfAnotherEpochIsNotBelieved) {
  start_replica("0/2000");
  replica_->db_epoch = "6";
  EXPECT_EQ(describe(read(session_that_wrote("0/100"))), "shell@primary");
}

TEST_F(RepositorySessionTest, AReplicaThatCannotSayWhatItMayContainIsNotUsed) {
  start_replica("0/2000");
  replica_->inserted = "0/1000";  // received less than replayed: restarted
  EXPECT_EQ(describe(read(std::make_shared<Session>())), "shell@primary");
  EXPECT_EQ(describe(get("vim")), "editor of replica@replica");
}

TEST_F(RepositorySessionTest, AReplicaThatWasNearlyThereIsTriedAndProvesItself) {
  start_replica("0/1F00");
  show_replica("0/1000");
  EXPECT_EQ(describe(read(session_that_wrote("0/1F00"))), "shell of replica@replica");
  EXPECT_EQ(metric("sessions", "replica_tried"), 1u);
}

TEST_F(RepositorySessionTest, AReplicaThatGetsThereWhileItIsTriedAnswers) {
  start_replica("0/1EFF");
  show_replica("0/1000");
  on_query_ = [&](const FakeShardPool::Run& run) {
    if (run.target == ShardPool::Target::kReplica && loads() == 2) replica_->replayed = "0/1F00";
  };
  EXPECT_EQ(describe(read(session_that_wrote("0/1F00"))), "shell of replica@replica");
  EXPECT_EQ(metric("sessions", "replica_behind"), 1u);
}

TEST_F(RepositorySessionTest, AReplicaThatDoesNotGetThereIsLeftAloneForAWhile) {
  start_replica("0/1EFF");
  show_replica("0/1000");
  EXPECT_EQ(describe(read(session_that_wrote("0/1F00"))), "shell@primary");
  EXPECT_EQ(metric("sessions", "replica_too_late"), 1u);
  node_->entries.clear();
  EXPECT_EQ(describe(read(session_that_wrote("0/1F00"))), "shell@primary");
  EXPECT_EQ(metric("sessions", "replica_tried"), 1u);
}

// ------------------------------------------------------------------------------------------------------ the primary
TEST_F(RepositorySessionTest, OwnWritesNeedNoProofOnThePrimary) {
  table_.next_xid = 100;  // many are under way: the snapshot proves nothing
  EXPECT_EQ(describe(read(session_that_wrote("0/950"))), "shell@primary");
  EXPECT_EQ(metric("sessions", "primary_waited"), 0u);
}

TEST_F(RepositorySessionTest, WhatWasReadElsewhereIsProvenBySettled) {
  table_.next_xid = 100;
  node_->settled = "0/500";
  auto session = session_that_read("0/500");
  EXPECT_EQ(describe(read(session)), "shell@primary");
  EXPECT_EQ(metric("sessions", "primary_waited"), 0u);
  EXPECT_TRUE(session->token().find(0)->read.is_zero()) << "the primary shows it, now and later";
  EXPECT_EQ(session->token().find(0)->own, lsn("0/900"));
}

TEST_F(RepositorySessionTest, WhatWasReadElsewhereIsProvenByASnapshotThatHasEveryXidOfThen) {
  table_.next_xid = 12;
  table_.snapshot = "12:12:";
  EXPECT_EQ(describe(read(session_that_read("0/500"))), "shell@primary");
  EXPECT_EQ(metric("sessions", "primary_waited"), 0u);
}

TEST_F(RepositorySessionTest, WhatThePrimaryHidesIsNotAnsweredWithOlderRows) {
  start({.session_settle_wait_max = milliseconds(40)});
  table_.names["bash"] = "old shell";
  auto session = session_that_read("0/500");
  auto answer = read(session);
  EXPECT_EQ(describe(answer), "UNAVAILABLE");
  EXPECT_NE(answer.error().message.find("0/500"), std::string::npos) << answer.error().message;
  EXPECT_NE(answer.error().message.find("synchronous standby"), std::string::npos) << answer.error().message;
  EXPECT_EQ(metric("sessions", "unproven"), 1u);
  EXPECT_GT(loads(), 1u);
  EXPECT_EQ(session->token().find(0)->read, lsn("0/500"));
}

TEST_F(RepositorySessionTest, ThePrimaryIsAskedAgainUntilTheSnapshotHasWhatWasRunningAtFirst) {
  table_.names["bash"] = "old shell";
  on_query_ = [&](const FakeShardPool::Run& run) {
    if (run.target != ShardPool::Target::kPrimary || loads() < 3) return;
    table_.names["bash"] = "shell";
    table_.snapshot = "12:20:15";  // 12 had not been given out when the first load was sent
    table_.next_xid = 30;          // and there are always others
  };
  EXPECT_EQ(describe(read(session_that_read("0/500"))), "shell@primary");
  EXPECT_EQ(metric("sessions", "primary_waited"), 1u);
}

TEST_F(RepositorySessionTest, ThePrimaryIsAskedAgainUntilANodeSaysSettled) {
  table_.names["bash"] = "old shell";
  on_query_ = [&](const FakeShardPool::Run&) {
    if (!node_->of("TIDE").empty()) table_.names["bash"] = "shell";
  };
  node_->script = [&](const FakeNode::Request& request) {
    if (request[0] == "TIDE") node_->settled = "0/500";
    return std::string();
  };
  EXPECT_EQ(describe(read(session_that_read("0/500"))), "shell@primary");
  EXPECT_EQ(node_->of("TIDE").size(), 1u);
}

TEST_F(RepositorySessionTest, AReplicaThatComesToBeKnownAnswersWhatThePrimaryHides) {
  replica_ = table_;
  replica_->is_standby = true;
  replica_->replayed = "0/900";
  replica_->inserted = "0/900";
  replica_->names["bash"] = "new shell";
  EXPECT_EQ(describe(read(session_that_read("0/500"))), "new shell@replica") << "positions are polled meanwhile";
  EXPECT_EQ(metric("sessions", "primary_waited"), 1u);
}

TEST_F(RepositorySessionTest, XidsOfTwoEpochsAreNeverCompared) {
  start({.session_settle_wait_max = milliseconds(60)});
  table_.db_epoch = "6";  // an old primary answers first: xids up to 12
  on_query_ = [&](const FakeShardPool::Run&) {
    if (loads() < 2) return;
    table_.db_epoch = "7";
    table_.snapshot = "50:60:50";
    table_.next_xid = 70;
  };
  EXPECT_EQ(describe(read(session_that_read("0/500"))), "UNAVAILABLE");
}

TEST_F(RepositorySessionTest, AnOldPrimaryIsNotBelieved) {
  start({.session_settle_wait_max = milliseconds(40)});
  table_.db_epoch = "6";
  auto answer = read(session_that_wrote("0/500"));
  EXPECT_EQ(describe(answer), "UNAVAILABLE");
  EXPECT_NE(answer.error().message.find("db_epoch 7"), std::string::npos) << answer.error().message;
}

TEST_F(RepositorySessionTest, ThePrimaryOfANewEpochDecides) {
  table_.db_epoch = "9";
  table_.next_xid = 100;
  auto session = session_that_read("FFFF/0");
  EXPECT_EQ(describe(read(session, "bash", {.is_cache_bypassed = true})), "shell@primary");
  EXPECT_EQ(session->token().find(0)->db_epoch, 9u);
  EXPECT_EQ(session->token().find(0)->needed(), lsn("0/900"));
}

TEST_F(RepositorySessionTest, ALeaseIsUsedAlsoWhenTheSessionHasToWait) {
  start({.session_settle_wait_max = milliseconds(40)});
  EXPECT_EQ(describe(read(session_that_read("0/500"))), "UNAVAILABLE");
  ASSERT_TRUE(wait_for_fills(1));
  EXPECT_EQ(node_->of("SETV").size(), 1u);
  EXPECT_EQ(describe(get("bash")), "shell@node");
}

// ----------------------------------------------------------------------------------------------------- shared loads
// Each order of: the load is sent, somebody else's write, a session that knows of it joins, the load ends.
class SharedLoadTest : public RepositorySessionTest {
 protected:
  void begin(const std::shared_ptr<Session>& session, std::string& out) {
    products_->async_get({"bash"}, {.timeout = seconds(4), .session = session},
                         [&out, this](Answer answer) { out = describe(answer); });
  }
  bool wait_until_sent(size_t count) {
    return run_until(context_, [&] { return loads() == count; });
  }
  void end_loads() {
    pool_->hold = false;
    pool_->release();
  }
  std::string first_, second_;
};

TEST_F(SharedLoadTest, ASessionThatWroteAfterTheLoadWasSentDoesNotTakeItsRows) {
  pool_->hold = true;
  table_.names["bash"] = "old shell";
  begin(nullptr, first_);
  ASSERT_TRUE(wait_until_sent(1));
  begin(session_that_wrote("0/950"), second_);  // elsewhere: this process knows nothing of the write
  run_pending();
  on_query_ = [&](const FakeShardPool::Run&) {
    if (loads() == 2) table_.names["bash"] = "shell";
  };
  end_loads();
  ASSERT_TRUE(run_until(context_, [&] { return !first_.empty() && !second_.empty(); }));
  EXPECT_EQ(first_, "old shell@primary");
  EXPECT_EQ(second_, "shell@primary");
  EXPECT_EQ(metric("sessions", "asked_again"), 1u);
}

TEST_F(SharedLoadTest, ASessionThatJoinedBeforeTheLoadWasSentTakesItsRows) {
  begin(nullptr, first_);
  begin(session_that_wrote("0/850"), second_);  // both before the node has answered
  ASSERT_TRUE(run_until(context_, [&] { return !first_.empty() && !second_.empty(); }));
  EXPECT_EQ(second_, "shell@primary");
  EXPECT_EQ(loads(), 1u);
}

TEST_F(SharedLoadTest, WhatASessionHasReadElsewhereAfterTheLoadWasSentItMustContain) {
  pool_->hold = true;
  table_.next_xid = 12;
  table_.snapshot = "12:12:";
  begin(nullptr, first_);
  ASSERT_TRUE(wait_until_sent(1));
  begin(session_that_read("0/950"), second_);
  run_pending();
  end_loads();
  ASSERT_TRUE(run_until(context_, [&] { return !second_.empty(); }));
  EXPECT_EQ(second_, "shell@primary");
  EXPECT_EQ(metric("loads", "primary"), 2u) << "complete, but of a moment before the session read";
}

TEST_F(SharedLoadTest, ASharedReplicaLoadIsTakenByWhoItIsNewEnoughFor) {
  start_replica("0/1F00");
  pool_->hold = true;
  std::string third;
  begin(nullptr, first_);
  ASSERT_TRUE(wait_until_sent(1));
  begin(session_that_wrote("0/1F00"), second_);
  begin(session_that_wrote("0/1F01"), third);
  run_pending();
  end_loads();
  ASSERT_TRUE(run_until(context_, [&] { return !first_.empty() && !second_.empty() && !third.empty(); }));
  EXPECT_EQ(first_, "shell of replica@replica");
  EXPECT_EQ(second_, "shell of replica@replica");
  EXPECT_EQ(third, "shell@primary");
}

TEST_F(SharedLoadTest, AHitIsTakenByWhoItIsNewEnoughFor) {
  node_->entries["product:{bash}"] = cached("old shell");
  std::string third;
  begin(nullptr, first_);
  begin(session_that_wrote("0/100"), second_);  // the entry's own lo
  begin(session_that_wrote("0/101"), third);    // the tide may have passed it, but this answer does not say so
  ASSERT_TRUE(run_until(context_, [&] { return !first_.empty() && !second_.empty() && !third.empty(); }));
  EXPECT_EQ(first_, "old shell@node");
  EXPECT_EQ(second_, "old shell@node");
  EXPECT_EQ(third, "shell@primary");
}

TEST_F(SharedLoadTest, ASessionThatLeadsDoesNotHoldTheOthersBack) {
  start({.session_settle_wait_max = seconds(3)});
  pool_->hold = true;
  begin(session_that_read("0/500"), first_);
  ASSERT_TRUE(wait_until_sent(1));
  begin(nullptr, second_);
  run_pending();
  end_loads();
  ASSERT_TRUE(run_until(context_, [&] { return !second_.empty(); }));
  EXPECT_EQ(second_, "shell@primary");
  EXPECT_EQ(first_, "") << "the primary has not proven it yet";
  table_.snapshot = "12:12:";
  ASSERT_TRUE(run_until(context_, [&] { return !first_.empty(); }));
  EXPECT_EQ(first_, "shell@primary");
}

TEST_F(SharedLoadTest, TheKeysOfABatchAreAllOfTheSession) {
  node_->entries["product:{bash}"] = cached("old shell");
  auto session = session_that_wrote("0/950");
  auto answers = get_many({"bash", "vim", "bash", "git"}, {.session = session});
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(describe(answers[0]), "shell@primary");
  EXPECT_EQ(describe(answers[1]), "editor@primary");
  EXPECT_EQ(describe(answers[2]), "shell@primary");
  EXPECT_EQ(describe(answers[3]), "history@primary");
  EXPECT_EQ(loads(), 1u);
  EXPECT_EQ(session->token().find(0)->own, lsn("0/950"));
}

}  // namespace
}  // namespace tidemark::client
