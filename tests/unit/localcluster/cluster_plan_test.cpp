#include "tools/localcluster/cluster_plan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/io/secrets.h"

namespace tidemark::localcluster {
namespace {

// The directory of a test; the Postgres root of a plan is removed with it.
class ClusterPlan : public ::testing::Test {
 protected:
  ClusterPlan()
      : directory_(std::filesystem::path(::testing::TempDir()) / ("cluster_plan_test-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(directory_);
    options_.directory = directory_;
    options_.binaries = "/nonexistent/bin";
  }
  ~ClusterPlan() override {
    if (!state_.place.root.empty()) EXPECT_TRUE(remove_postgres_root(state_.place.root));
    std::filesystem::remove_all(directory_);
  }

  void plan() {
    auto planned = plan_cluster(options_);
    ASSERT_TRUE(planned) << planned.error().to_string();
    state_ = std::move(*planned);
  }
  const Member& member(const std::string& name) const {
    return *std::ranges::find(state_.members, name, &Member::name);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Member& one : state_.members) names.push_back(one.name);
    return names;
  }

  std::filesystem::path directory_;
  Options options_;
  ClusterState state_;
};

TEST_F(ClusterPlan, ListsTheMembersInTheOrderOfTheirStart) {
  options_.shards = 2;
  options_.nodes = 1;
  options_.with_catalog = options_.with_sessions = options_.with_orders = true;
  options_.relays = 2;
  plan();
  EXPECT_EQ(names(), (std::vector<std::string>{"s0-primary", "s0-replica1", "s1-primary", "s1-replica1", "n1",
                                               "invalidator", "catalog", "session", "order", "relay1", "relay2"}));
  EXPECT_EQ(member("s1-replica1").primary, "s1-primary");
  EXPECT_EQ(member("s1-replica1").shard, 1u);
}

TEST_F(ClusterPlan, TakesAProgramByItsWholePathOrFromTheBinaries) {
  options_.with_orders = true;
  options_.relays = 1;
  options_.relay_program = "/elsewhere/tidemark-order-relay-killable";
  plan();
  EXPECT_EQ(member("order").argv.front(), "/nonexistent/bin/tidemark-order");
  EXPECT_EQ(member("relay1").argv.front(), "/elsewhere/tidemark-order-relay-killable");
}

TEST_F(ClusterPlan, GivesARelayNoPortButThatOfItsMetrics) {
  options_.relays = 1;
  plan();
  EXPECT_TRUE(member("relay1").ports.empty());
  EXPECT_NE(member("relay1").metrics_port, 0);
}

TEST_F(ClusterPlan, MakesATokenKeyThatOthersCannotRead) {
  plan();
  const auto file = directory_ / "secrets/token-key";
  EXPECT_GE(std::filesystem::file_size(file), 32u);
  EXPECT_EQ(std::filesystem::status(file).permissions() & std::filesystem::perms::others_all,
            std::filesystem::perms::none);
}

TEST_F(ClusterPlan, RefusesServicesWithoutAShard) {
  options_.shards = 0;
  options_.with_invalidator = false;
  options_.with_sessions = true;
  const auto planned = plan_cluster(options_);
  ASSERT_FALSE(planned);
  EXPECT_EQ(planned.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ClusterPlan, AMemberOfTheStateFileKeepsItsOwnEnvironment) {
  options_.relays = 1;
  plan();
  for (Member& one : state_.members)
    if (one.name == "relay1") one.environment = {{"TIDEMARK_KILL_AT", "relay.confirmed:2"}};
  ASSERT_TRUE(save_state(state_));
  const auto loaded = load_state(directory_);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->members.back().environment, (Environment{{"TIDEMARK_KILL_AT", "relay.confirmed:2"}}));
  EXPECT_EQ(loaded->members.back().kind, Kind::kRelay);
}

}  // namespace
}  // namespace tidemark::localcluster
