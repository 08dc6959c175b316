// STAGE and INVALB's STAGED, byte for byte as docs/PROTOCOL.md says; and what becomes of the key meanwhile.
#include "tests/unit/cacheserver/command/command_fixture.h"

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

class StageCommand : public CommandFixture {
 protected:
  StageCommand() {
    adopt_families();
    EXPECT_TRUE(run("fenceall 7 1 1 0/100").starts_with("*2"));
    settle("0/100", "0/100");
  }
  void settle(const std::string& prev, const std::string& lsn) {
    EXPECT_TRUE(run("fence 7 1 1 " + prev + " " + lsn + " " + lsn + " 900:900: 0").starts_with("*2"));
  }
  // One commit on product:{a}, xid 725, end 0/200.
  std::string bring(const std::string& staged = "STAGED 1 725 product:{a} 99") {
    return run("invalb 7 1 1 0/100 0/200 0 0 1 725 0/200 5 1 product:{a}" + (staged.empty() ? "" : " " + staged));
  }
  std::string verify(const std::string& field) {
    std::string answer = run("verify product:{a}");
    size_t at = answer.find("\r\n" + field + "\r\n") + field.size() + 4;
    at = answer[at] == '$' ? answer.find("\r\n", at) + 2 : at + 1;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }
  static constexpr const char* kStage = "stage 7 1 0/280 725 99 product:{a} row";
  static constexpr const char* kStaged = "+STAGED\r\n";
};

TEST_F(StageCommand, IsInstalledByTheStreamOnceTheCommitHasSettled) {
  EXPECT_EQ(run(kStage), kStaged);
  EXPECT_EQ(verify("staged"), "1");
  EXPECT_EQ(verify("tombstone_lsn"), "0/280") << "with an lsn it does what INVAL does";
  EXPECT_TRUE(bring().starts_with("*2\r\n$5\r\n0/200"));
  EXPECT_EQ(verify("state"), "none") << "not settled: a miss";
  EXPECT_EQ(verify("staged"), "1");
  settle("0/200", "0/200");
  EXPECT_EQ(verify("state"), "value");
  EXPECT_EQ(verify("lo"), "0/200");
  EXPECT_EQ(verify("hi"), "0/200");
  EXPECT_EQ(verify("proof"), "W");
  EXPECT_EQ(verify("staged"), "0");
  EXPECT_EQ(run("get product:{a}"), bulk("row"));
}

TEST_F(StageCommand, MayComeAfterTheStream) {
  bring();
  settle("0/200", "0/200");
  EXPECT_EQ(run(kStage), kStaged);
  EXPECT_EQ(run("get product:{a}"), bulk("row")) << "at once: everything is known already";
}

TEST_F(StageCommand, MayComeBeforeTheCommitAndInvalidatesNothingThen) {
  ASSERT_NE(fill("product:{a}", "old", now_ + 60s), nullptr);
  EXPECT_EQ(run("stage 7 1 0/0 725 99 product:{a} row"), kStaged);
  EXPECT_EQ(run("get product:{a}"), bulk("old"));
  run("invalb 7 1 1 0/100 0/300 0 0 1 725 0/300 5 1 product:{a} STAGED 1 725 product:{a} 99");
  EXPECT_EQ(run("get product:{a}"), kNil);
  settle("0/300", "0/300");
  EXPECT_EQ(run("get product:{a}"), bulk("row"));
}

TEST_F(StageCommand, SaysSoWhenTheStreamNamedNoSuchStage) {
  bring("");
  EXPECT_EQ(run(kStage), "+DROPPED NOSTAGE\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 725 98 product:{a} row"), "+DROPPED NOSTAGE\r\n");
}

TEST_F(StageCommand, SaysSoWhenALaterCommitIsKnown) {
  bring();
  run("inval 7 1 0/380 726 product:{a}");
  EXPECT_EQ(run(kStage), "+DROPPED SUPERSEDED\r\n");
}

TEST_F(StageCommand, SaysSoWhenThereIsNoRoomAndHasInvalidatedNevertheless) {
  ASSERT_NE(fill("product:{a}", "old", now_ + 60s), nullptr);
  EXPECT_EQ(run_words({"stage", "7", "1", "0/280", "725", "99", "product:{a}", std::string(17 << 20, 'x')}),
            "+DROPPED FULL\r\n");
  EXPECT_EQ(run("get product:{a}"), kNil);
}

TEST_F(StageCommand, SaysSoWhenTheShardIsNotJoined) {
  worker_->freshness().set_topology(1, 1, true);  // gained slots: left every shard
  EXPECT_EQ(run(kStage), "+DROPPED NOTJOINED\r\n");
}

TEST_F(StageCommand, TakesATimeToLive) {
  bring();
  settle("0/200", "0/200");
  EXPECT_EQ(run(std::string(kStage) + " PX 5000"), kStaged);
  EXPECT_EQ(verify("ttl_ms"), "5000");
}

TEST_F(StageCommand, StagesARowThatIsGone) {
  bring();
  settle("0/200", "0/200");
  EXPECT_EQ(run("stage 7 1 0/280 725 99 product:{a} '' neg"), kStaged);
  EXPECT_EQ(verify("state"), "absent");
  EXPECT_TRUE(run("getl product:{a}").find("ABSENT") != std::string::npos);
}

