// tidemark-shards promote: a switch-over under writes, and one that is killed behind every step.
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/e2e/failover/failover_fixture.h"
#include "tools/localcluster/process.h"

namespace tidemark::shardrouter {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class PromoteTest : public FailOverTest {
 protected:
  struct Answer {
    bool is_ok = false;
    Json json;
    std::vector<std::string> steps;
  };
  Answer tool(const std::string& verb, const std::string& kill_after = "") {
    const auto out = directory_ / "tool.json";
    std::string command =
        cluster_->binary(kill_after.empty() ? "tidemark-shards" : "tidemark-shards-killable").string();
    command += " " + verb + " --shards '" + (cluster_->directory() / "shards.json").string() + "' --topology '" +
               cluster_->topology_address() + "' --format json > '" + out.string() + "'";
    localcluster::Environment environment;
    if (!kill_after.empty()) environment.emplace_back("TIDEMARK_KILL_AT", "after " + kill_after);
    const Status done =
        localcluster::run_to_end({{"sh", "-c", "exec " + command}, directory_ / "tool.log", environment}, 90s);
    std::ifstream file(out);
    Answer answer{done.has_value(), Json::parse(file, nullptr, false), {}};
    if (answer.json.is_object() && answer.json.contains("steps"))
      for (const auto& step : answer.json["steps"]) answer.steps.push_back(step["step"].get<std::string>());
    return answer;
  }
  std::vector<std::string> findings() {
    std::vector<std::string> lines;
    const auto doctor = tool("doctor");
    if (doctor.json.is_object())
      for (const auto& one : doctor.json["findings"])
        if (one["area"] == "promotions") lines.push_back(one["what"].get<std::string>());
    return lines;
  }
  std::string primary_in_topology() {
    const auto store = io::open_topology_store(cluster_->topology_address());
    const auto topology = store->load();
    const ShardServer* primary = topology->shards.at(0).primary();
    return primary != nullptr ? primary->name : "none";
  }
};

TEST_F(PromoteTest, ASwitchOverUnderWritesLosesNothingThoughCommitsWaitForNobody) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(write());
  const auto dry = tool("promote 0 --to s0-replica1 --dry-run");
  EXPECT_TRUE(dry.is_ok);
  EXPECT_THAT(dry.steps, ::testing::IsSupersetOf({"retire", "promote", "open", "publish", "repoint", "done"}));
  ASSERT_TRUE(write()) << "nothing was done";

  std::optional<Answer> promoted;
  std::jthread operating([&] { promoted = tool("promote 0 --to s0-replica1"); });
  Clock::time_point last_before = Clock::now(), first_after{};
  const auto give_up = Clock::now() + 60s;
  while (Clock::now() < give_up && (!first_after.time_since_epoch().count() || acknowledged_.size() < 200)) {
    const bool is_followed = primary_of(*pool_) == "s0-replica1";
    if (write()) {
      if (!is_followed) last_before = Clock::now();
      if (is_followed && !first_after.time_since_epoch().count()) first_after = Clock::now();
    }
    run_loop(1ms);
  }
  operating.join();
  ASSERT_TRUE(promoted && promoted->is_ok) << promoted->json.dump(2);
  EXPECT_EQ(promoted->steps.back(), "done");
  printf(
      "writes refused for %lld ms\n",
      static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(first_after - last_before).count()));
  const Audit found = audit("s0-replica1");
  EXPECT_EQ(found.lost, 0u);
  EXPECT_EQ(found.duplicated, 0u);
  EXPECT_EQ(primary_in_topology(), "s0-replica1");
  EXPECT_TRUE(eventually([&] { return audit("s0-replica2").lost == 0; })) << "the other standby follows";
  EXPECT_THAT(promoted->json["left_to_do"].dump(), HasSubstr("s0-primary is retired and still runs as a primary"));
  EXPECT_THAT(try_psql("INSERT INTO item VALUES (7, 900000, 1)", "s0-primary"), HasSubstr("has a successor"));
  EXPECT_EQ(tool("promote 0 --to s0-replica1").steps, std::vector<std::string>{"done"}) << "again: nothing to do";
  EXPECT_FALSE(tool("promote 0 --cancel").is_ok) << "it has a successor";
  EXPECT_THAT(findings(), Contains(HasSubstr("s0-primary is retired")));
}

