// GETL … TIDE, byte for byte as docs/PROTOCOL.md says.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/slot.h"
#include "cacheserver/command/command.h"
#include "cacheserver/freshness/freshness_state.h"
#include "cacheserver/keyspace/keyspace.h"
#include "cacheserver/session/session.h"
#include "cacheserver/worker/worker_view.h"

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kIncarnation = 0x10;  // stamps begin at 5
const std::string kKey = "product:{abc}";

std::shared_ptr<const Topology> make_topology() {
  auto topology = std::make_shared<Topology>();
  topology->version = 1;
  topology->slots_version = 3;
  topology->nodes = {{.id = "n1", .worker_ports = {7001}}, {.id = "n2", .worker_ports = {7002}}};
  topology->groups = {{.id = "g1", .epoch = 2, .nodes = {"n1"}}, {.id = "g2", .epoch = 1, .nodes = {"n2"}}};
  topology->slot_groups.assign(kSlotCount, 0);
  topology->slot_groups[slot_of_key("product:{elsewhere}")] = 1;
  topology->buckets.assign(kBucketCount, {.shard = 7, .epoch = 4});
  topology->families = {{.name = "product",
                         .pattern = "product:{<sku>}",
                         .table = "catalog.product",
                         .key_columns = {"sku"},
                         .ttl_ms = 60'000,
                         .negative_ttl_ms = 5'000},
                        {.name = "plain", .pattern = "plain:{<id>}", .table = "", .key_columns = {}}};
  return topology;
}

class FreshnessCommands : public testing::Test {
 protected:
  FreshnessCommands() { view_.adopt_topology(make_topology()); }

  std::string run(const std::vector<std::string>& words) {
    std::vector<std::string_view> arguments(words.begin(), words.end());
    std::string out;
    RespWriter reply(out, 2);
    CommandContext context{keyspace_, freshness_, session_, view_, reply, now_, UnixMillis{5'000'000}};
    for (const CommandSpec& spec : freshness_commands()) {
      if (spec.name != words[0]) continue;
      bool is_arity_right = spec.arity >= 0 ? words.size() == static_cast<size_t>(spec.arity)
                                            : words.size() >= static_cast<size_t>(-spec.arity);
      if (!is_arity_right) return "wrong arity";
      spec.handler(context, arguments);
    }
    return out;
  }

  void join() { ASSERT_EQ(run({"fenceall", "7", "1", "3", "0/100"}), "*2\r\n$5\r\n0/100\r\n:1000000005\r\n"); }
  void settle() { run({"fence", "7", "1", "3", "0/100", "0/100", "0/100", "700:700:", "0"}); }
  std::string lease_of(const std::string& key) {
    std::string answer = run({"getl", key});
    size_t at = answer.find("0000000000000010.");
    return at == std::string::npos ? "" : answer.substr(at, answer.find("\r\n", at) - at);
  }
  std::string verify(const std::string& key, const std::string& field) {
    std::string answer = run({"verify", key});
    size_t at = answer.find("\r\n" + field + "\r\n") + field.size() + 4;
    if (answer[at] == '$')
      at = answer.find("\r\n", at) + 2;
    else
      ++at;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }

  Keyspace keyspace_{{.memory_bytes_max = 1 << 20, .hash_seed = 1}};
  FreshnessState freshness_{{.incarnation = kIncarnation, .group_epoch = 2, .slots_version = 3}};
  Session session_;
  WorkerView view_{{.node_id = "n1", .incarnation = kIncarnation}, {}, {}};
  Instant now_{1000s};
};

// ---- GETL

TEST_F(FreshnessCommands, GetlBypassesUntilTheShardIsJoined) {
  EXPECT_EQ(run({"getl", kKey}), "*3\r\n$6\r\nBYPASS\r\n$9\r\nNOTJOINED\r\n:-1\r\n");
}

TEST_F(FreshnessCommands, GetlMissesWithALeaseTheNeededLsnAndWhetherThePrimaryMayRefuse) {
  join();
  EXPECT_EQ(run({"getl", kKey}),
            "*5\r\n$4\r\nMISS\r\n$22\r\n0000000000000010.2.3.1\r\n$5\r\n0/100\r\n:1\r\n$3\r\n0/0\r\n");
}

TEST_F(FreshnessCommands, GetlSaysZeroForVisibleOnceTheFloorHasASnapshot) {
  join();
  settle();
  EXPECT_EQ(run({"getl", kKey}),
            "*5\r\n$4\r\nMISS\r\n$22\r\n0000000000000010.2.3.1\r\n$5\r\n0/100\r\n:0\r\n$5\r\n0/100\r\n");
}

TEST_F(FreshnessCommands, GetlIsBusyWhileAnotherHoldsTheLease) {
  join();
  lease_of(kKey);
  EXPECT_EQ(run({"getl", kKey}), "*2\r\n$4\r\nBUSY\r\n:2\r\n");
  now_ += 40ms;
  EXPECT_EQ(run({"getl", kKey}), "*2\r\n$4\r\nBUSY\r\n:40\r\n");
  now_ += 10s;
  EXPECT_TRUE(run({"getl", kKey}).starts_with("*5\r\n$4\r\nMISS\r\n"));
}

TEST_F(FreshnessCommands, GetlHitsWithValueBoundAndClaims) {
  join();
  settle();
  EXPECT_EQ(run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "the value", "HI", "0/190"}), "+OK\r\n");
  EXPECT_EQ(run({"getl", kKey}), "*6\r\n$3\r\nHIT\r\n$9\r\nthe value\r\n:-1\r\n$5\r\n0/180\r\n$5\r\n0/190\r\n:1\r\n");
}

