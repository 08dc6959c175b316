// Large values in replies without a copy, as the machine gives them out.
#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

class LargeReplyTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    ask("set small x");
    set_large('a');
  }
  void set_large(char c) { EXPECT_EQ(send("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n" + bulk(value_of(c))), "+OK\r\n"); }
  static std::string value_of(char c) { return std::string(kPinnedBytesMin, c); }
  static std::string bulk(const std::string& value) {
    return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  }
  void run(std::string_view input) { client_->advance(input, out_, now_, unix_now_); }

  ReplyBuffer out_;
};

TEST_F(LargeReplyTest, StandInTheReplyByReferenceAndStayWhatTheyWere) {
  run("get small\r\nget large\r\nget small\r\n");
  ASSERT_EQ(out_.pinned().size(), 1u);
  EXPECT_LT(out_.bytes().size(), 100u);
  EXPECT_EQ(out_.size(), out_.bytes().size() + kPinnedBytesMin);
  set_large('b');
  ask("del large");
  EXPECT_EQ(text_of(out_), "$1\r\nx\r\n" + bulk(value_of('a')) + "$1\r\nx\r\n");
}

TEST_F(LargeReplyTest, EveryCommandThatAnswersAValuePinsIt) {
  for (std::string_view command :
       {"get large", "getex large", "mget small large", "set large new get", "getset large y", "getdel large"}) {
    set_large('a');
    out_.clear();
    run(std::string(command) + "\r\n");
    EXPECT_EQ(out_.pinned().size(), 1u) << command;
    EXPECT_NE(text_of(out_).find(bulk(value_of('a'))), std::string::npos) << command;
  }
}

TEST_F(LargeReplyTest, CountTowardsTheOutputThatIsAllowed) {
  worker_->view().config().output_pause_bytes = kPinnedBytesMin;
  run("get large\r\nget large\r\n");
  EXPECT_EQ(out_.pinned().size(), 1u);
}

TEST_F(LargeReplyTest, ReplyOffTakesThePinnedValueBackToo) {
  run("client reply off\r\nget large\r\nclient reply on\r\n");
  EXPECT_EQ(out_.bytes(), "+OK\r\n");
  EXPECT_TRUE(out_.pinned().empty());
  EXPECT_EQ(out_.size(), 5u);
}

TEST_F(LargeReplyTest, TheParserSaysHowLargeTheRequestWillBe) {
  const std::string begin = "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$100000\r\n";
  run(begin + "abc");
  EXPECT_EQ(client_->bytes_wanted(), begin.size() + 100'000 + 2);
}

}  // namespace
}  // namespace tidemark::cacheserver