TEST_F(PromoteTest, KilledBehindEveryStepTheNextRunEndsIt) {
  ASSERT_TRUE(write());
  pool_->close();  // routers would open the timeline themselves
  EXPECT_THAT(findings(), ::testing::IsEmpty());
  EXPECT_FALSE(tool("promote 0", "retire").is_ok);
  EXPECT_THAT(findings(), Contains(HasSubstr("s0-primary is retired and takes no routed write")));
  EXPECT_EQ(tool("promote 0 --cancel").steps, std::vector<std::string>{"cancel"});
  pool_ = make_pool();
  EXPECT_TRUE(write_until_acknowledged()) << "it takes routed writes again";
  pool_->close();
  EXPECT_FALSE(tool("promote 0 --to s0-replica1", "retire").is_ok);
  EXPECT_FALSE(tool("promote 0 --to s0-replica1", "repoint").is_ok);
  EXPECT_FALSE(tool("promote 0 --to s0-replica1", "promote").is_ok);
  EXPECT_EQ(primary_in_topology(), "s0-primary");
  EXPECT_THAT(findings(), Contains(HasSubstr("s0-replica1 was promoted, the topology names s0-primary")));
  EXPECT_FALSE(tool("promote 0 --to s0-replica2").is_ok) << "one is enough";
  EXPECT_FALSE(tool("promote 0", "open").is_ok);
  EXPECT_FALSE(tool("promote 0", "publish").is_ok);
  EXPECT_EQ(primary_in_topology(), "s0-replica1");
  const auto last = tool("promote 0");
  EXPECT_TRUE(last.is_ok);
  EXPECT_EQ(last.steps, std::vector<std::string>{"done"}) << "not the next promotion";
  pool_ = make_pool();
  EXPECT_TRUE(write_until_acknowledged());
  EXPECT_EQ(audit("s0-replica1").lost, 0u);
  EXPECT_TRUE(eventually([&] { return audit("s0-replica2").lost == 0; })) << "it follows over the switch";
}

TEST_F(PromoteTest, ADeadPrimaryNeedsForceAndTheMostAdvancedReplicaIsChosen) {
  ASSERT_TRUE(write());
  psql("ALTER SYSTEM SET primary_conninfo = ''", "s0-replica1");  // cut off: the other one goes on
  psql("SELECT pg_reload_conf()", "s0-replica1");
  ASSERT_TRUE(eventually([&] { return psql("SELECT count(*) FROM pg_stat_wal_receiver", "s0-replica1") == "0"; }));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(write());
  ASSERT_TRUE(eventually([&] { return audit("s0-replica2").lost == 0; }));
  ASSERT_TRUE(cluster_->kill("s0-primary"));
  EXPECT_THAT(tool("promote 0").json["error"].dump(), HasSubstr("--force"));
  EXPECT_THAT(tool("promote 0 --to s0-replica1 --dry-run").json["error"].dump(), HasSubstr("--force"));
  const auto promoted = tool("promote 0 --force");
  ASSERT_TRUE(promoted.is_ok) << promoted.json.dump(2);
  EXPECT_EQ(promoted.json["target"], "s0-replica2") << "the most advanced one";
  EXPECT_TRUE(write_until_acknowledged());
  EXPECT_EQ(audit("s0-replica2").lost, 0u);
  EXPECT_TRUE(eventually([&] { return audit("s0-replica1").lost == 0; })) << "it had nothing of its own, so it follows";
}

}  // namespace
}  // namespace tidemark::shardrouter