TEST_F(FreshnessCommands, GetlBoundsByTheEchoedStampAndRefusesMoreStaleness) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  std::string stamp = std::to_string(freshness_.stamp(now_));
  now_ += 30500us;
  run({"fence", "7", "1", "3", "0/100", "0/120", "0/0", "-", stamp});
  EXPECT_EQ(run({"getl", kKey}),
            "*6\r\n$3\r\nHIT\r\n$1\r\nv\r\n:31\r\n$5\r\n0/180\r\n$17\r\nFFFFFFFF/FFFFFFFF\r\n:1\r\n");
  EXPECT_TRUE(run({"getl", kKey, "MAXSTALE", "31"}).starts_with("*6\r\n$3\r\nHIT\r\n"));
  EXPECT_EQ(run({"getl", kKey, "MAXSTALE", "30"}), "*3\r\n$6\r\nBYPASS\r\n$6\r\nBEHIND\r\n:31\r\n");
}

TEST_F(FreshnessCommands, GetlRefusesKeysWithoutADatabase) {
  EXPECT_TRUE(run({"getl", "plain:{x}"}).starts_with("-ERR NOFAMILY key 'plain:{x}' has no database"));
  EXPECT_TRUE(run({"getl", "other"}).starts_with("-ERR NOFAMILY key 'other' has no database"));
}

TEST_F(FreshnessCommands, GetlNamesWhatIsWrongWithItsOptions) {
  EXPECT_EQ(run({"getl", kKey, "MAXSTALE", "-1"}), "-ERR MAXSTALE '-1' is not a number from 0 to 315360000000\r\n");
  EXPECT_EQ(run({"getl", kKey, "MAXSTALE"}), "-ERR MAXSTALE is missing\r\n");
  EXPECT_EQ(
      run({"getl", kKey, "NOW"}),
      "-ERR GETL does not know the option 'NOW' here; it takes MAXSTALE ms, AFTER e lsn and OWNER p be, each once\r\n");
}

// ---- GETL AFTER: what a session has written or read

TEST_F(FreshnessCommands, GetlAfterHitsWhatItsLoProves) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/180"}).starts_with("*6\r\n$3\r\nHIT\r\n"));
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/181"}).starts_with("*5\r\n$4\r\nMISS\r\n"));
  EXPECT_EQ(freshness_.counters().hits_behind_session, 1u);
}

TEST_F(FreshnessCommands, GetlAfterHitsWhatTheTideHasPassed) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  run({"fence", "7", "1", "3", "0/100", "0/200", "0/0", "-", "0"});
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/200"}).starts_with("*6\r\n$3\r\nHIT\r\n"));
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/201"}).starts_with("*5\r\n$4\r\nMISS\r\n"));
}

TEST_F(FreshnessCommands, GetlAfterMissesWithTheSessionsPositionAndTheEntryStays) {
  join();
  settle();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  EXPECT_EQ(run({"getl", kKey, "AFTER", "1", "0/500"}),
            "*5\r\n$4\r\nMISS\r\n$22\r\n0000000000000010.2.3.2\r\n$5\r\n0/500\r\n:0\r\n$5\r\n0/100\r\n");
  EXPECT_TRUE(run({"getl", kKey}).starts_with("*6\r\n$3\r\nHIT\r\n")) << "for everybody else it is as good as before";
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/500"}).starts_with("*2\r\n$4\r\nBUSY\r\n"));
}

TEST_F(FreshnessCommands, GetlAfterOfAnOlderPositionNeedsNoLessThanTheFloor) {
  join();
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/1"}).find("\r\n0/100\r\n:1\r\n") != std::string::npos);
}

TEST_F(FreshnessCommands, GetlAfterOfAnotherEpochIsNotCompared) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  for (const char* epoch : {"0", "2"}) {
    EXPECT_EQ(run({"getl", kKey, "AFTER", epoch, "0/1"}), "*3\r\n$6\r\nBYPASS\r\n$5\r\nEPOCH\r\n:-1\r\n");
  }
}

