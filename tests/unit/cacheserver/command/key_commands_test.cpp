#include <set>

#include "tests/unit/cacheserver/command/command_fixture.h"

namespace tidemark::cacheserver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class KeyCommands : public CommandFixture {
 protected:
  KeyCommands() : CommandFixture(0, "lru") {}
};

TEST_F(KeyCommands, KeysAreCountedTouchedTypedAndDeleted) {
  run("MSET a 1 b 2");
  EXPECT_EQ(run("EXISTS a a b x"), ":3\r\n");
  EXPECT_EQ(run("TOUCH a x"), ":1\r\n");
  EXPECT_EQ(run("TYPE a"), "+string\r\n");
  EXPECT_EQ(run("TYPE x"), "+none\r\n");
  EXPECT_EQ(run("DEL a a x"), ":1\r\n");
  EXPECT_EQ(run("UNLINK b"), ":1\r\n");
  EXPECT_EQ(run("DBSIZE"), ":0\r\n");
}

TEST_F(KeyCommands, TimesToLiveReadBackAsTheyWereSet) {
  run("SET a 1");
  EXPECT_EQ(run("TTL a"), ":-1\r\n");
  EXPECT_EQ(run("PTTL x"), ":-2\r\n");
  EXPECT_EQ(run("EXPIRE x 10"), ":0\r\n");
  EXPECT_EQ(run("EXPIRE a 10"), ":1\r\n");
  EXPECT_EQ(run("EXPIRETIME a"), ":1700000010\r\n");
  EXPECT_EQ(run("PEXPIRETIME a"), ":1700000010123\r\n");
  pass(milliseconds(600));
  EXPECT_EQ(run("PTTL a"), ":9400\r\n");
  EXPECT_EQ(run("TTL a"), ":9\r\n");
  EXPECT_EQ(run("PEXPIRETIME a"), ":1700000010123\r\n");
  EXPECT_EQ(run("PERSIST a"), ":1\r\n");
  EXPECT_EQ(run("PERSIST a"), ":0\r\n");
  EXPECT_EQ(run("PEXPIRE a 100"), ":1\r\n");
  pass(milliseconds(99));
  EXPECT_EQ(run("GET a"), bulk("1"));
  pass(milliseconds(1));
  EXPECT_EQ(run("GET a"), kNil);
}

TEST_F(KeyCommands, AbsoluteTimesAreExactAndThePastDeletes) {
  run("MSET a 1 b 1 c 1");
  EXPECT_EQ(run("EXPIREAT a 33177117420"), ":1\r\n");
  EXPECT_EQ(run("EXPIRETIME a"), ":33177117420\r\n");
  EXPECT_EQ(run("PEXPIREAT a 1700000000456"), ":1\r\n");
  EXPECT_EQ(run("PEXPIRETIME a"), ":1700000000456\r\n");
  EXPECT_EQ(run("EXPIREAT a 1"), ":1\r\n");
  EXPECT_EQ(run("EXPIRE b -1"), ":1\r\n");
  EXPECT_EQ(run("PEXPIRE c 0"), ":1\r\n");
  EXPECT_EQ(run("EXISTS a b c"), ":0\r\n");
}

TEST_F(KeyCommands, ConditionsOfExpireDecide) {
  run("SET a 1");
  EXPECT_EQ(run("EXPIRE a 10 XX"), ":0\r\n");
  EXPECT_EQ(run("EXPIRE a 10 GT"), ":0\r\n");
  EXPECT_EQ(run("EXPIRE a 10 NX"), ":1\r\n");
  EXPECT_EQ(run("EXPIRE a 20 NX"), ":0\r\n");
  EXPECT_EQ(run("EXPIRE a 10 GT"), ":0\r\n");
  EXPECT_EQ(run("EXPIRE a 20 GT XX"), ":1\r\n");
  EXPECT_EQ(run("EXPIRE a 20 LT"), ":0\r\n");
  EXPECT_EQ(run("EXPIRE a 15 LT"), ":1\r\n");
  run("PERSIST a");
  EXPECT_EQ(run("EXPIRE a 15 lt"), ":1\r\n");
}

TEST_F(KeyCommands, ExpireRefusesBadNumbersAndConditions) {
  run("SET a 1");
  EXPECT_EQ(run("EXPIRE a x"), kNotInteger);
  EXPECT_EQ(run("EXPIRE a 9223372036854775807"), "-ERR invalid expire time in 'expire' command\r\n");
  EXPECT_EQ(run("PEXPIRE a 9223372036854775807"), "-ERR invalid expire time in 'pexpire' command\r\n");
  EXPECT_EQ(run("EXPIRE a 1 NX GT"), "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n");
  EXPECT_EQ(run("EXPIRE a 1 GT LT"), "-ERR GT and LT options at the same time are not compatible\r\n");
  EXPECT_EQ(run("EXPIRE a 1 foo"), "-ERR Unsupported option foo\r\n");
  EXPECT_EQ(run("TTL a"), ":-1\r\n");
}

