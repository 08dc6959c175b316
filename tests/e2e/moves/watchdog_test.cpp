// Moves whose tool and guardian are both gone, as when their machine dies; and what a found difference forbids.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "tests/e2e/moves/move_fixture.h"

namespace tidemark::shards {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class WatchdogTest : public MoveTest {
 protected:
  void TearDown() override {
    for (const auto& one : started_) {
      EXPECT_TRUE(localcluster::send_signal(one, SIGTERM));
      EXPECT_TRUE(localcluster::wait_for_end(one, 15s));
    }
  }
  void watch(std::vector<std::string> more = {}) {
    const fs::path ready = cluster_->directory() / ("watchdog" + std::to_string(started_.size()) + ".ready");
    fs::remove(ready);
    std::vector<std::string> words{cluster_->binary("tidemark-shards").string(),
                                   "watchdog",
                                   "--shards",
                                   (cluster_->directory() / "shards.json").string(),
                                   "--topology",
                                   cluster_->topology_address(),
                                   "--ready-file",
                                   ready.string()};
    words.insert(words.end(), more.begin(), more.end());
    auto process = localcluster::spawn({words, cluster_->directory() / "logs/watchdog.log", {}});
    ASSERT_TRUE(process) << process.error().to_string();
    started_.push_back(*process);
    ASSERT_TRUE(eventually([&] { return fs::exists(ready); }));
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  }
  static bool is_over(const std::string& id) {
    return psql(0, "SELECT count(*) FROM shard.move WHERE move_id = '" + id + "' AND ended_at IS NULL") == "0" &&
           psql(1, "SELECT count(*) FROM shard.move WHERE move_id = '" + id + "' AND ended_at IS NULL") == "0" &&
           left_over(0).empty() && left_over(1).empty();
  }
  std::vector<localcluster::ProcessId> started_;
};

TEST_F(WatchdogTest, GoesOnWithAFenceThatNobodyHolds) {
  watch();
  watch();  // two of them: one goes on
  int bucket = 300;
  for (const char* place : {"after fence", "after flip", "after mark moved", "after start cleaning"}) {
    SCOPED_TRACE(place);
    fill(bucket, bucket);
    const std::string id = "w" + std::to_string(bucket);
    ASSERT_FALSE(move(std::to_string(bucket), 1, {"--id", id, "--no-guardian"}, place).is_ok);
    // (Behind the hand-over nobody waits, and the watchdog takes its time.)
    if (bucket >= 302) psql(0, "UPDATE shard.move SET heartbeat = heartbeat - interval '1 hour'");
    ASSERT_TRUE(eventually([&] { return is_over(id); })) << left_over(0) << left_over(1);
    EXPECT_EQ(owned(1, bucket, bucket), "1");
    EXPECT_EQ(rows_of(1, bucket, bucket), "40");
    EXPECT_EQ(rows_of(0, bucket, bucket), "0");
    ++bucket;
  }
}

TEST_F(WatchdogTest, GivesUpACopyThatNobodyDrives) {
  watch({"--abandoned-after", "1s"});
  fill(310, 310);
  ASSERT_FALSE(move("310", 1, {"--id", "abandoned", "--no-guardian"}, "after copy").is_ok);
  ASSERT_TRUE(eventually([&] { return is_over("abandoned"); })) << left_over(0) << left_over(1);
  EXPECT_EQ(owned(0, 310, 310), "1");
  EXPECT_EQ(rows_of(0, 310, 310), "40");
  EXPECT_EQ(rows_of(1, 310, 310), "0");
}

TEST_F(WatchdogTest, LeavesAHeldAndAPausedMoveToTheirOwner) {
  fill(320, 321);
  ASSERT_TRUE(move("320", 1, {"--id", "kept", "--hold"}).is_ok);
  ASSERT_TRUE(move("321", 1, {"--id", "later", "--prepare"}).is_ok);
  for (int shard = 0; shard < 2; ++shard)
    psql(shard, "UPDATE shard.move SET heartbeat = heartbeat - interval '1 hour' WHERE ended_at IS NULL");
  fill(322, 322);
  ASSERT_FALSE(move("322", 1, {"--id", "dead", "--no-guardian"}, "after fence").is_ok);
  watch({"--abandoned-after", "1s"});
  ASSERT_TRUE(eventually([&] { return owned(1, 322, 322) == "1"; })) << "it has looked at the others as well";
  EXPECT_EQ(psql(0, "SELECT step FROM shard.move WHERE move_id = 'kept'"), "moved");
  EXPECT_EQ(psql(0, "SELECT step || ' ' || wish FROM shard.move WHERE move_id = 'later'"), "reserved pause");
  EXPECT_TRUE(tool({"complete", "--id", "kept"}).is_ok);
  EXPECT_TRUE(tool({"abort", "--id", "later"}).is_ok);
}

TEST_F(WatchdogTest, ADifferenceAtTheFenceForbidsTheCleanUpToEveryProcess) {
  fill(330, 330);
  ASSERT_TRUE(move("330", 1, {"--id", "differs", "--hold"}).is_ok);
  psql(0, "UPDATE shard.move SET checked = false WHERE move_id = 'differs'");  // what the comparison writes
  const Answer refused = tool({"complete", "--id", "differs"});
  EXPECT_FALSE(refused.is_ok);
  EXPECT_THAT(refused.error, HasSubstr("--accept-difference"));
  EXPECT_EQ(rows_of(0, 330, 330), "40");
  const Answer accepted = tool({"complete", "--id", "differs", "--accept-difference"});
  EXPECT_TRUE(accepted.is_ok) << accepted.error;
  EXPECT_EQ(rows_of(0, 330, 330), "0");
  expect_nothing_left();
}

}  // namespace
}  // namespace tidemark::shards