TEST_F(FreshnessCommands, GetlForASessionThatKnowsAnotherOwnerOfTheBucketIsNotCompared) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/180", "OWNER", "7", "4"}).starts_with("*6\r\n$3\r\nHIT\r\n"));
  // A position of another shard's log may be below any of this one's and say nothing.
  EXPECT_EQ(run({"getl", kKey, "AFTER", "1", "0/1", "OWNER", "8", "6"}),
            "*3\r\n$6\r\nBYPASS\r\n$5\r\nMOVED\r\n:-1\r\n");
  EXPECT_EQ(run({"getl", kKey, "OWNER", "7", "5"}), "*3\r\n$6\r\nBYPASS\r\n$5\r\nMOVED\r\n:-1\r\n");
  EXPECT_EQ(run({"getl", kKey, "OWNER", "7", "3"}), "*3\r\n$6\r\nBYPASS\r\n$5\r\nMOVED\r\n:-1\r\n");
  EXPECT_EQ(run({"getl", kKey, "OWNER", "7"}), "-ERR OWNER's bucket_epoch is missing\r\n");
}

TEST_F(FreshnessCommands, GetlAfterBypassesUntilTheShardIsJoined) {
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/1"}).starts_with("*3\r\n$6\r\nBYPASS\r\n$9\r\nNOTJOINED\r\n"));
}

TEST_F(FreshnessCommands, GetlAfterAndMaxstaleGoInEitherOrder) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  EXPECT_TRUE(
      run({"getl", kKey, "AFTER", "1", "0/180", "MAXSTALE", "10"}).starts_with("*3\r\n$6\r\nBYPASS\r\n$6\r\nBEHIND"));
  EXPECT_TRUE(
      run({"getl", kKey, "maxstale", "10", "after", "1", "0/180"}).starts_with("*3\r\n$6\r\nBYPASS\r\n$6\r\nBEHIND"));
}

TEST_F(FreshnessCommands, GetlAfterNamesWhatIsWrong) {
  EXPECT_EQ(run({"getl", kKey, "AFTER", "x", "0/1"}),
            "-ERR AFTER's db_epoch 'x' is not a number from 0 to 4294967295\r\n");
  EXPECT_EQ(run({"getl", kKey, "AFTER", "1"}), "-ERR AFTER's lsn is missing\r\n");
  EXPECT_EQ(run({"getl", kKey, "AFTER", "1", "17"}), "-ERR AFTER's lsn '17' is not an LSN like 16/B374D848\r\n");
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/1", "AFTER", "1", "0/2"}).starts_with("-ERR GETL does not know"));
}

// ---- SETV

TEST_F(FreshnessCommands, SetvFillsAnAbsence) {
  join();
  EXPECT_EQ(run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "", "NEG"}), "+OK\r\n");
  EXPECT_EQ(run({"getl", kKey}), "*5\r\n$6\r\nABSENT\r\n:-1\r\n$5\r\n0/180\r\n$17\r\nFFFFFFFF/FFFFFFFF\r\n:1\r\n");
  EXPECT_EQ(verify(kKey, "ttl_ms"), "5000");
  EXPECT_EQ(verify(kKey, "state"), "absent");
}

TEST_F(FreshnessCommands, SetvTakesTheFamilysTimeToLiveOrItsOwn) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v", "HI", "0/190"});
  EXPECT_EQ(verify(kKey, "ttl_ms"), "60000");
  EXPECT_EQ(verify(kKey, "hi"), "0/190");
  run({"inval", "7", "1", "0/300", "900", kKey});
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/380", "v", "PX", "700"});
  EXPECT_EQ(verify(kKey, "ttl_ms"), "700");
  EXPECT_EQ(verify(kKey, "hi"), "FFFFFFFF/FFFFFFFF");
  now_ += 700ms;
  EXPECT_EQ(verify(kKey, "state"), "none");
}

TEST_F(FreshnessCommands, SetvRejectsALeaseThatIsNotCurrentAndChangesNothing) {
  join();
  std::string lease = lease_of(kKey);
  EXPECT_TRUE(run({"setv", kKey, "made-up", "R:7:1:4:0/180", "v"}).starts_with("-REJECT LEASE "));
  EXPECT_EQ(run({"setv", kKey, lease, "R:7:1:4:0/180", "v"}), "+OK\r\n");
  EXPECT_TRUE(run({"setv", kKey, lease, "R:7:1:4:0/180", "v"}).starts_with("-REJECT LEASE ")) << "a lease fills once";
}

TEST_F(FreshnessCommands, SetvRejectsAProofOfOtherEpochsAndTheLeaseIsGone) {
  join();
  std::string lease = lease_of(kKey);
  EXPECT_TRUE(run({"setv", kKey, lease, "R:7:2:4:0/180", "v"}).starts_with("-REJECT EPOCH 1 4 "));
  EXPECT_TRUE(run({"setv", kKey, lease, "R:7:1:4:0/180", "v"}).starts_with("-REJECT LEASE "));
  EXPECT_TRUE(run({"setv", kKey, lease_of(kKey), "R:7:1:5:0/180", "v"}).starts_with("-REJECT EPOCH 1 4 "));
  EXPECT_TRUE(run({"setv", kKey, lease_of(kKey), "R:6:1:4:0/180", "v"}).starts_with("-REJECT EPOCH 1 4 "));
}