TEST_F(KeyCommands, RenameMovesValueAndTime) {
  run("SET a 1 EX 10");
  run("SET b 2");
  EXPECT_EQ(run("RENAME a b"), kOk);
  EXPECT_EQ(run("GET b"), bulk("1"));
  EXPECT_EQ(run("TTL b"), ":10\r\n");
  EXPECT_EQ(run("EXISTS a"), ":0\r\n");
  EXPECT_EQ(run("RENAME b b"), kOk);
  EXPECT_EQ(run("RENAME a b"), "-ERR no such key\r\n");
  run("SET c 3");
  EXPECT_EQ(run("RENAMENX b c"), ":0\r\n");
  EXPECT_EQ(run("RENAMENX b b"), ":0\r\n");
  EXPECT_EQ(run("RENAMENX b d"), ":1\r\n");
  EXPECT_EQ(run("RENAMENX b d"), "-ERR no such key\r\n");
}

TEST_F(KeyCommands, CopyLeavesTheSource) {
  run("SET a 1 EX 10");
  EXPECT_EQ(run("COPY a b"), ":1\r\n");
  EXPECT_EQ(run("TTL b"), ":10\r\n");
  run("SET a 2");
  EXPECT_EQ(run("COPY a b"), ":0\r\n");
  EXPECT_EQ(run("COPY a b DB 0 REPLACE"), ":1\r\n");
  EXPECT_EQ(run("MGET a b"), "*2\r\n" + bulk("2") + bulk("2"));
  EXPECT_EQ(run("COPY x b"), ":0\r\n");
  EXPECT_EQ(run("COPY a a"), "-ERR source and destination objects are the same\r\n");
  EXPECT_EQ(run("COPY a b DB 3"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(run("COPY a b DB x"), kNotInteger);
  EXPECT_EQ(run("COPY a b FOO"), kSyntax);
}

TEST_F(KeyCommands, KeysAndRandomkeySeeLiveKeys) {
  EXPECT_EQ(run("RANDOMKEY"), kNil);
  run("MSET user:1 a user:2 b other c");
  run("PEXPIRE other 1");
  pass(milliseconds(5));
  EXPECT_EQ(run("KEYS other"), "*0\r\n");
  EXPECT_EQ(run("KEYS user:[2-9]"), "*1\r\n" + bulk("user:2"));
  EXPECT_TRUE(run("RANDOMKEY").starts_with("$6\r\nuser:"));
}

TEST_F(KeyCommands, ScanReachesEveryKeyAndFilters) {
  for (int i = 0; i < 200; ++i) run("SET key" + std::to_string(i) + " v");
  run("SET other v");
  std::set<std::string> seen;
  std::string cursor = "0";
  do {
    std::string reply = run("SCAN " + cursor + " COUNT 7 MATCH key* TYPE string");
    std::vector<std::string> lines;
    for (std::string_view line : split(reply, '\n'))
      lines.emplace_back(line.substr(0, line.size() - (line.ends_with('\r') ? 1 : 0)));
    cursor = lines[2];
    for (size_t i = 5; i < lines.size(); i += 2) EXPECT_TRUE(seen.insert(lines[i]).second) << lines[i];
  } while (cursor != "0");
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_EQ(run("SCAN 0 COUNT 1000 TYPE hash"), "*2\r\n$1\r\n0\r\n*0\r\n");
}

TEST_F(KeyCommands, ScanRefusesBadCursorsAndOptions) {
  EXPECT_EQ(run("SCAN x"), "-ERR invalid cursor\r\n");
  EXPECT_EQ(run("SCAN 0 COUNT 0"), kSyntax);
  EXPECT_EQ(run("SCAN 0 COUNT x"), kNotInteger);
  EXPECT_EQ(run("SCAN 0 MATCH"), kSyntax);
  EXPECT_EQ(run("SCAN 0 FOO 1"), kSyntax);
}

TEST_F(KeyCommands, ObjectTellsEncodingIdleTimeAndReferences) {
  run_words({"MSET", "int", "12", "short", "abc", "long", std::string(45, 'x')});
  EXPECT_EQ(run("OBJECT ENCODING int"), bulk("int"));
  EXPECT_EQ(run("OBJECT ENCODING short"), bulk("embstr"));
  EXPECT_EQ(run("OBJECT ENCODING long"), bulk("raw"));
  run("APPEND int 3");
  EXPECT_EQ(run("OBJECT ENCODING int"), bulk("raw"));
  EXPECT_EQ(run("OBJECT REFCOUNT int"), ":1\r\n");
  EXPECT_TRUE(run("OBJECT IDLETIME short").starts_with("-ERR")) << "the default policy keeps no time of last use";
  run("CONFIG SET maxmemory-policy noeviction");
  pass(seconds(7));
  EXPECT_EQ(run("OBJECT IDLETIME short"), ":7\r\n");
  run("GET short");
  EXPECT_EQ(run("OBJECT IDLETIME short"), ":0\r\n");
  EXPECT_EQ(run("OBJECT ENCODING x"), kNil);
  EXPECT_TRUE(run("OBJECT FREQ short").starts_with("-ERR An LFU maxmemory policy is not selected"));
  EXPECT_TRUE(run("OBJECT HELP").starts_with("*"));
}

}  // namespace
}  // namespace tidemark::cacheserver
