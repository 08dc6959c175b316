#include "base/topology/primary_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidemark {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr DbEpoch kFirstOfTimeline2 = 2 * 65536;

ServerReport primary(uint32_t timeline, DbEpoch db_epoch) {
  return {.timeline = timeline, .db_epoch = db_epoch, .system_id = "7", .position = Lsn{0x100}};
}
ServerReport replica(DbEpoch db_epoch) {
  return {.is_in_recovery = true, .db_epoch = db_epoch, .system_id = "7", .position = Lsn{0x100}};
}

class PrimaryWatchTest : public ::testing::Test {
 protected:
  PrimaryWatchTest() { watch_.set_servers(shard_); }
  std::string chosen() const { return watch_.primary().value_or("none"); }

  Shard shard_{0,
               {{"a", ShardServer::Role::kPrimary, "host=a"},
                {"b", ShardServer::Role::kReplica, "host=b"},
                {"c", ShardServer::Role::kReplica, "host=c"}}};
  PrimaryWatch watch_;
};

TEST_F(PrimaryWatchTest, BelievesTheTopologyUntilServersAreHeard) {
  EXPECT_EQ(chosen(), "a");
  watch_.on_silence("a");
  EXPECT_EQ(chosen(), "a");
  watch_.on_report("b", replica(1));
  EXPECT_EQ(chosen(), "a");
  watch_.on_report("a", primary(1, 1));
  EXPECT_EQ(chosen(), "a");
}

TEST_F(PrimaryWatchTest, FollowsAPromotionAndNeverGoesBack) {
  watch_.on_report("a", primary(1, 3));
  watch_.on_report("b", replica(3));
  watch_.on_silence("a");
  EXPECT_EQ(chosen(), "a") << "silence alone promotes nobody";
  watch_.on_report("b", primary(2, 3));  // promoted, not opened yet
  EXPECT_EQ(chosen(), "b");
  watch_.on_report("b", primary(2, kFirstOfTimeline2));
  watch_.on_report("a", primary(1, 4));  // it is back, with an epoch of its own
  EXPECT_EQ(chosen(), "b");
  EXPECT_THAT(watch_.superseded(), ElementsAre("a"));
  watch_.on_silence("b");
  EXPECT_EQ(chosen(), "b") << "an old primary does not become one again because its successor is silent";
  EXPECT_EQ(watch_.db_epoch_floor(), kFirstOfTimeline2);
  EXPECT_EQ(watch_.changes(), 2u);
}

TEST_F(PrimaryWatchTest, AnOldPrimaryThatWasToldIsNotToldAgain) {
  watch_.on_report("b", primary(2, kFirstOfTimeline2));
  auto old = primary(1, 1);
  old.is_retired = true;
  watch_.on_report("a", old);
  EXPECT_THAT(watch_.superseded(), IsEmpty());
}

TEST_F(PrimaryWatchTest, AReplicaOfTheNewPrimaryTellsThatTheOldOneIsOver) {
  watch_.on_report("a", primary(1, 3));
  watch_.on_report("c", replica(kFirstOfTimeline2));
  EXPECT_EQ(chosen(), "none") << "b was promoted, but is not reached from here";
  EXPECT_THAT(watch_.why_none(), HasSubstr("shard 0 has no primary now"));
  watch_.on_report("b", primary(2, kFirstOfTimeline2));
  EXPECT_EQ(chosen(), "b");
}

TEST_F(PrimaryWatchTest, ACommitOfTheNewPrimaryTellsThatTheOldOneIsOver) {
  watch_.on_report("a", primary(1, 3));
  watch_.note_db_epoch(4);  // restarted, and not polled since
  EXPECT_EQ(chosen(), "a");
  watch_.note_db_epoch(kFirstOfTimeline2 + 1);
  EXPECT_EQ(chosen(), "none");
}

TEST_F(PrimaryWatchTest, ARetiredPrimaryIsNotWrittenToWhileNobodySucceeds) {
  watch_.on_report("b", replica(1));
  auto retired = primary(1, 1);
  retired.is_retired = true;
  watch_.on_report("a", retired);
  EXPECT_EQ(chosen(), "none");
  EXPECT_THAT(watch_.why_none(), HasSubstr("a was retired (timeline 1), b is a replica, c was not heard yet"));
  watch_.on_report("a", primary(1, 1));  // taken back
  EXPECT_EQ(chosen(), "a");
}

TEST_F(PrimaryWatchTest, APrimaryThatBecameAReplicaIsNone) {
  watch_.on_report("a", primary(1, 1));
  watch_.on_report("a", replica(1));
  EXPECT_EQ(chosen(), "none");
}