TEST_F(FreshnessCommands, SetvRejectsWhatATombstoneOrTheFloorForbids) {
  join();
  settle();
  run({"invalb", "7", "1", "3", "0/100", "0/200", "0", "0", "1", "725", "0/180", "0", "1", kKey});
  EXPECT_TRUE(run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/17F", "v"}).starts_with("-REJECT OLDER 0/180 "));
  EXPECT_TRUE(
      run({"setv", kKey, lease_of(kKey), "S:7:1:4:725:726:725:0/300", "v"}).starts_with("-REJECT OLDER 0/180 "));
  EXPECT_TRUE(
      run({"setv", "product:{x}", lease_of("product:{x}"), "R:7:1:4:0/FF", "v"}).starts_with("-REJECT FLOOR 0/100 "));
  EXPECT_EQ(run({"setv", kKey, lease_of(kKey), "S:7:1:4:726:726::0/300", "v"}), "+OK\r\n");
  EXPECT_EQ(verify(kKey, "proof"), "S");
  EXPECT_EQ(verify(kKey, "lo"), "0/100");
  EXPECT_EQ(verify(kKey, "hi"), "0/300");
  EXPECT_EQ(verify(kKey, "xmin"), "726");
}

TEST_F(FreshnessCommands, SetvNamesEveryMalformedArgument) {
  EXPECT_EQ(run({"setv", kKey, "l", "R:7:1:0/180", "v"}),
            "-ERR proof 'R:7:1:0/180' is not R:p:e:be:lsn or S:p:e:be:xmin:xmax:xip,xip,…:lsn\r\n");
  EXPECT_EQ(run({"setv", kKey, std::string(81, 'x'), "R:7:1:4:0/180", "v"}),
            "-ERR lease of 81 bytes: a lease has at most 80\r\n");
  EXPECT_EQ(run({"setv", kKey, "l", "R:7:1:4:0/180", "v", "NEG"}),
            "-ERR NEG fills a proven absence: the value must be empty\r\n");
  EXPECT_EQ(run({"setv", kKey, "l", "R:7:1:4:0/180", "v", "PX", "0"}), "-ERR PX must be at least 1 millisecond\r\n");
  EXPECT_EQ(run({"setv", kKey, "l", "R:7:1:4:0/180", "v", "HI", "0/17F"}),
            "-ERR HI 0/17F is below the proof's LSN 0/180\r\n");
  EXPECT_EQ(run({"setv", kKey, "l", "S:7:1:4:1:1::0/180", "v", "HI", "0/180"}),
            "-ERR HI belongs to an R proof; an S proof carries it as its last field\r\n");
  EXPECT_EQ(run({"setv", kKey, "l", "R:7:1:4:0/180", "v", "EX", "1"}),
            "-ERR SETV does not know the option 'EX' here; it takes HI lsn, PX ms and NEG, each once\r\n");
}

TEST_F(FreshnessCommands, SetvSaysSoWhenThereIsNoRoom) {
  join();
  std::string answer = run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", std::string(2 << 20, 'x')});
  EXPECT_TRUE(answer.starts_with("-OOM ")) << answer;
  EXPECT_EQ(verify(kKey, "state"), "none");
}

// ---- INVAL

TEST_F(FreshnessCommands, InvalDropsEntriesKillsLeasesAndLeavesTombstones) {
  join();
  settle();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  std::string lease = lease_of("product:{x}");
  EXPECT_EQ(run({"inval", "7", "1", "0/200", "725", kKey, "product:{x}"}), ":1\r\n");
  EXPECT_EQ(verify(kKey, "state"), "none");
  EXPECT_EQ(verify(kKey, "tombstones"), "1");
  EXPECT_EQ(verify(kKey, "tombstone_lsn"), "0/200");
  EXPECT_EQ(verify(kKey, "complete_through"), "0/100");
  EXPECT_TRUE(run({"setv", "product:{x}", lease, "R:7:1:4:0/300", "v"}).starts_with("-REJECT LEASE "));
  EXPECT_EQ(run({"getl", kKey}),
            "*5\r\n$4\r\nMISS\r\n$22\r\n0000000000000010.2.3.3\r\n$5\r\n0/200\r\n:1\r\n$5\r\n0/100\r\n");
}

TEST_F(FreshnessCommands, InvalKeepsAnEntryThatProvablyContainsTheCommit) {
  join();
  settle();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/200", "v"});
  EXPECT_EQ(run({"inval", "7", "1", "0/200", "725", kKey}), ":1\r\n");
  EXPECT_EQ(verify(kKey, "state"), "value");
  EXPECT_EQ(run({"inval", "7", "1", "0/201", "726", kKey}), ":1\r\n");
  EXPECT_EQ(verify(kKey, "state"), "none");
}

TEST_F(FreshnessCommands, InvalOfAnotherEpochOrAnUnknownShardIsRefused) {
  EXPECT_EQ(run({"inval", "7", "1", "0/200", "725", kKey}), "-EPOCH 0 is the db_epoch of shard 7 here\r\n");
  join();
  EXPECT_EQ(run({"inval", "7", "2", "0/200", "725", kKey}), "-EPOCH 1 is the db_epoch of shard 7 here\r\n");
}

TEST_F(FreshnessCommands, InvalDoesNothingIfOneKeyIsNotItsOwn) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "v"});
  EXPECT_TRUE(run({"inval", "7", "1", "0/200", "725", kKey, "other"}).starts_with("-ERR NOFAMILY key 'other'"));
  Slot elsewhere = slot_of_key("product:{elsewhere}");
  EXPECT_EQ(run({"inval", "7", "1", "0/200", "725", kKey, "product:{elsewhere}"}),
            "-MOVED " + std::to_string(elsewhere) + " 127.0.0.1:7002\r\n");
  EXPECT_EQ(verify(kKey, "state"), "value");
}

