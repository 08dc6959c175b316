// Buckets that move between two live shards: what is kept, and what every refusal says.
#include "tests/e2e/moves/move_fixture.h"

namespace tidemark::shards {
namespace {

using ::testing::HasSubstr;

TEST_F(MoveTest, LosesNothingWhileWritersAndReadersGoOn) {
  auto options = LedgerWorkload::options_for(*cluster_);
  options.bucket_lo = 0;
  options.bucket_hi = 3;
  options.writes_per_second = 200;
  options.reads_per_second = 200;
  LedgerWorkload workload(options);
  ASSERT_TRUE(workload.fill(200));
  ASSERT_TRUE(workload.start());
  for (const int target : {1, 0, 1}) {
    const Answer moved = move("0-3", target);
    ASSERT_TRUE(moved.is_ok) << moved.error;
    EXPECT_EQ(moved.json["outcome"], "finished");
    EXPECT_GE(moved.json["rows_copied"].get<int64_t>(), 4 * 200 * 3);
    EXPECT_EQ(owned(target, 0, 3), "4");
    EXPECT_EQ(owned(1 - target, 0, 3), "0");
  }
  workload.stop();
  const auto result = workload.verify();
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->is_clean()) << ::testing::PrintToString(result->findings);
  EXPECT_GT(result->writes, 20);
  EXPECT_GT(result->reads, 20);
  EXPECT_GT(result->looks, 20);
  EXPECT_EQ(rows_of(0, 0, 3), "0");
  expect_nothing_left();
}

TEST_F(MoveTest, EveryBucketTakesTwoStepsOfItsEpochAndTheMapFollows) {
  fill(20, 21);
  ASSERT_TRUE(move("20-21", 1).is_ok);
  EXPECT_EQ(psql(0, "SELECT state, epoch, forward FROM shard.bucket WHERE bucket = 20"), "moved|3|1");
  EXPECT_EQ(psql(1, "SELECT state, epoch FROM shard.bucket WHERE bucket = 20"), "owned|3");
  EXPECT_EQ(rows_of(0, 20, 21), "0");
  EXPECT_EQ(rows_of(1, 20, 21), "80");
  EXPECT_EQ(psql(1, "SELECT count(*) FROM account WHERE doubled = 14 AND bucket = 20"), "40");
  expect_nothing_left();
}

TEST_F(MoveTest, GoesOnWhereverItWasKilled) {
  int bucket = 40;
  for (const char* place :
       {"after reserve source", "after reserve target", "slot created", "after copy", "after verify", "after fence",
        "after flip", "after mark moved", "after start cleaning", "after clean", "after finish target"}) {
    SCOPED_TRACE(place);
    const std::string buckets = std::to_string(bucket);
    fill(bucket, bucket);
    const Answer killed = move(buckets, 1, {"--no-guardian"}, place);
    ASSERT_FALSE(killed.is_ok) << "the place was never passed";
    const Answer resumed = move(buckets, 1);
    ASSERT_TRUE(resumed.is_ok) << resumed.error;
    EXPECT_EQ(resumed.json["outcome"], "finished");
    EXPECT_EQ(owned(0, bucket, bucket), "0");
    EXPECT_EQ(owned(1, bucket, bucket), "1");
    EXPECT_EQ(rows_of(0, bucket, bucket), "0");
    EXPECT_EQ(rows_of(1, bucket, bucket), "40");
    expect_nothing_left();
    ++bucket;
  }
}

TEST_F(MoveTest, RefusesARangeOfTwoOwnersAndOneThatIsThereAlready) {
  EXPECT_THAT(move("2040-2060", 1).error, HasSubstr("belong to shards 0 and 1"));
  EXPECT_THAT(move("3000-3001", 1).error, HasSubstr("are on shard 1 already"));
  EXPECT_THAT(move("5-4096", 1).error, HasSubstr("--buckets 5-4096"));
  EXPECT_THAT(move("60", 7).error, HasSubstr("--to 7"));
}

TEST_F(MoveTest, RefusesBucketsThatAreInAnotherMove) {
  ASSERT_FALSE(move("70-75", 1, {"--id", "first", "--no-guardian"}, "after reserve target").is_ok);
  EXPECT_THAT(move("72-80", 1, {"--id", "second"}).error, HasSubstr("another move"));
  const Answer resumed = move("70-75", 1);
  ASSERT_TRUE(resumed.is_ok) << resumed.error;
  EXPECT_EQ(resumed.json["move"], "first");
}

}  // namespace
}  // namespace tidemark::shards