TEST_F(StageCommand, RefusesWhatInvalRefuses) {
  EXPECT_EQ(run("stage 7 2 0/280 725 99 product:{a} row"), "-EPOCH 1 is the db_epoch of shard 7 here\r\n");
  EXPECT_EQ(run("stage 8 1 0/280 725 99 product:{a} row"),
            "-ERR shard 8 is not the key's: its bucket is in shard 7 with bucket_epoch 4; reload the map\r\n");
  EXPECT_TRUE(run("stage 7 1 0/280 725 99 other row").starts_with("-ERR NOFAMILY key 'other'"));
  EXPECT_TRUE(run("stage 7 1 5/0 725 99 product:{a} row").starts_with("-ERR lsn '5/0' is more than 16 GiB beyond"));
  EXPECT_EQ(verify("staged"), "0");
  EXPECT_EQ(verify("tombstones"), "0");
}

TEST_F(StageCommand, RefusesMalformedArgumentsByName) {
  EXPECT_EQ(run("stage 70000 1 0/280 725 99 product:{a} row"),
            "-ERR shard '70000' is not a number from 0 to 65535\r\n");
  EXPECT_EQ(run("stage 7 x 0/280 725 99 product:{a} row"),
            "-ERR db_epoch 'x' is not a number from 0 to 4294967295\r\n");
  EXPECT_EQ(run("stage 7 1 280 725 99 product:{a} row"), "-ERR lsn '280' is not an LSN like 16/B374D848\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 0 99 product:{a} row"), "-ERR xid must be the transaction's 64-bit id, not 0\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 725 -1 product:{a} row"),
            "-ERR stage '-1' is not a number from 0 to 18446744073709551615\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 725 99 product:{a} row NEG"),
            "-ERR NEG stages a row that is gone: the value must be empty\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 725 99 product:{a} row PX 0"), "-ERR PX must be at least 1 millisecond\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 725 99 product:{a} row PX 5 PX 5"),
            "-ERR STAGE does not know the option 'PX' here; it takes PX ms and NEG, each once\r\n");
  EXPECT_EQ(run("stage 7 1 0/280 725 99 product:{a} row PX"), "-ERR PX is missing\r\n");
  EXPECT_TRUE(run("stage 7 1 0/280 725 99 product:{a}").starts_with("-ERR wrong number of arguments"));
}

// ---- nothing comes back

TEST_F(StageCommand, DelOfAKeyWithAParkedValueDropsIt) {
  run(kStage);
  bring();
  EXPECT_EQ(run("del product:{a}"), ":0\r\n");
  settle("0/200", "0/200");
  EXPECT_EQ(verify("state"), "none");
}

TEST_F(StageCommand, FlushallDropsEveryParkedValue) {
  run(kStage);
  bring();
  EXPECT_EQ(run("flushall"), kOk);
  settle("0/200", "0/200");
  EXPECT_EQ(verify("state"), "none");
}

TEST_F(StageCommand, ExpireOfAKeyWithAParkedValueFindsNothing) {
  run(kStage);
  bring();
  EXPECT_EQ(run("expire product:{a} 5"), ":0\r\n");
  EXPECT_EQ(run("get product:{a}"), kNil);
}

TEST_F(StageCommand, EndsAfterTenSeconds) {
  run(kStage);
  pass(10'000ms);
  worker_->tick(now_);
  EXPECT_EQ(verify("staged"), "0");
}

// ---- INVALB … STAGED

TEST_F(StageCommand, InvalbRefusesStagedThatIsMalformedOrNamesForeignKeysAndAppliesNothing) {
  run(kStage);
  EXPECT_EQ(bring("STAGED 1 725 product:{b} 99"), "-ERR STAGED names 1 keys, 0 of them stand in this batch\r\n");
  EXPECT_EQ(bring("STAGED 1 726 product:{a} 99"), "-ERR STAGED names 1 keys, 0 of them stand in this batch\r\n");
  EXPECT_EQ(bring("STAGED 2 725 product:{a} 99"), "-ERR xid of STAGED is missing\r\n");
  EXPECT_EQ(bring("STAGED 1 725 product:{a} x"),
            "-ERR stage of STAGED 'x' is not a number from 0 to 18446744073709551615\r\n");
  EXPECT_EQ(bring("STAGED 1 725 product:{a} 99 more"),
            "-ERR 'more' follows where STAGED or MOVED may stand, once each and in this order\r\n");
  EXPECT_EQ(bring("STAGED"), "-ERR the number of STAGED is missing\r\n");
  EXPECT_EQ(bring("SAGED 1"), "-ERR 'SAGED' follows where STAGED or MOVED may stand, once each and in this order\r\n");
  EXPECT_EQ(verify("complete_through"), "0/100");
  EXPECT_EQ(verify("staged"), "1");
}

TEST_F(StageCommand, InvalbInstallsWhatHasSettledAlready) {
  run(kStage);
  settle("0/100", "0/200");  // another sender was faster; this batch is a replay
  run("invalb 7 1 1 0/100 0/200 0 1 1 725 0/200 5 1 product:{a} STAGED 1 725 product:{a} 99");
  EXPECT_EQ(verify("state"), "value");
}

TEST_F(StageCommand, ALaterCommitOfTheSameBatchWins) {
  run(kStage);
  settle("0/100", "0/300");
  run("invalb 7 1 1 0/100 0/300 0 1 2 725 0/200 5 1 product:{a} 726 0/300 5 1 product:{a} STAGED 1 725 product:{a} 99");
  EXPECT_EQ(verify("state"), "none");
}

TEST_F(StageCommand, IsCountedByWhatBecameOfIt) {
  run(kStage);
  bring();
  settle("0/200", "0/200");
  std::string info = run("info tidemark");
  EXPECT_NE(info.find("staged_parked:1\r\n"), std::string::npos) << info;
  EXPECT_NE(info.find("staged_installed:1\r\n"), std::string::npos) << info;
  EXPECT_NE(info.find("staged_values:0\r\n"), std::string::npos) << info;
}

}  // namespace
}  // namespace tidemark::cacheserver