TEST_F(FreshnessCommands, InvalRefusesAPositionFarBeyondTheTide) {
  join();
  EXPECT_EQ(
      run({"inval", "7", "1", "8/0", "725", kKey}),
      "-ERR lsn '8/0' is more than 16 GiB beyond this node's tide mark 0/100: the stream will invalidate the keys\r\n");
}

TEST_F(FreshnessCommands, InvalTakesAtMost1024Keys) {
  join();
  std::vector<std::string> words = {"inval", "7", "1", "0/200", "725"};
  words.resize(words.size() + 1025, kKey);
  EXPECT_EQ(run(words), "-ERR INVAL takes at most 1024 keys, 1025 were given\r\n");
  words.pop_back();
  EXPECT_EQ(run(words), ":0\r\n");
}

// ---- INVALB

TEST_F(FreshnessCommands, InvalbAppliesABatchAndAnswersPositionAndStamp) {
  join();
  settle();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/150", "v"});
  EXPECT_EQ(run({"invalb", "7", "1", "3", "0/100", "0/200", "0", "0", "2",  //
                 "725", "0/180", "4999980000", "2", kKey, "product:{x}",    //
                 "727", "0/200", "4999990000", "0"}),
            "*2\r\n$5\r\n0/200\r\n:1000000005\r\n");
  EXPECT_EQ(verify(kKey, "state"), "none");
  EXPECT_EQ(freshness_.lag_us().count(), 2u);
  EXPECT_EQ(freshness_.lag_us().max(), 20'000u);
  run({"invalb", "7", "1", "3", "0/200", "0/200", "0", "1", "1", "727", "0/200", "4999990000", "0"});
  EXPECT_EQ(freshness_.lag_replayed_us().count(), 1u);
}

TEST_F(FreshnessCommands, InvalbThatDoesNotFollowIsAGap) {
  EXPECT_EQ(run({"invalb", "7", "1", "3", "0/100", "0/200", "0", "0", "0"}), "-GAP 0/0\r\n");
  join();
  EXPECT_EQ(run({"invalb", "7", "1", "3", "0/101", "0/200", "0", "0", "0"}), "-GAP 0/100\r\n");
}

TEST_F(FreshnessCommands, InvalbInPartsMovesThePositionWithTheLastAndOnlyInOrder) {
  join();
  auto part = [&](const char* more) { return run({"invalb", "7", "1", "3", "0/100", "0/200", more, "0", "0"}); };
  EXPECT_EQ(part("4"), "-GAP 0/100\r\n");
  EXPECT_TRUE(part("1").starts_with("*2\r\n$5\r\n0/100\r\n"));
  EXPECT_EQ(part("4"), "-GAP 0/100\r\n") << "part 1 is missing";
  EXPECT_TRUE(part("3").starts_with("*2\r\n$5\r\n0/100\r\n"));
  EXPECT_TRUE(part("4").starts_with("*2\r\n$5\r\n0/200\r\n"));
}

TEST_F(FreshnessCommands, InvalbOfAnOldMapOrAnotherEpochIsRefused) {
  join();
  EXPECT_TRUE(run({"invalb", "7", "1", "2", "0/100", "0/200", "0", "0", "0"}).starts_with("-STALEMAP 3 "));
  EXPECT_TRUE(run({"invalb", "7", "2", "3", "0/100", "0/200", "0", "0", "0"}).starts_with("-EPOCH 1 "));
  EXPECT_TRUE(run({"invalb", "7", "0", "3", "0/100", "0/200", "0", "0", "0"}).starts_with("-EPOCH 1 "));
  EXPECT_TRUE(run({"invalb", "7", "1", "4", "0/100", "0/200", "0", "0", "0"}).starts_with("*2\r\n"))
      << "a newer map is welcome";
}

TEST_F(FreshnessCommands, InvalbIsCheckedAsAWholeBeforeAnythingIsDropped) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/150", "v"});
  auto batch = [&](std::vector<std::string> tail) {
    std::vector<std::string> words = {"invalb", "7", "1", "3", "0/100", "0/200", "0", "0"};
    words.insert(words.end(), tail.begin(), tail.end());
    return run(words);
  };
  EXPECT_EQ(batch({"2", "725", "0/180", "0", "1", kKey}), "-ERR xid is missing\r\n");
  EXPECT_EQ(batch({"1", "725", "0/180", "0", "2", kKey}), "-ERR nkeys of transaction 725 is 2, 1 arguments follow\r\n");
  EXPECT_EQ(batch({"1", "725", "0/180", "0", "1", kKey, "more"}),
            "-ERR 'more' follows where STAGED or MOVED may stand, once each and in this order\r\n");
  EXPECT_EQ(batch({"1", "725", "0/201", "0", "1", kKey}), "-ERR end_lsn 0/201 is beyond last_lsn 0/200\r\n");
  EXPECT_EQ(batch({"2", "725", "0/180", "0", "1", kKey, "726", "0/170", "0", "0"}),
            "-ERR end_lsn 0/170 stands behind 0/180: not in commit order\r\n");
  EXPECT_EQ(batch({"1025"}), "-ERR ntx '1025' is not a number from 0 to 1024\r\n");
  EXPECT_EQ(batch({"1", "725", "0/180", "0", "4097"}), "-ERR nkeys '4097' is not a number from 0 to 4096\r\n");
  EXPECT_EQ(batch({"1", "0", "0/180", "0", "0"}), "-ERR xid must be the transaction's 64-bit id, not 0\r\n");
  EXPECT_EQ(batch({"1", "725", "0/180", "0", "1", std::string(5 << 20, 'k')}).substr(0, 39),
            "-ERR a batch has at most 4194304 bytes,");
  EXPECT_EQ(run({"invalb", "7", "1", "3", "0/200", "0/100", "0", "0", "0"}), "-ERR last_lsn is before prev_lsn\r\n");
  EXPECT_EQ(run({"invalb", "7", "1", "3", "0/100", "0/200", "0", "2", "0"}), "-ERR replay '2' is neither 0 nor 1\r\n");
  EXPECT_EQ(verify(kKey, "state"), "value");
}

