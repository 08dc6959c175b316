#include "tests/unit/cacheserver/command/command_fixture.h"

namespace tidemark::cacheserver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StringCommands : public CommandFixture {};

TEST_F(StringCommands, SetThenGetGivesTheBytesBack) {
  const std::string binary("a\0\r\n\xff", 5);
  EXPECT_EQ(run_words({"SET", binary, binary}), kOk);
  EXPECT_EQ(run_words({"GET", binary}), bulk(binary));
  EXPECT_EQ(run("GET missing"), kNil);
  EXPECT_EQ(run("SET '' ''"), kOk);
  EXPECT_EQ(run("GET ''"), bulk(""));
}

TEST_F(StringCommands, SetConditionsDecide) {
  EXPECT_EQ(run("SET a 1 XX"), kNil);
  EXPECT_EQ(run("SET a 1 NX"), kOk);
  EXPECT_EQ(run("SET a 2 NX"), kNil);
  EXPECT_EQ(run("SET a 2 xx"), kOk);
  EXPECT_EQ(run("SET a 3 IFEQ 1"), kNil);
  EXPECT_EQ(run("SET a 3 IFEQ 2"), kOk);
  EXPECT_EQ(run("SET b 3 IFEQ ''"), kNil);
  EXPECT_EQ(run("GET a"), bulk("3"));
}

TEST_F(StringCommands, SetGetAnswersTheOldValueWhetherItSetsOrNot) {
  EXPECT_EQ(run("SET a 1 GET"), kNil);
  EXPECT_EQ(run("SET a 2 GET"), bulk("1"));
  EXPECT_EQ(run("SET a 3 NX GET"), bulk("2"));
  EXPECT_EQ(run("SET a 3 IFEQ 9 GET"), bulk("2"));
  EXPECT_EQ(run("GET a"), bulk("2"));
}

TEST_F(StringCommands, SetTakesFourKindsOfTime) {
  run("SET a 1 EX 10");
  EXPECT_EQ(run("PTTL a"), ":10000\r\n");
  run("SET a 1 PX 1500");
  EXPECT_EQ(run("PTTL a"), ":1500\r\n");
  run("SET a 1 EXAT 1700000100");
  EXPECT_EQ(run("EXPIRETIME a"), ":1700000100\r\n");
  run("SET a 1 PXAT 1700000100999");
  EXPECT_EQ(run("PEXPIRETIME a"), ":1700000100999\r\n");
  run("SET a 2 KEEPTTL");
  EXPECT_EQ(run("PEXPIRETIME a"), ":1700000100999\r\n");
  run("SET a 3");
  EXPECT_EQ(run("TTL a"), ":-1\r\n");
  EXPECT_EQ(run("SET a 3 PXAT 1"), kOk);
  EXPECT_EQ(run("EXISTS a"), ":0\r\n");
}

TEST_F(StringCommands, SetRefusesOptionsThatContradictOrAreUnknown) {
  for (const char* options :
       {"NX XX", "XX NX", "EX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL EX 1", "PERSIST", "FOO", "NX IFEQ 1", "IFEQ"}) {
    EXPECT_EQ(run(std::string("SET a 1 ") + options), kSyntax) << options;
  }
  EXPECT_EQ(run("SET a 1 EX x"), kNotInteger);
  for (const char* time : {"EX 0", "PX -1", "EXAT 0", "EX 9223372036854775807", "PX 9223372036854775807"}) {
    EXPECT_EQ(run(std::string("SET a 1 ") + time), "-ERR invalid expire time in 'set' command\r\n") << time;
  }
  EXPECT_EQ(run("EXISTS a"), ":0\r\n");
  EXPECT_EQ(run("SET a"), "-ERR wrong number of arguments for 'set' command\r\n");
}

