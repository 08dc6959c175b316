#include "replication/wal/stream_intake.h"

#include <gtest/gtest.h>

#include "tests/unit/replication/wal/recorded_wal.h"

namespace tidemark::replication {
namespace {

class StreamIntakeTest : public ::testing::Test {
 protected:
  StreamIntakeTest()
      : keymap_(*Keymap::build(
            {{.name = "product", .pattern = "product:{<sku>}", .table = "shop.product", .key_columns = {"sku"}}})) {}
  void play() {
    intake_.begin_session(keymap_);
    for (const RecordedMessage& recorded : recorded_messages())
      ASSERT_TRUE(intake_.on_message(recorded.bytes).has_value());
  }
  Keymap keymap_;
  StreamIntake intake_{1u << 20};
};

TEST_F(StreamIntakeTest, MovesThePositionWithEveryCommit) {
  intake_.restart_at({0x1000}, 700);
  play();
  EXPECT_EQ(intake_.position(), Lsn{0x1556088});
  EXPECT_EQ(intake_.counters().commits, 10u);
  EXPECT_EQ(intake_.take_for_journal().size(), 10u);
  EXPECT_TRUE(intake_.take_for_journal().empty());
}

TEST_F(StreamIntakeTest, ASecondSessionRepeatsNothing) {
  intake_.restart_at({0x1000}, 700);
  play();
  (void)intake_.take_for_journal();
  play();
  EXPECT_EQ(intake_.counters().repeated, 10u);
  EXPECT_EQ(intake_.window().size(), 10u);
  EXPECT_TRUE(intake_.take_for_journal().empty());
}

TEST_F(StreamIntakeTest, AKeepaliveInsideATransactionIsNoPosition) {
  intake_.restart_at({0x1000}, 700);
  intake_.begin_session(keymap_);
  ASSERT_TRUE(intake_.on_message(recorded_messages()[0].bytes).has_value());
  intake_.on_keepalive({0x99999999});
  EXPECT_EQ(intake_.position(), Lsn{0x1000});
}

TEST_F(StreamIntakeTest, AfterARestartSettledWaitsForTheCommitsOfTheJournal) {
  intake_.restore({0x2000}, {0x1000}, 800);
  intake_.restore_commit({.xid = 790, .end_lsn = {0x1800}, .keys = {}});
  intake_.restored();
  intake_.on_snapshot(*PgSnapshot::parse("790:801:790"));
  EXPECT_FALSE(intake_.tracker().has_settled());
  intake_.on_snapshot(*PgSnapshot::parse("801:801:"));
  EXPECT_EQ(intake_.tracker().settled(), Lsn{0x2000});
}

TEST_F(StreamIntakeTest, AJournalThatNeverSettledKeepsItsBarrier) {
  intake_.restore({0x2000}, {}, 800);
  intake_.restored();
  intake_.on_snapshot(*PgSnapshot::parse("800:801:800"));
  EXPECT_FALSE(intake_.tracker().has_settled());
}

}  // namespace
}  // namespace tidemark::replication