// ---- EPOCH

TEST_F(FreshnessCommands, AfterEpochWhatHoldsNothingBeyondTheSwitchStandsAndTheRestIsAMiss) {
  join();
  settle();
  // hi 0/180, 0/200 and unknown.
  const std::string survivor = "product:{abc}", phantom = "product:{abd}", unsure = "product:{abe}";
  EXPECT_EQ(run({"setv", survivor, lease_of(survivor), "S:7:1:4:700:700::0/180", "kept"}), "+OK\r\n");
  EXPECT_EQ(run({"setv", phantom, lease_of(phantom), "S:7:1:4:700:700::0/200", "lost"}), "+OK\r\n");
  EXPECT_EQ(run({"setv", unsure, lease_of(unsure), "R:7:1:4:0/150", "who knows"}), "+OK\r\n");
  const std::string running = lease_of("product:{abf}");
  run({"fence", "7", "1", "3", "0/100", "0/200", "0/0", "-", "0"});
  EXPECT_TRUE(run({"epoch", "7", "131072", "3", "1", "0/190"}).starts_with("*2\r\n$5\r\n0/190\r\n")) << "it rewinds";
  EXPECT_TRUE(run({"getl", survivor}).find("kept") != std::string::npos);
  EXPECT_TRUE(run({"getl", survivor}).find(":131072\r\n") != std::string::npos) << "as of the new epoch";
  EXPECT_FALSE(lease_of(phantom).empty()) << "it may hold a lost commit";
  EXPECT_FALSE(lease_of(unsure).empty()) << "nobody knows what it holds";
  EXPECT_TRUE(run({"setv", "product:{abf}", running, "S:7:1:4:700:700::0/180", "old"}).starts_with("-REJECT LEASE"));
  // A batch of the new timeline follows the switch; the old one's are refused.
  EXPECT_TRUE(run({"invalb", "7", "1", "3", "0/200", "0/210", "0", "0", "0"}).starts_with("-EPOCH 131072 "));
  EXPECT_TRUE(run({"invalb", "7", "131072", "3", "0/190", "0/1A0", "0", "0", "1", "900", "0/1A0", "0", "1", survivor})
                  .starts_with("*2\r\n$5\r\n0/1A0\r\n"));
  EXPECT_FALSE(lease_of(survivor).empty()) << "a commit that ends below the old position is news here";
}

