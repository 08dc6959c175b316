// Sessions against a real shard whose synchronous standby is away: its commits hang, yet replicas show them.
#include "client/session_token.h"

#include <gtest/gtest.h>

#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>

#include "base/io/system_clock.h"
#include "client/client.h"
#include "client/io/families_file.h"
#include "client/repository.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::client {
namespace {

using localcluster::LocalCluster;
using namespace std::chrono_literals;

struct StockOfProduct : KeyFamily<"stock:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "stock";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};
using Stocks = Repository<StockOfProduct>;

const ReadOptions kReplicaFirst{.timeout = 15s, .is_cache_bypassed = true};
const ReadOptions kPrimaryOnly{.timeout = 15s, .is_cache_bypassed = true, .may_use_replica = false};

// The clients of one service.
struct Service {
  std::unique_ptr<Client> client;
  std::unique_ptr<Stocks> stocks;

  explicit Service(const LocalCluster& cluster, RepositoryOptions options = {}) {
    auto opened =
        Client::open({.topology = cluster.topology_address(), .passfile = cluster.passfile("tidemark_app").string()});
    if (!opened) throw std::runtime_error(opened.error().to_string());
    client = std::move(*opened);
    RowSource<StockOfProduct> source;
    source.sql = "SELECT bucket, sku, stock FROM catalog.product WHERE bucket = $1::int AND sku = $2";
    source.from_rows = one_row<std::string>([](const Row& row) -> Result<std::string> {
      auto stock = row.text("stock");
      if (!stock) return std::unexpected(stock.error());
      return std::string(*stock);
    });
    stocks = std::make_unique<Stocks>(client->cache(), client->database(), source, options);
  }

  std::string get(const std::string& sku, ReadOptions options, std::shared_ptr<Session> session) {
    options.session = std::move(session);
    auto answer = stocks->sync().get({sku}, options);
    if (!answer) return std::string(tidemark::to_string(answer.error().code));
    return (answer->has_value() ? answer->value() : "absent") + "@" + std::string(to_string(answer->origin()));
  }
  std::future<Result<Written>> set(const std::string& sku, int stock, std::shared_ptr<Session> session = {}) {
    return stocks->async_update({sku},
                                {{"INSERT INTO catalog.product (bucket, sku, stock) VALUES ($1::int, $2, $3::bigint) "
                                  "ON CONFLICT (bucket, sku) DO UPDATE SET stock = EXCLUDED.stock",
                                  {std::to_string(*Stocks::bucket_of({sku})), sku, std::to_string(stock)}}},
                                {.timeout = 60s, .session = std::move(session)}, boost::asio::use_future);
  }
};

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string directory = ::testing::TempDir() + "tidemark-session-e2e-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    ASSERT_TRUE(write_families_file(directory + "/families.json", families_of<StockOfProduct>()));
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 1;
    options.schema_files = {std::string(TIDEMARK_SOURCE_DIR) + "/services/catalog/schema.sql"};
    options.tables = {"catalog.product"};
    options.families_file = directory + "/families.json";
    options.stop_on_destroy = true;
    auto created = LocalCluster::create(options);
    ASSERT_TRUE(created) << created.error().to_string();
    cluster_ = std::make_unique<LocalCluster>(std::move(*created));
    const Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
    a_ = std::make_unique<Service>(*cluster_);
    b_ = std::make_unique<Service>(*cluster_, RepositoryOptions{.session_settle_wait_max = 300ms});
  }
  void TearDown() override {
    a_.reset();
    b_.reset();
    if (!cluster_) return;
    const std::filesystem::path directory = cluster_->directory().parent_path();
    cluster_.reset();
    std::filesystem::remove_all(directory);
  }

  void psql(const std::string& sql) {
    auto output = cluster_->psql("s0-primary", sql);
    ASSERT_TRUE(output) << output.error().to_string();
  }
  void stall_commits() {
    psql("ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
    psql("SELECT pg_reload_conf()");
    ASSERT_TRUE(eventually([&] {
      auto shown = cluster_->psql("s0-primary", "SHOW synchronous_standby_names");
      return shown && shown->find("ghost") != std::string::npos;
    }));
  }
  void let_commits_go() {
    psql("ALTER SYSTEM RESET synchronous_standby_names");
    psql("SELECT pg_reload_conf()");
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    const Instant end = io::steady_now() + 20s;
    while (!condition()) {
      if (io::steady_now() > end) return false;
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  // All that a session carries from one service to another.
  std::shared_ptr<Session> hop(const std::shared_ptr<Session>& session) const {
    return Session::from_text(session->to_text(key_), key_).value();
  }

  const TokenKey key_ = TokenKey::random();
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<Service> a_, b_;
};

TEST_F(SessionTest, WhatAReplicaShowedAndThePrimaryStillHidesIsNeverUnseen) {
  ASSERT_TRUE(a_->set("tea", 1).get());
  ASSERT_TRUE(eventually([&] { return a_->get("tea", kReplicaFirst, nullptr) == "1@replica"; }));
  stall_commits();
  auto hanging = a_->set("tea", 2);
  auto session = std::make_shared<Session>();
  ASSERT_TRUE(eventually([&] { return a_->get("tea", kReplicaFirst, session) == "2@replica"; }));

  EXPECT_EQ(b_->get("tea", kPrimaryOnly, nullptr), "1@primary") << "without a token it is unseen: the attack is real";
  EXPECT_EQ(b_->get("tea", kPrimaryOnly, hop(session)), "UNAVAILABLE");
  EXPECT_EQ(b_->get("tea", kReplicaFirst, hop(session)), "2@replica");
  // The session reads another row on the primary: its own position is greater now, and proves nothing.
  auto other = hop(session);
  other->absorb_read(0, other->token().find(0)->db_epoch, Lsn{other->token().find(0)->read.value + 4096}, true);
  EXPECT_EQ(b_->get("tea", kPrimaryOnly, hop(other)), "UNAVAILABLE");
  // Through the cache: the node lacks it or has it, the replica has it; whoever answers says 2.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(b_->get("tea", {.timeout = 15s}, hop(session)).substr(0, 1), "2");

  ASSERT_EQ(hanging.wait_for(0s), std::future_status::timeout) << "the commit was to hang until here";
  let_commits_go();
  ASSERT_TRUE(hanging.get());
  ASSERT_TRUE(eventually([&] { return b_->get("tea", kPrimaryOnly, hop(session)) == "2@primary"; }));
}

TEST_F(SessionTest, AnOwnWriteIsSeenByAnotherServiceWhileReplayIsPaused) {
  auto session = std::make_shared<Session>();
  ASSERT_TRUE(a_->set("tea", 1, session).get());
  ASSERT_TRUE(eventually([&] { return b_->get("tea", kReplicaFirst, nullptr) == "1@replica"; }));
  ASSERT_TRUE(cluster_->pause_replay("s0-replica1"));
  ASSERT_TRUE(a_->set("tea", 2, session).get());
  EXPECT_EQ(b_->get("tea", kReplicaFirst, hop(session)), "2@primary");
  EXPECT_EQ(b_->get("tea", {.timeout = 15s}, hop(session)).substr(0, 1), "2");
  EXPECT_EQ(b_->get("tea", {.timeout = 15s, .max_stale = kAnyStaleness}, hop(session)).substr(0, 1), "2");
  ASSERT_TRUE(cluster_->resume_replay("s0-replica1"));
  ASSERT_TRUE(eventually([&] { return b_->get("tea", kReplicaFirst, hop(session)) == "2@replica"; }));
}

}  // namespace
}  // namespace tidemark::client