TEST_F(StringCommands, OldFormsOfSetDoTheSame) {
  EXPECT_EQ(run("SETNX a 1"), ":1\r\n");
  EXPECT_EQ(run("SETNX a 2"), ":0\r\n");
  EXPECT_EQ(run("SETEX a 10 3"), kOk);
  EXPECT_EQ(run("TTL a"), ":10\r\n");
  EXPECT_EQ(run("PSETEX a 10 4"), kOk);
  EXPECT_EQ(run("PTTL a"), ":10\r\n");
  EXPECT_EQ(run("GETSET a 5"), bulk("4"));
  EXPECT_EQ(run("TTL a"), ":-1\r\n");
  EXPECT_EQ(run("GETSET new 5"), kNil);
  EXPECT_EQ(run("SETEX a 0 3"), "-ERR invalid expire time in 'setex' command\r\n");
  EXPECT_EQ(run("PSETEX a -1 3"), "-ERR invalid expire time in 'psetex' command\r\n");
  EXPECT_EQ(run("SETEX a x 3"), kNotInteger);
}

TEST_F(StringCommands, GetexChangesTheTimeAndGetdelTheKey) {
  run("SET a 1");
  EXPECT_EQ(run("GETEX a"), bulk("1"));
  EXPECT_EQ(run("GETEX a EX 5"), bulk("1"));
  EXPECT_EQ(run("TTL a"), ":5\r\n");
  EXPECT_EQ(run("GETEX a PERSIST"), bulk("1"));
  EXPECT_EQ(run("TTL a"), ":-1\r\n");
  EXPECT_EQ(run("GETEX a EX 0"), "-ERR invalid expire time in 'getex' command\r\n");
  EXPECT_EQ(run("GETEX a PERSIST EX 1"), kSyntax);
  EXPECT_EQ(run("GETEX a NX"), kSyntax);
  EXPECT_EQ(run("GETEX missing EX 5"), kNil);
  EXPECT_EQ(run("GETEX a PXAT 1"), bulk("1"));
  EXPECT_EQ(run("GET a"), kNil);
  run("SET a 2");
  EXPECT_EQ(run("GETDEL a"), bulk("2"));
  EXPECT_EQ(run("GETDEL a"), kNil);
}