TEST_F(FreshnessCommands, EpochIsRefusedWhereSomethingBeforeTheSwitchWasNotApplied) {
  EXPECT_EQ(run({"epoch", "7", "131072", "3", "1", "0/190"}), "-GAP 0/0\r\n") << "not joined";
  join();
  EXPECT_EQ(run({"epoch", "7", "131072", "3", "1", "0/101"}), "-GAP 0/100\r\n");
  EXPECT_TRUE(run({"epoch", "7", "131072", "3", "2", "0/100"}).starts_with("-EPOCH 1 ")) << "not what it was before";
  EXPECT_TRUE(run({"epoch", "7", "131072", "2", "1", "0/100"}).starts_with("-STALEMAP 3 "));
  EXPECT_EQ(run({"epoch", "7", "131072", "3", "1", "0/0"}), "-ERR switch_lsn 0/0 is no position of a promotion\r\n");
  EXPECT_EQ(run({"epoch", "7", "1", "3", "1", "0/100"}), "-ERR prev_e is not below the db_epoch that succeeds it\r\n");
  EXPECT_TRUE(run({"epoch", "7", "131072", "3", "1", "0/100"}).starts_with("*2"));
  EXPECT_TRUE(run({"epoch", "7", "131072", "3", "1", "0/100"}).starts_with("*2")) << "told twice";
  EXPECT_TRUE(run({"epoch", "7", "2", "3", "1", "0/100"}).starts_with("-EPOCH 131072 ")) << "an old invalidator";
}

TEST_F(FreshnessCommands, ASessionOfTheOldTimelineIsServedUpToTheSwitchOnly) {
  join();
  settle();
  EXPECT_EQ(run({"setv", kKey, lease_of(kKey), "S:7:1:4:700:700::0/180", "kept"}), "+OK\r\n");
  run({"fence", "7", "1", "3", "0/100", "0/200", "0/0", "-", "0"});
  run({"epoch", "7", "131072", "3", "1", "0/190"});
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "1", "0/190"}).find("kept") != std::string::npos);
  EXPECT_EQ(run({"getl", kKey, "AFTER", "1", "0/191"}), "*3\r\n$6\r\nBYPASS\r\n$4\r\nLOST\r\n:-1\r\n")
      << "never satisfied by a greater position of another history";
  run({"fence", "7", "131072", "3", "0/190", "0/300", "0/0", "-", "0"});
  EXPECT_EQ(run({"getl", kKey, "AFTER", "1", "0/191"}), "*3\r\n$6\r\nBYPASS\r\n$4\r\nLOST\r\n:-1\r\n");
  EXPECT_TRUE(run({"getl", kKey, "AFTER", "131072", "0/300"}).find("kept") != std::string::npos);
  EXPECT_EQ(run({"getl", kKey, "AFTER", "5", "0/100"}), "*3\r\n$6\r\nBYPASS\r\n$5\r\nEPOCH\r\n:-1\r\n");
  EXPECT_EQ(freshness_.counters().lost_positions, 2u);
}

TEST_F(FreshnessCommands, AFenceallAfterAnEpochForgetsWhatWasInherited) {
  join();
  settle();
  EXPECT_EQ(run({"setv", kKey, lease_of(kKey), "S:7:1:4:700:700::0/100", "kept"}), "+OK\r\n");
  run({"epoch", "7", "131072", "3", "1", "0/100"});
  EXPECT_TRUE(run({"getl", kKey}).find("kept") != std::string::npos);
  run({"fenceall", "7", "131072", "3", "0/100"});
  EXPECT_FALSE(lease_of(kKey).empty());
}

// ---- FENCE, FENCEALL, TIDE

TEST_F(FreshnessCommands, FenceMovesTheTideAndTellsWhatHasSettled) {
  join();
  EXPECT_EQ(run({"fence", "7", "1", "3", "0/100", "0/200", "0/180", "700:705:702", "0"}),
            "*2\r\n$5\r\n0/200\r\n:1000000005\r\n");
  EXPECT_EQ(run({"tide"}), "*1\r\n*6\r\n:7\r\n:1\r\n$5\r\n0/200\r\n$5\r\n0/180\r\n$5\r\n0/100\r\n:-1\r\n");
  EXPECT_EQ(run({"fence", "7", "1", "3", "0/201", "0/300", "0/0", "-", "0"}), "-GAP 0/200\r\n");
}

TEST_F(FreshnessCommands, FenceIgnoresAStampThatIsNotThisRuns) {
  join();
  EXPECT_TRUE(run({"fence", "7", "1", "3", "0/100", "0/100", "0/0", "-", "1000000006"}).starts_with("*2\r\n"));
  EXPECT_TRUE(run({"fence", "7", "1", "3", "0/100", "0/100", "0/0", "-", "3"}).starts_with("*2\r\n"));
  EXPECT_EQ(freshness_.counters().foreign_echoes, 2u);
  EXPECT_FALSE(freshness_.bound(7, now_).has_value());
}

