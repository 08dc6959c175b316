#include "cacheserver/command/dispatch.h"

#include "tests/unit/cacheserver/serving/node_fixture.h"

namespace tidemark::cacheserver {
namespace {

using DispatchTest = NodeTest;

TEST_F(DispatchTest, FindsCommandsWhateverTheirCase) {
  EXPECT_EQ(send("SeT k v\r\n"), "+OK\r\n");
  EXPECT_EQ(send("client SETNAME me\r\n"), "+OK\r\n");
  EXPECT_EQ(send("Client GetName\r\n"), "$2\r\nme\r\n");
}

TEST_F(DispatchTest, QuotesTheArgumentsOfAnUnknownCommandAsRedisDoes) {
  EXPECT_EQ(send("foo bar baz\r\n"), "-ERR unknown command 'foo', with args beginning with: 'bar' 'baz' \r\n");
  EXPECT_EQ(send("foo\r\n"), "-ERR unknown command 'foo', with args beginning with: \r\n");
  std::string long_argument(200, 'x');
  EXPECT_EQ(send("foo " + long_argument + " y\r\n"),
            "-ERR unknown command 'foo', with args beginning with: '" + std::string(128, 'x') + "' \r\n");
}

TEST_F(DispatchTest, ASubcommandsFullNameIsNoCommand) {
  EXPECT_EQ(send("client|id\r\n"), "-ERR unknown command 'client|id', with args beginning with: \r\n");
}

TEST_F(DispatchTest, NamesTheContainerOfAnUnknownSubcommand) {
  EXPECT_EQ(send("client foo\r\n"), "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n");
  EXPECT_EQ(send("client\r\n"), "-ERR wrong number of arguments for 'client' command\r\n");
}

TEST_F(DispatchTest, ChecksArity) {
  EXPECT_EQ(send("get\r\n"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(send("get a b\r\n"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(send("client setname\r\n"), "-ERR wrong number of arguments for 'client|setname' command\r\n");
}

TEST_F(DispatchTest, ClosesOnHttp) {
  EXPECT_EQ(send("POST / HTTP/1.1\r\nHost: x\r\nset k v\r\n"), "");
  EXPECT_EQ(outcome_, SessionMachine::Outcome::kClosing);
  auto other = make_client();
  EXPECT_EQ(send(*other, "exists k\r\n"), ":0\r\n");
}

TEST_F(DispatchTest, AsksForAPasswordFirst) {
  open({.credentials = {.default_password = "secret"}});
  EXPECT_EQ(send("get a\r\n"), "-NOAUTH Authentication required.\r\n");
  EXPECT_EQ(send("auth wrong\r\n"), "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(send("auth secret\r\nget a\r\n"), "+OK\r\n$-1\r\n");
}

TEST_F(DispatchTest, AuthenticationHoldsForTheVeryNextRequestOfAPipeline) {
  open({.credentials = {.default_password = "secret"}});
  std::string many = "*12\r\n$4\r\nMGET\r\n";
  for (int i = 0; i < 11; ++i) many += "$1\r\nk\r\n";
  EXPECT_TRUE(send("auth secret\r\n" + many).starts_with("+OK\r\n*11\r\n"));
}

TEST_F(DispatchTest, OnlyTheInvalidatorInvalidatesWhenItHasAPassword) {
  open({.credentials = {.invalidator_password = "inv"}});
  EXPECT_EQ(send("fenceall 0 1 1 0/1\r\n"),
            "-NOPERM User default has no permissions to run the 'fenceall' command\r\n");
  EXPECT_EQ(send("auth invalidator inv\r\n"), "+OK\r\n");
  EXPECT_EQ(send("acl whoami\r\n"), "$11\r\ninvalidator\r\n");
  EXPECT_FALSE(send("fenceall 0 1 1 0/1\r\n").starts_with("-NOPERM"));
}

TEST_F(DispatchTest, SendsTheClientToTheWorkerThatServesTheSlot) {
  join(three_nodes());
  EXPECT_EQ(send("set bar 1\r\n"), "+OK\r\n");                                // slot 5061
  EXPECT_EQ(send("set hello 1\r\n"), "+OK\r\n");                              // slot 866
  EXPECT_EQ(send("get a{user1}\r\n"), "-MOVED 8106 10.0.0.2:7002\r\n");       // first half of n2: worker 0
  EXPECT_EQ(send("set foo 1\r\n"), "-CLUSTERDOWN Hash slot not served\r\n");  // slot 12182: n3 has no ports
  EXPECT_EQ(send("mset bar 1 hello 1\r\n"), "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
  EXPECT_EQ(send("mset {bar}1 1 {bar}2 2\r\n"), "+OK\r\n");
  EXPECT_EQ(worker_->view().stats().commands_moved.get(), 1u);
}

TEST_F(DispatchTest, AWorkerServesOnlyItsPartOfTheNodesSlots) {
  open({.node_id = "n2", .worker_index = 1, .workers = 2});
  join(three_nodes());
  EXPECT_EQ(send("get a{user1}\r\n"), "-MOVED 8106 10.0.0.2:7002\r\n");
  EXPECT_EQ(worker_->view().owned_slot_count(), 10923u - 8192u);
}

TEST_F(DispatchTest, AWorkerGoesOnServingItsSlotsWhenTheTopologySpeaksOfMoreWorkersThanRun) {
  Topology topology = three_nodes();
  topology.nodes[0].workers = 2;  // as `init n1/2` leaves it until n1 is started again
  topology.nodes[0].worker_ports.clear();
  join(topology);
  EXPECT_EQ(send("set bar 1\r\n"), "+OK\r\n");    // slot 5061
  EXPECT_EQ(send("set hello 1\r\n"), "+OK\r\n");  // slot 866
}

TEST_F(DispatchTest, RefusesPlainWritesOnDatabaseFamilies) {
  Topology topology = three_nodes();
  topology.slot_groups.assign(kSlotCount, 0);
  topology.families.resize(2);
  topology.families[0].name = "view";  // no table: a plain cache
  topology.families[0].pattern = "product:<kind>:{<sku>}";
  topology.families[1].name = "product";
  topology.families[1].pattern = "product:{<sku>}";
  topology.families[1].table = "catalog.product";
  join(topology);
  const std::string refusal = "-PROTECTED key belongs to family product; write to the database, or use SETV\r\n";
  EXPECT_EQ(send("set product:{1} x\r\n"), refusal);
  EXPECT_EQ(send("mset {1} x product:{1} y\r\n"), refusal);
  EXPECT_EQ(send("incr product:{1}\r\n"), refusal);
  EXPECT_EQ(send("del product:{1}\r\n"), ":0\r\n");
  EXPECT_EQ(send("get product:{1}\r\n"), "$-1\r\n");
  EXPECT_EQ(send("set product x\r\n"), "+OK\r\n");
  EXPECT_EQ(send("set product:thumb:{1} x\r\n"), "+OK\r\n");
  EXPECT_EQ(worker_->view().stats().commands_protected.get(), 3u);
}

TEST_F(DispatchTest, RefusesWritesWhenMemoryIsFullAndNothingGivesWay) {
  open({.config = {.memory_bytes_max = 1 << 20, .memory_policy = "noeviction"}});
  const std::string value(1000, 'v');
  std::string reply;
  for (int i = 0; i < 2000 && !reply.starts_with("-"); ++i)
    reply = send("set k" + std::to_string(i) + " " + value + "\r\n");
  EXPECT_EQ(reply, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  EXPECT_EQ(send("config set maxmemory 1000\r\n"), "+OK\r\n");
  EXPECT_EQ(send("incr n\r\n"), "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  EXPECT_EQ(send("del k0\r\n"), ":1\r\n");
}

TEST_F(DispatchTest, CountsCallsFailuresAndRefusals) {
  send("set k v\r\nincr k\r\nget\r\nget k\r\nget k\r\n");
  const CommandTable& table = CommandTable::standard();
  auto& stats = worker_->view().command_stats();
  EXPECT_EQ(stats[table.find_row("get")].calls.get(), 2u);
  EXPECT_EQ(stats[table.find_row("get")].rejected.get(), 1u);
  EXPECT_EQ(stats[table.find_row("incr")].failed.get(), 1u);
}

TEST(CommandTable, EveryRowIsWellFormed) {
  const CommandTable& table = CommandTable::standard();
  for (uint32_t row = 0; row < table.size(); ++row) {
    const CommandSpec& spec = table.spec(row);
    EXPECT_EQ(table.find_row(spec.name), row) << spec.name;
    EXPECT_NE(spec.arity, 0) << spec.name;
    EXPECT_FALSE(spec.summary.empty()) << spec.name;
    EXPECT_FALSE(spec.group.empty()) << spec.name;
    EXPECT_FALSE(spec.since.empty()) << spec.name;
    EXPECT_TRUE(spec.handler != nullptr || table.is_container(row)) << spec.name;
    EXPECT_EQ(spec.first_key == 0, spec.key_step == 0) << spec.name;
  }
}

TEST(CommandTable, KnowsWhereKeysStand) {
  const CommandTable& table = CommandTable::standard();
  auto keys = [&](std::string_view name, size_t count) {
    return key_positions(table.spec(table.find_row(name)), count);
  };
  EXPECT_EQ(keys("get", 2).first, 1u);
  EXPECT_EQ(keys("get", 2).last, 1u);
  EXPECT_EQ(keys("mget", 4).last, 3u);
  EXPECT_EQ(keys("mset", 5).step, 2u);
  EXPECT_TRUE(keys("ping", 1).empty());
}

}  // namespace
}  // namespace tidemark::cacheserver
