// One real shard (primary and streaming replica) for all tests of a suite, and a pool on a loop of our own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "base/io/topology_store_file.h"
#include "shardrouter/io/shard_pool.h"
#include "shardrouter/sql/routed_write.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::shardrouter {

using localcluster::LocalCluster;
using namespace std::chrono_literals;
using Answer = Result<std::vector<ResultSet>>;

class ShardTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-e2e-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    std::ofstream(directory + "/items.sql")
        << "CREATE TABLE IF NOT EXISTS public.item (bucket int NOT NULL, id int NOT NULL, value int NOT NULL, "
           "PRIMARY KEY (bucket, id));";
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 0;
    options.with_invalidator = false;
    options.schema_files = {directory + "/items.sql"};
    options.tables = {"public.item"};
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
    psql("UPDATE shard.bucket SET state = 'owned', epoch = 1, forward = NULL WHERE state <> 'owned' OR epoch <> 1");
    psql("DELETE FROM item");
    open_pool({});
  }
  void TearDown() override {
    if (pool_) pool_->close();
    pool_.reset();
    context_.restart();
    context_.run_for(2s);
  }

  void open_pool(ShardPool::Options options) {
    if (pool_) pool_->close();
    if (options.passfile.empty()) options.passfile = cluster_->passfile("tidemark_app").string();
    const auto store = io::open_topology_store(cluster_->topology_address());
    ASSERT_TRUE(store);
    const auto topology = store->load();
    ASSERT_TRUE(topology) << topology.error().to_string();
    pool_ = ShardPool::create(context_, topology->shards.at(0), options);
  }

  // Starts a request; its answer appears in the returned box while the loop runs.
  using Box = std::shared_ptr<std::optional<Answer>>;
  Box begin(Pipeline pipeline, Duration timeout = 5s, ShardPool::Target target = ShardPool::Target::kPrimary,
            Lsn at_least = {}) {
    auto box = std::make_shared<std::optional<Answer>>();
    pool_->run(target, at_least, std::move(pipeline), timeout, [box](Answer answer) {
      EXPECT_FALSE(box->has_value()) << "a handler was called twice";
      *box = std::move(answer);
    });
    return box;
  }
  Answer await(const Box& box) {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    context_.restart();
    while (!box->has_value() && std::chrono::steady_clock::now() < give_up) context_.run_one_for(100ms);
    if (!box->has_value()) return fail(ErrorCode::kInternal, "the test's loop waited 20 s in vain");
    return **box;
  }
  Answer run(Pipeline pipeline, Duration timeout = 5s, ShardPool::Target target = ShardPool::Target::kPrimary,
             Lsn at_least = {}) {
    return await(begin(std::move(pipeline), timeout, target, at_least));
  }
  static Pipeline one(std::string sql, std::vector<std::optional<std::string>> params = {}) {
    Pipeline pipeline;
    pipeline.groups.push_back({Statement{std::move(sql), std::move(params)}});
    return pipeline;
  }
  Result<RoutedWriteResult> write(BucketAtEpoch bucket, std::string sql) {
    auto pipeline = make_routed_write({bucket}, {Statement{std::move(sql), {}}});
    if (!pipeline) return std::unexpected(pipeline.error());
    auto results = run(std::move(*pipeline));
    if (!results) return std::unexpected(results.error());
    return read_routed_write(0, std::move(*results));
  }
  static std::string psql(const std::string& sql, std::string_view server = "s0-primary") {
    const auto text = cluster_->psql(server, sql);
    EXPECT_TRUE(text.has_value()) << sql << ": " << (text ? "" : text.error().to_string());
    return text.value_or("");
  }
  // Runs the loop until the condition holds.
  template <typename Condition>
  bool eventually(Condition condition, std::chrono::milliseconds limit = 10s) {
    const auto give_up = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      context_.restart();
      context_.run_one_for(10ms);
    }
    return true;
  }

  static inline std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<ShardPool> pool_;
};

}  // namespace tidemark::shardrouter