TEST_F(StringCommands, ManyKeysAtOnce) {
  EXPECT_EQ(run("MSET a 1 b 2 a 3"), kOk);
  EXPECT_EQ(run("MGET a x b"), "*3\r\n" + bulk("3") + kNil + bulk("2"));
  EXPECT_EQ(run("MSETNX c 1 a 2"), ":0\r\n");
  EXPECT_EQ(run("GET c"), kNil);
  EXPECT_EQ(run("MSETNX c 1 d 2"), ":1\r\n");
  EXPECT_EQ(run("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command\r\n");
  const std::string long_key(kKeyBytesMax + 1, 'k');
  EXPECT_EQ(run_words({"MSETNX", "e", "1", long_key, "2"}),
            "-ERR a key of 131073 bytes is too long: keys have up to 131072 bytes\r\n");
  EXPECT_EQ(run("EXISTS e"), ":0\r\n");
  EXPECT_EQ(run("MSETNX a 1 b"), "-ERR wrong number of arguments for 'msetnx' command\r\n");
  std::string line = "MGET", expected = "*40\r\n";
  for (int i = 0; i < 40; ++i) {
    run("SET k" + std::to_string(i) + " v" + std::to_string(i));
    line += " k" + std::to_string(i);
    expected += bulk("v" + std::to_string(i));
  }
  EXPECT_EQ(run(line), expected);
}

TEST_F(StringCommands, CountersCountAndKeepTheTimeToLive) {
  EXPECT_EQ(run("INCR n"), ":1\r\n");
  run("EXPIRE n 50");
  EXPECT_EQ(run("INCRBY n 9"), ":10\r\n");
  EXPECT_EQ(run("DECR n"), ":9\r\n");
  EXPECT_EQ(run("DECRBY n 10"), ":-1\r\n");
  EXPECT_EQ(run("TTL n"), ":50\r\n");
  EXPECT_EQ(run("GET n"), bulk("-1"));
}

TEST_F(StringCommands, CountersRefuseWhatIsNoNumberOrOverflows) {
  for (const char* bad : {"abc", "007", "1.5", "''", "9223372036854775808", "+1", "-0"}) {
    run(std::string("SET n ") + bad);
    EXPECT_EQ(run("INCR n"), kNotInteger) << bad;
    EXPECT_EQ(run(std::string("INCRBY fresh ") + bad), kNotInteger) << bad;
  }
  run("SET n 9223372036854775807");
  EXPECT_EQ(run("INCR n"), "-ERR increment or decrement would overflow\r\n");
  EXPECT_EQ(run("GET n"), bulk("9223372036854775807"));
  EXPECT_EQ(run("DECRBY n -9223372036854775808"), "-ERR decrement would overflow\r\n");
}

TEST_F(StringCommands, DecimalsAreAddedAndPrintedShort) {
  run("SET f 10.50");
  EXPECT_EQ(run("INCRBYFLOAT f 0.1"), bulk("10.6"));
  EXPECT_EQ(run("INCRBYFLOAT f -5"), bulk("5.6"));
  EXPECT_EQ(run("INCRBYFLOAT fresh 5.0e3"), bulk("5000"));
  EXPECT_EQ(run("INCRBYFLOAT fresh x"), "-ERR value is not a valid float\r\n");
  EXPECT_EQ(run("INCRBYFLOAT fresh inf"), "-ERR increment would produce NaN or Infinity\r\n");
  run("SET f abc");
  EXPECT_EQ(run("INCRBYFLOAT f 1"), "-ERR value is not a valid float\r\n");
}

TEST_F(StringCommands, PartsOfValuesAreReadAndWritten) {
  EXPECT_EQ(run("APPEND a Hello"), ":5\r\n");
  EXPECT_EQ(run("APPEND a World"), ":10\r\n");
  EXPECT_EQ(run("STRLEN a"), ":10\r\n");
  EXPECT_EQ(run("STRLEN missing"), ":0\r\n");
  EXPECT_EQ(run("GETRANGE a 0 4"), bulk("Hello"));
  EXPECT_EQ(run("SUBSTR a -5 -1"), bulk("World"));
  EXPECT_EQ(run("GETRANGE a 5 100"), bulk("World"));
  EXPECT_EQ(run("GETRANGE a 4 2"), bulk(""));
  EXPECT_EQ(run("GETRANGE a -1 -5"), bulk(""));
  EXPECT_EQ(run("GETRANGE a x 1"), kNotInteger);
  EXPECT_EQ(run("SETRANGE a 5 Redis!"), ":11\r\n");
  EXPECT_EQ(run("GET a"), bulk("HelloRedis!"));
  EXPECT_EQ(run("SETRANGE b 3 x"), ":4\r\n");
  EXPECT_EQ(run("GET b"), bulk(std::string("\0\0\0x", 4)));
  EXPECT_EQ(run("SETRANGE c 3 ''"), ":0\r\n");
  EXPECT_EQ(run("EXISTS c"), ":0\r\n");
  EXPECT_EQ(run("SETRANGE a -1 x"), "-ERR offset is out of range\r\n");
  EXPECT_EQ(run("SETRANGE a 536870912 x"), "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
}

TEST_F(StringCommands, LcsFindsWhatTwoValuesShare) {
  run("MSET a ohmytext b mynewtext");
  EXPECT_EQ(run("LCS a b"), bulk("mytext"));
  EXPECT_EQ(run("LCS a b LEN"), ":6\r\n");
  EXPECT_EQ(run("LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN"),
            "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n");
  EXPECT_EQ(run("LCS a missing"), bulk(""));
  EXPECT_EQ(run("LCS a b LEN IDX"), "-ERR If you want both the length and indexes, please just use IDX.\r\n");
  EXPECT_EQ(run("LCS a b FOO"), kSyntax);
  run_words({"SET", "big", std::string(100'000, 'x')});
  EXPECT_TRUE(run("LCS big big").starts_with("-ERR Insufficient memory"));
}

class FullMemory : public CommandFixture {
 protected:
  FullMemory() : CommandFixture(2 << 20) {
    for (int i = 0; run_words({"SET", "k" + std::to_string(i), std::string(1000, 'x')}) == kOk; ++i) {
    }
  }
};

TEST_F(FullMemory, RefusesWritesAndKeepsWhatWasThere) {
  const std::string big(100'000, 'y');
  EXPECT_EQ(run_words({"SET", "new", big}), kOom);
  EXPECT_EQ(run_words({"SET", "k0", big, "GET"}), kOom);
  EXPECT_EQ(run_words({"GETSET", "k0", big}), kOom);
  EXPECT_EQ(run_words({"APPEND", "k0", big}), kOom);
  EXPECT_EQ(run_words({"MSET", "k0", "1", "new", big}), kOom);
  EXPECT_EQ(run("GET k0"), bulk(std::string(1000, 'x')));
  EXPECT_EQ(run("DEL k0 k1 k2"), ":3\r\n");
  EXPECT_EQ(run("SET new 1"), kOk);
}

// Keys of a family whose rows stand in the database.
class FilledValues : public CommandFixture {
 protected:
  FilledValues() {
    adopt_families();
    worker_->freshness().fence_all(7, 1, Lsn{0x100});
  }
};

TEST_F(FilledValues, GetServesAValidOneAndNoProvenAbsence) {
  fill("product:{a}", "row", now_ + seconds(60));
  fill("product:{b}", "", now_ + seconds(60), true);
  EXPECT_EQ(run("GET product:{a}"), bulk("row"));
  EXPECT_EQ(run("GET product:{b}"), kNil);
  EXPECT_EQ(run("EXISTS product:{b}"), ":0\r\n");
  EXPECT_EQ(run("KEYS *"), "*1\r\n" + bulk("product:{a}"));
  EXPECT_EQ(worker_->keyspace().stats().hits, 1u);
  EXPECT_EQ(worker_->keyspace().stats().misses, 1u);
}

TEST_F(FilledValues, AfterAJoinWhatIsOlderIsAMiss) {
  fill("product:{a}", "row", now_ + seconds(60));
  worker_->freshness().fence_all(7, 1, Lsn{0x300});
  EXPECT_EQ(run("GET product:{a}"), kNil);
  EXPECT_EQ(run("MGET product:{a}"), std::string("*1\r\n") + kNil);
  EXPECT_EQ(run("TTL product:{a}"), ":-2\r\n");
}

TEST_F(FilledValues, TheirTimeToLiveMayShrinkButNeverGrow) {
  fill("product:{a}", "row", now_ + seconds(60));
  EXPECT_TRUE(run("EXPIRE product:{a} 61").starts_with("-PROTECTED "));
  EXPECT_EQ(run("EXPIRE product:{a} 30"), ":1\r\n");
  EXPECT_TRUE(run("PEXPIRE product:{a} 30001").starts_with("-PROTECTED "));
  EXPECT_TRUE(run("PERSIST product:{a}").starts_with("-PROTECTED "));
  EXPECT_TRUE(run("GETEX product:{a} EX 90").starts_with("-PROTECTED "));
  EXPECT_EQ(run("TTL product:{a}"), ":30\r\n");
}

TEST_F(FilledValues, PlainWritesAreRefusedAndDeletesAreNot) {
  fill("product:{a}", "row", now_ + seconds(60));
  for (const char* line : {"SET product:{a} x", "APPEND product:{a} x", "INCR product:{a}", "GETDEL product:{a}",
                           "RENAME product:{a} product:{a}", "SETRANGE product:{a} 0 x"}) {
    EXPECT_TRUE(run(line).starts_with("-PROTECTED ")) << line;
  }
  EXPECT_EQ(run("GET product:{a}"), bulk("row"));
  EXPECT_EQ(run("DEL product:{a}"), ":1\r\n");
}

TEST_F(FilledValues, ADeleteEndsTheLeaseOfARunningFill) {
  auto miss = worker_->freshness().on_miss(hash64("product:{a}"), {.shard = 7, .epoch = 4}, now_);
  ASSERT_EQ(miss.kind, FreshnessState::Miss::Kind::kLease);
  ASSERT_TRUE(worker_->freshness().is_leased(hash64("product:{a}"), now_));
  EXPECT_EQ(run("UNLINK product:{a}"), ":0\r\n");
  EXPECT_FALSE(worker_->freshness().is_leased(hash64("product:{a}"), now_));
}

}  // namespace
}  // namespace tidemark::cacheserver