TEST_F(PrimaryWatchTest, AnOldTopologyIsCorrectedByTheServers) {
  watch_.on_silence("a");
  watch_.on_report("b", primary(1, 9));
  EXPECT_EQ(chosen(), "b");
}

TEST_F(PrimaryWatchTest, OfTwoOnOneTimelineTheFirstStays) {
  watch_.on_report("a", primary(1, 3));
  watch_.on_report("b", primary(1, 5));
  EXPECT_EQ(chosen(), "a");
  watch_.on_silence("a");
  EXPECT_EQ(chosen(), "a");
}

TEST_F(PrimaryWatchTest, AStrangerIsNotListenedTo) {
  watch_.on_report("a", primary(1, 3));
  auto stranger = primary(5, 5 * 65536);
  stranger.system_id = "8";
  watch_.on_report("b", stranger);
  EXPECT_EQ(chosen(), "a");
  EXPECT_TRUE(watch_.is_stranger("b"));
  EXPECT_THAT(watch_.superseded(), IsEmpty());
}

TEST_F(PrimaryWatchTest, ReplicasOfAnAbandonedTimelineAreNotAsked) {
  watch_.on_report("b", primary(2, kFirstOfTimeline2));
  watch_.on_report("c", replica(3));
  EXPECT_FALSE(watch_.is_current_replica("c"));
  watch_.on_report("c", replica(kFirstOfTimeline2));
  EXPECT_TRUE(watch_.is_current_replica("c"));
  watch_.on_report("b", primary(2, kFirstOfTimeline2 + 3));  // restarts do not exclude replicas that lag
  EXPECT_TRUE(watch_.is_current_replica("c"));
  watch_.on_silence("c");
  EXPECT_FALSE(watch_.is_current_replica("c"));
}

TEST_F(PrimaryWatchTest, ANewTopologyKeepsWhatWasHeard) {
  watch_.on_report("b", primary(2, kFirstOfTimeline2));
  watch_.set_servers(shard_);  // names a as the primary still
  EXPECT_EQ(chosen(), "b");
  shard_.servers.erase(shard_.servers.begin() + 1);
  watch_.set_servers(shard_);
  EXPECT_EQ(chosen(), "none") << "the promoted server is gone from the topology; a is of an earlier timeline";
}

// Every sequence of four reports of two servers: the chosen one never belongs to an earlier timeline than one that was
// chosen before, and is never one whose last word was that it is a replica or retired.
TEST(PrimaryWatch, NeverGoesBackWhateverTheOrder) {
  auto retired = primary(1, 1);
  retired.is_retired = true;
  const std::vector<std::optional<ServerReport>> words{std::nullopt,  replica(1), primary(1, 1),
                                                       primary(2, 1), retired,    primary(2, kFirstOfTimeline2)};
  const size_t kinds = words.size() * 2;
  for (size_t code = 0; code < kinds * kinds * kinds * kinds; ++code) {
    PrimaryWatch watch;
    watch.set_servers({0, {{"a", ShardServer::Role::kPrimary, ""}, {"b", ShardServer::Role::kReplica, ""}}});
    std::map<std::string, ServerReport> last;
    uint32_t best = 0;
    for (size_t step = 0, rest = code; step < 4; ++step, rest /= kinds) {
      const std::string server = rest % 2 == 0 ? "a" : "b";
      const auto& word = words[rest % kinds / 2];
      if (word) {
        watch.on_report(server, *word);
        last[server] = *word;
      } else {
        watch.on_silence(server);
      }
      if (!watch.primary() || !last.contains(*watch.primary())) continue;
      const ServerReport& chosen = last[*watch.primary()];
      ASSERT_FALSE(chosen.is_in_recovery || chosen.is_retired) << code;
      ASSERT_GE(chosen.timeline, best) << code;
      best = chosen.timeline;
    }
  }
}

TEST(ServerReport, IsReadFromOneRow) {
  const auto report = read_server_report({"false", "0/500", "2", "131072", "true", "7333"});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->timeline, 2u);
  EXPECT_EQ(report->db_epoch, 131072u);
  EXPECT_TRUE(report->is_retired);
  EXPECT_EQ(report->position, Lsn{0x500});
  EXPECT_TRUE(read_server_report({"true", std::nullopt, "0", "0", "false", "7333"})) << "nothing was replayed yet";
  EXPECT_FALSE(read_server_report({"false", "0/500", "x", "1", "false", "7333"}));
  EXPECT_FALSE(read_server_report({"false", "0/500"}));
}

}  // namespace
}  // namespace tidemark