TEST_F(FreshnessCommands, FenceNamesEveryMalformedArgument) {
  join();
  EXPECT_EQ(run({"fence", "70000", "1", "3", "0/100", "0/100", "0/0", "-", "0"}),
            "-ERR shard '70000' is not a number from 0 to 65535\r\n");
  EXPECT_EQ(run({"fence", "7", "1", "3", "x", "0/100", "0/0", "-", "0"}),
            "-ERR prev_lsn 'x' is not an LSN like 16/B374D848\r\n");
  EXPECT_EQ(run({"fence", "7", "1", "3", "0/100", "0/100", "0/0", "5:4:", "0"}),
            "-ERR snapshot '5:4:' is neither xmin:xmax:xip,xip,… nor -\r\n");
  EXPECT_EQ(run({"fence", "7", "1", "3", "0/100", "0/100", "0/80", "-", "0"}),
            "-ERR settled 0/80 needs the snapshot in which it is visible; send 0/0 and - if there is none\r\n");
  EXPECT_EQ(run({"fence", "7", "1", "3", "0/100", "0/80", "0/0", "-", "0"}), "-ERR lsn is before prev_lsn\r\n");
}

TEST_F(FreshnessCommands, FenceallMakesOlderEntriesMissesAndKillsLeases) {
  join();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/150", "v"});
  run({"setv", "product:{new}", lease_of("product:{new}"), "R:7:1:4:0/300", "v"});
  std::string lease = lease_of("product:{x}");
  EXPECT_TRUE(run({"fenceall", "7", "1", "3", "0/200"}).starts_with("*2\r\n$5\r\n0/200\r\n"));
  EXPECT_EQ(verify(kKey, "state"), "revalidate");
  EXPECT_EQ(verify("product:{new}", "state"), "value");
  EXPECT_TRUE(run({"getl", kKey}).starts_with("*5\r\n$4\r\nMISS\r\n"));
  EXPECT_TRUE(run({"setv", "product:{x}", lease, "R:7:1:4:0/300", "v"}).starts_with("-REJECT LEASE "));
}

TEST_F(FreshnessCommands, FenceallRaisesTheEpochAndNeverLowersIt) {
  join();
  EXPECT_TRUE(run({"fenceall", "7", "3", "3", "0/50"}).starts_with("*2\r\n$4\r\n0/50\r\n"));
  EXPECT_TRUE(run({"fenceall", "7", "2", "3", "0/900"}).starts_with("-EPOCH 3 "));
  EXPECT_EQ(run({"fenceall", "7", "3", "3", "0/0"}), "-ERR lsn 0/0 is no position to join at\r\n");
  EXPECT_TRUE(run({"fenceall", "7", "3", "2", "0/900"}).starts_with("-STALEMAP 3 "));
}

// ---- VERIFY

TEST_F(FreshnessCommands, VerifyAnswersEighteenPairs) {
  join();
  settle();
  run({"setv", kKey, lease_of(kKey), "R:7:1:4:0/180", "four"});
  EXPECT_EQ(
      run({"verify", kKey}),
      "*36\r\n$5\r\nstate\r\n$5\r\nvalue\r\n$5\r\nshard\r\n:7\r\n$8\r\ndb_epoch\r\n:1\r\n$12\r\nbucket_epoch\r\n:4\r\n"
      "$5\r\nproof\r\n$1\r\nR\r\n$2\r\nlo\r\n$5\r\n0/180\r\n$2\r\nhi\r\n$17\r\nFFFFFFFF/"
      "FFFFFFFF\r\n$4\r\nxmin\r\n$1\r\n0\r\n"
      "$6\r\nttl_ms\r\n:60000\r\n$5\r\nbytes\r\n:4\r\n$16\r\ncomplete_through\r\n$5\r\n0/"
      "100\r\n$7\r\nsettled\r\n$5\r\n0/100\r\n"
      "$5\r\nfloor\r\n$5\r\n0/100\r\n$5\r\nbound\r\n:-1\r\n$10\r\ntombstones\r\n:0\r\n$13\r\ntombstone_lsn\r\n$3\r\n0/"
      "0\r\n"
      "$6\r\nleased\r\n:0\r\n$6\r\nstaged\r\n:0\r\n");
  lease_of("product:{x}");
  EXPECT_EQ(verify("product:{x}", "leased"), "1");
}

TEST_F(FreshnessCommands, TheInvalidatorsCommandsAreMarkedAsSuch) {
  std::map<std::string_view, bool> needs_invalidator;
  for (const CommandSpec& spec : freshness_commands()) needs_invalidator[spec.name] = (spec.flags & kInvalidator) != 0;
  std::map<std::string_view, bool> wanted = {{"getl", false},  {"setv", false},  {"inval", false}, {"verify", false},
                                             {"stage", false}, {"invalb", true}, {"fence", true},  {"fenceall", true},
                                             {"epoch", true},  {"tide", false}};
  EXPECT_EQ(needs_invalidator, wanted);
}

}  // namespace
}  // namespace tidemark::cacheserver
