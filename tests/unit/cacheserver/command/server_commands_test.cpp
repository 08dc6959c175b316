#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

using ConnectionCommandsTest = NodeTest;
using ServerCommandsTest = NodeTest;

TEST_F(ConnectionCommandsTest, PingEchoSelect) {
  EXPECT_EQ(send("ping\r\nping hi\r\necho x\r\nselect 0\r\n"), "+PONG\r\n$2\r\nhi\r\n$1\r\nx\r\n+OK\r\n");
  EXPECT_EQ(send("ping a b\r\n"), "-ERR wrong number of arguments for 'ping' command\r\n");
  EXPECT_EQ(send("select 1\r\n"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(send("select x\r\n"), "-ERR value is not an integer or out of range\r\n");
}

TEST_F(ConnectionCommandsTest, HelloSaysWhatClientsReadAndWhichProtocolWeSpeak) {
  const std::string reply = ask("hello 3 setname me");
  for (const char* part : {"\"version\": \"7.2.4\"", "\"proto\": 3", "\"mode\": \"standalone\"", "\"role\": \"master\"",
                           "\"tidemark_protocol\": 1"}) {
    EXPECT_NE(reply.find(part), std::string::npos) << part << " in " << reply;
  }
  EXPECT_EQ(client_->session().name, "me");
}

TEST_F(ConnectionCommandsTest, HelloRefusesWhatItDoesNotKnow) {
  EXPECT_EQ(send("hello 4\r\n"), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_EQ(send("hello x\r\n"), "-ERR Protocol version is not an integer or out of range\r\n");
  EXPECT_EQ(send("hello 3 foo\r\n"), "-ERR Syntax error in HELLO option 'foo'\r\n");
  EXPECT_EQ(client_->session().protocol, 2);
}

TEST_F(ConnectionCommandsTest, HelloAuthenticatesInOneGo) {
  open({.credentials = {.default_password = "secret"}});
  EXPECT_TRUE(send("hello 3\r\n").starts_with("-NOAUTH HELLO must be called"));
  EXPECT_TRUE(send("hello 3 auth default nope\r\n").starts_with("-WRONGPASS"));
  EXPECT_TRUE(send("hello 3 auth default secret setname me\r\n").starts_with("%9\r\n"));
}

TEST_F(ConnectionCommandsTest, AuthWithoutAPasswordSaysSo) {
  EXPECT_TRUE(send("auth x\r\n").starts_with("-ERR AUTH <password> called without any password configured"));
}

TEST_F(ConnectionCommandsTest, ResetForgetsTheUser) {
  open({.credentials = {.default_password = "secret"}});
  EXPECT_EQ(send("auth secret\r\nreset\r\nget k\r\n"), "+OK\r\n+RESET\r\n-NOAUTH Authentication required.\r\n");
}

TEST_F(ConnectionCommandsTest, TakesLibraryInformation) {
  EXPECT_EQ(send("client setinfo lib-name redis-py\r\nclient setinfo LIB-VER 5.0\r\n"), "+OK\r\n+OK\r\n");
  EXPECT_NE(send("client info\r\n").find("lib-name=redis-py lib-ver=5.0"), std::string::npos);
  EXPECT_EQ(send("client setinfo foo x\r\n"), "-ERR Unrecognized option 'foo'\r\n");
  EXPECT_EQ(send("client setname \"a b\"\r\n"),
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
}

TEST_F(ConnectionCommandsTest, KillsOthersByIdAndByAddress) {
  auto victim = make_client();
  const std::string id = std::to_string(victim->session().id);
  EXPECT_EQ(send("client kill id " + id + "\r\n"), ":1\r\n");
  EXPECT_EQ(worker_->view().killed_sessions(), (std::vector<uint64_t>{victim->session().id}));
  EXPECT_EQ(send(*victim, "ping\r\n"), "");
  EXPECT_EQ(send("client kill id " + id + "\r\n"), ":0\r\n");
  EXPECT_EQ(send("client kill 1.2.3.4:5\r\n"), "-ERR No such client\r\n");
  EXPECT_EQ(send("client kill foo bar\r\n"), "-ERR syntax error\r\n");
}

TEST_F(ServerCommandsTest, InfoHasTheFieldsClientsParse) {
  send("set k v ex 10\r\nget k\r\nget none\r\n");
  const std::string info = send("info\r\n");
  for (const char* field : {"redis_version:7.2.4", "redis_mode:standalone", "loading:0", "role:master",
                            "connected_clients:1", "maxmemory_policy:adaptive", "keyspace_hits:1", "keyspace_misses:1",
                            "db0:keys=1,expires=1,avg_ttl=", "cluster_enabled:0"}) {
    EXPECT_NE(info.find(field), std::string::npos) << field;
  }
  EXPECT_EQ(info.find("cmdstat_get"), std::string::npos);
  EXPECT_NE(send("info commandstats\r\n").find("cmdstat_get:calls=2,"), std::string::npos);
  EXPECT_EQ(send("info nosuchsection\r\n"), "$0\r\n\r\n");
}

TEST_F(ServerCommandsTest, ConfigGetMatchesPatterns) {
  EXPECT_EQ(ask("config get maxmemory*"), "[\"maxmemory\", \"0\", \"maxmemory-policy\", \"adaptive\"]");
  EXPECT_EQ(ask("config get save appendonly"), "[\"appendonly\", \"no\", \"save\", \"\"]");
}

TEST_F(ServerCommandsTest, ConfigSetChangesTheWorker) {
  EXPECT_EQ(send("config set maxmemory 10mb maxmemory-policy s3fifo\r\n"), "+OK\r\n");
  EXPECT_EQ(worker_->keyspace().memory().bytes_max, 10u << 20);
  EXPECT_EQ(worker_->keyspace().policy_name(), "s3fifo");
  EXPECT_EQ(send("config set maxmemory x\r\n"),
            "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value\r\n");
  EXPECT_EQ(send("config set foo 1\r\n"), "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n");
  EXPECT_EQ(send("config set port 1\r\n"),
            "-ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config\r\n");
}

TEST_F(ServerCommandsTest, ResetstatForgetsTheTotals) {
  send("get none\r\nconfig resetstat\r\n");
  EXPECT_NE(send("info stats\r\n").find("keyspace_misses:0"), std::string::npos);
}

TEST_F(ServerCommandsTest, CommandDescribesTheTable) {
  EXPECT_TRUE(send("command info get\r\n")
                  .starts_with("*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"));
  EXPECT_EQ(ask("command getkeys mset a 1 b 2"), "[\"a\", \"b\"]");
  EXPECT_EQ(send("command getkeys ping\r\n"), "-ERR The command has no key arguments\r\n");
  EXPECT_EQ(send("command getkeys nosuch a\r\n"), "-ERR Invalid command specified\r\n");
  EXPECT_TRUE(ask("command docs get").starts_with("[\"get\", [\"summary\", "));
  EXPECT_EQ(ask("command list filterby pattern ge?"), "[\"get\"]");
}

TEST_F(ServerCommandsTest, FlushesAndCounts) {
  send("mset a 1 b 2\r\n");
  EXPECT_EQ(send("dbsize\r\nflushall async\r\ndbsize\r\n"), ":2\r\n+OK\r\n:0\r\n");
  EXPECT_EQ(send("flushdb now\r\n"), "-ERR syntax error\r\n");
}

TEST_F(ServerCommandsTest, MemoryUsageOfAKey) {
  send("set k v\r\n");
  EXPECT_EQ(send("memory usage k\r\n").front(), ':');
  EXPECT_EQ(send("memory usage none\r\n"), "$-1\r\n");
}

TEST_F(ServerCommandsTest, WaitAnswersZeroAtOnce) {
  EXPECT_EQ(send("wait 1 1000\r\n"), ":0\r\n");
  EXPECT_EQ(send("wait 1 -1\r\n"), "-ERR timeout is negative\r\n");
}

TEST_F(ServerCommandsTest, TimeIsTheTurnsWallClock) {
  EXPECT_EQ(ask("time"), "[\"1700000000\", \"0\"]");
}

}  // namespace
}  // namespace tidemark::cacheserver
