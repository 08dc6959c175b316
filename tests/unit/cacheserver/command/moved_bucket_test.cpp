// INVALB's MOVED: a bucket that its shard's log has given away is neither served nor filled until the topology knows.
#include "tests/unit/cacheserver/command/command_fixture.h"

namespace tidemark::cacheserver {
namespace {

using namespace std::chrono_literals;

class MovedBucketCommand : public CommandFixture {
 protected:
  MovedBucketCommand() {
    adopt_families();
    EXPECT_TRUE(run("fenceall 7 1 1 0/100").starts_with("*2"));
    EXPECT_TRUE(run("fence 7 1 1 0/100 0/200 0/200 900:900: 0").starts_with("*2"));
    EXPECT_NE(fill("product:{a}", "v", now_ + 60s), nullptr);
  }
  static std::string bucket_of(const std::string& key) { return std::to_string(bucket_of_slot(slot_of_key(key))); }
  std::string moved(const std::string& tail) { return run("invalb 7 1 1 0/200 0/300 0 0 0 " + tail); }
  std::string fence_of(const std::string& key) { return moved("MOVED 1 0/300 " + bucket_of(key) + " 5"); }
  std::string info(const std::string& field) {
    std::string all = run("info tidemark");
    const size_t at = all.find("\r\n" + field + ":");
    return at == std::string::npos
               ? ""
               : all.substr(at + 3 + field.size(), all.find("\r\n", at + 2) - at - 3 - field.size());
  }
  std::string lease() {
    const std::string answer = run("getl product:{b}");
    const size_t at = answer.find("\r\n", answer.find("MISS") + 6) + 2;
    return answer.substr(at, answer.find("\r\n", at) - at);
  }
};

constexpr const char* kBypass = "*3\r\n$6\r\nBYPASS\r\n$5\r\nMOVED\r\n:-1\r\n";

TEST_F(MovedBucketCommand, AKeyOfAMovedBucketIsNotServedToWhoeverStatesNoOwner) {
  ASSERT_TRUE(run("getl product:{a}").starts_with("*6\r\n$3\r\nHIT"));
  EXPECT_TRUE(fence_of("product:{a}").starts_with("*2\r\n$5\r\n0/300"));
  EXPECT_EQ(run("getl product:{a}"), kBypass);
  EXPECT_EQ(run("getl product:{a} MAXSTALE 100000"), kBypass);
  EXPECT_EQ(run("get product:{a}"), kNil);
  EXPECT_NE(run("verify product:{a}").find("revalidate"), std::string::npos);
  EXPECT_EQ(info("moved_buckets"), "1");
}

TEST_F(MovedBucketCommand, OtherBucketsAreServedOn) {
  ASSERT_NE(bucket_of("product:{a}"), bucket_of("product:{other}"));
  fence_of("product:{other}");
  EXPECT_TRUE(run("getl product:{a}").starts_with("*6\r\n$3\r\nHIT"));
}

TEST_F(MovedBucketCommand, ARunningFillIsRefused) {
  const std::string lease = this->lease();
  fence_of("product:{b}");
  EXPECT_TRUE(run("setv product:{b} " + lease + " R:7:1:4:0/280 v").starts_with("-REJECT EPOCH 1 "));
}

TEST_F(MovedBucketCommand, AStagedValueIsNotInstalled) {
  ASSERT_EQ(run("stage 7 1 0/0 725 99 product:{a} row"), "+STAGED\r\n");
  run("invalb 7 1 1 0/200 0/300 0 0 1 725 0/280 5 1 product:{a} STAGED 1 725 product:{a} 99 MOVED 1 0/300 " +
      bucket_of("product:{a}") + " 5");
  run("fence 7 1 1 0/300 0/300 0/300 900:900: 0");
  EXPECT_NE(run("verify product:{a}").find("none"), std::string::npos);
}

TEST_F(MovedBucketCommand, ABatchThatWasNotAppliedMovesNothing) {
  EXPECT_EQ(run("invalb 7 1 1 0/280 0/300 0 0 0 MOVED 1 0/300 " + bucket_of("product:{a}") + " 5"), "-GAP 0/200\r\n");
  EXPECT_TRUE(run("getl product:{a}").starts_with("*6\r\n$3\r\nHIT"));
}

TEST_F(MovedBucketCommand, AfterARejoinTheFloorAnswersForIt) {
  fence_of("product:{a}");
  run("fenceall 7 1 1 0/400");
  EXPECT_EQ(info("moved_buckets"), "0");
  EXPECT_TRUE(run("getl product:{a}").starts_with("*5\r\n$4\r\nMISS")) << "to be revalidated by a proof beyond 0/400";
}

TEST_F(MovedBucketCommand, IsCheckedAsAWhole) {
  EXPECT_EQ(moved("MOVED 1 0/300 4096 5"), "-ERR bucket of MOVED '4096' is not a number from 0 to 4095\r\n");
  EXPECT_EQ(moved("MOVED 1 0/301 7 5"), "-ERR end_lsn 0/301 of MOVED is beyond last_lsn 0/300\r\n");
  EXPECT_EQ(moved("MOVED 1 0/300 7 4294967296"),
            "-ERR bucket_epoch of MOVED '4294967296' is not a number from 0 to 4294967295\r\n");
  EXPECT_EQ(moved("MOVED 2 0/300 7 5"), "-ERR end_lsn of MOVED is missing\r\n");
  EXPECT_EQ(moved("MOVED 1 0/300 7 5 more"), "-ERR 1 arguments follow the last MOVED\r\n");
  EXPECT_EQ(moved("MOVED 4097"), "-ERR the number of MOVED '4097' is not a number from 0 to 4096\r\n");
  EXPECT_EQ(info("moved_buckets"), "0");
}

}  // namespace
}  // namespace tidemark::cacheserver
