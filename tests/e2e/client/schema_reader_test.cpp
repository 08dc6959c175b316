// A program that says which schema it understands, on two real shards.
#include "client/schema_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "base/io/topology_store_file.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::client {
namespace {

using localcluster::LocalCluster;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class SchemaReaderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-e2e-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.shards = 2;
    options.replicas = 0;
    options.nodes = 0;
    options.with_invalidator = false;
    options.stop_on_destroy = true;
    auto created = LocalCluster::create(options);
    ASSERT_TRUE(created) << created.error().to_string();
    cluster_ = std::make_unique<LocalCluster>(std::move(*created));
    const Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() {
    if (!cluster_) return;
    const std::filesystem::path directory = cluster_->directory().parent_path();
    cluster_.reset();
    std::filesystem::remove_all(directory);
  }

  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    psql("s0-primary", "DELETE FROM shard.reader");
    psql("s1-primary", "DELETE FROM shard.reader");
    psql("s1-primary", "DELETE FROM shard.migration");
    const auto store = io::open_topology_store(cluster_->topology_address());
    ASSERT_TRUE(store);
    auto loaded = store->load();
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    DatabaseOptions options;
    options.pool.passfile = cluster_->passfile("tidemark_app").string();
    database_ = Database::create(context_, std::make_shared<const Topology>(std::move(*loaded)), options);
    thread_ = std::thread([this] {
      const auto work = boost::asio::make_work_guard(context_);
      context_.run();
    });
  }
  void TearDown() override {
    close_reader();
    boost::asio::post(context_, [this] {
      database_->close();
      context_.stop();
    });
    thread_.join();
  }

  Status start(SchemaReaderOptions options) {
    auto reader = SchemaReader::create(context_, database_, std::move(options));
    if (!reader) return std::unexpected(reader.error());
    reader_ = *reader;
    std::promise<Status> accepted;
    boost::asio::post(context_, [&] { reader_->start([&](Status status) { accepted.set_value(std::move(status)); }); });
    return accepted.get_future().get();
  }
  void close_reader() {
    if (!reader_) return;
    std::promise<void> closed;
    boost::asio::post(context_, [&] { reader_->close([&] { closed.set_value(); }); });
    closed.get_future().wait();
    reader_.reset();
  }
  static std::string psql(std::string_view server, std::string_view sql) {
    return cluster_->psql(server, sql).value_or("error");
  }
  static bool eventually(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  }

  static inline std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<Database> database_;
  std::shared_ptr<SchemaReader> reader_;
  std::thread thread_;
};

TEST_F(SchemaReaderTest, IsKnownToEveryShardFromItsStartAndIsRenewed) {
  const Status accepted = start({.name = "order-1", .understands = "0003_discount", .renew_every = 50ms});
  ASSERT_TRUE(accepted) << accepted.error().to_string();
  for (const std::string_view server : {"s0-primary", "s1-primary"}) {
    EXPECT_EQ(psql(server, "SELECT name || ' ' || understands FROM shard.reader"), "order-1 0003_discount");
    const std::string first = psql(server, "SELECT expires_at FROM shard.reader");
    EXPECT_TRUE(eventually([&] { return psql(server, "SELECT expires_at FROM shard.reader") > first; })) << server;
  }
}

TEST_F(SchemaReaderTest, IsRefusedWhereTheSchemaHasMovedOn) {
  psql("s1-primary", "INSERT INTO shard.migration VALUES ('0004_old_price', 'contract', 'x', 'done')");
  const Status accepted = start({.name = "order-1", .understands = "0003_discount"});
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(accepted.error().message, HasSubstr("shard 1"));
  EXPECT_THAT(accepted.error().message, HasSubstr("0004_old_price is contracted here"));
}

TEST_F(SchemaReaderTest, IsToldWhenTheSchemaMovesOnWithoutIt) {
  std::promise<ShardId> refused;
  std::atomic<bool> is_first = true;
  ASSERT_TRUE(start({.name = "order-1",
                     .understands = "0003_discount",
                     .renew_every = 50ms,
                     .retry_pause = 50ms,
                     .on_refused = [&](ShardId shard, const Error&) {
                       if (is_first.exchange(false)) refused.set_value(shard);
                     }}));
  psql("s1-primary", "INSERT INTO shard.migration VALUES ('0004_old_price', 'contract', 'x', 'done')");
  auto future = refused.get_future();
  ASSERT_EQ(future.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(future.get(), 1);
  close_reader();
}

TEST_F(SchemaReaderTest, GivesItsLeasesBackWhenItIsClosed) {
  ASSERT_TRUE(start({.name = "order-1", .understands = "0003_discount"}));
  close_reader();
  EXPECT_EQ(psql("s0-primary", "SELECT count(*) FROM shard.reader"), "0");
  EXPECT_EQ(psql("s1-primary", "SELECT count(*) FROM shard.reader"), "0");
}

TEST_F(SchemaReaderTest, DoesNotStartWhileAShardCannotBeAsked) {
  ASSERT_TRUE(cluster_->pg_stop("s1-primary", localcluster::StopMode::kFast));
  const Status accepted =
      start({.name = "order-1", .understands = "0003_discount", .retry_pause = 50ms, .start_timeout = 1s});
  EXPECT_TRUE(cluster_->pg_start("s1-primary"));
  ASSERT_FALSE(accepted);
  EXPECT_THAT(accepted.error().message, HasSubstr("shard 1"));
  EXPECT_GT(reader_->failures(), 0u);
}

TEST_F(SchemaReaderTest, RefusesWhatIsNoMigration) {
  EXPECT_THAT(start({.name = "order-1", .understands = "discount"}).error().message, HasSubstr("is no migration"));
  EXPECT_THAT(start({.name = "", .understands = "0001_a"}).error().message, HasSubstr("needs a name"));
}

}  // namespace
}  // namespace tidemark::client
