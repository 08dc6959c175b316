// One shard with two standbys, its own for every test; a pool on a loop of our own, and a ledger of acknowledged
// writes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/io/topology_store_file.h"
#include "shardrouter/io/shard_pool.h"
#include "shardrouter/sql/routed_write.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::shardrouter {

using localcluster::LocalCluster;
using localcluster::StopMode;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class FailOverTest : public ::testing::Test {
 protected:
  static constexpr Bucket kBucket = 7;

  virtual localcluster::Options cluster_options() { return {}; }

  void SetUp() override {
    std::string directory = ::testing::TempDir() + "tidemark-e2e-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    directory_ = directory;
    std::ofstream(directory + "/items.sql")
        << "CREATE TABLE IF NOT EXISTS public.item (bucket int NOT NULL, id int NOT NULL, value int NOT NULL, "
           "PRIMARY KEY (bucket, id));";
    localcluster::Options options = cluster_options();
    options.directory = directory + "/cluster";
    options.replicas = 2;
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
    pool_ = make_pool();
  }
  void TearDown() override {
    if (pool_) pool_->close();
    pool_.reset();
    context_.restart();
    context_.run_for(100ms);
    cluster_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::shared_ptr<ShardPool> make_pool() {
    ShardPool::Options options;
    options.passfile = cluster_->passfile("tidemark_app").string();
    const auto store = io::open_topology_store(cluster_->topology_address());
    EXPECT_TRUE(store);
    const auto topology = store->load();
    EXPECT_TRUE(topology);
    return ShardPool::create(context_, topology->shards.at(0), options);
  }

  std::string psql(const std::string& sql, std::string_view server = "s0-primary") {
    const auto text = cluster_->psql(server, sql);
    EXPECT_TRUE(text.has_value()) << server << ": " << sql << ": " << (text ? "" : text.error().to_string());
    std::string result = text.value_or("");
    while (!result.empty() && result.back() == '\n') result.pop_back();
    return result;
  }
  // The error's text; empty: it went well.
  std::string try_psql(const std::string& sql, std::string_view server) {
    const auto text = cluster_->psql(server, sql);
    return text ? "" : text.error().to_string();
  }

  // Commits wait for this standby: a promotion of it loses no acknowledged write.
  void wait_for_standby(const std::string& name) {
    psql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"" + name + "\")'");
    psql("SELECT pg_reload_conf()");
    ASSERT_TRUE(
        eventually([&] { return psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"; }));
  }

  // ---- one write at a time, as fast as they go; every one has an id of its own
  Result<RoutedWriteResult> write(ShardPool& pool, int id) {
    auto pipeline = make_routed_write(
        {{kBucket, 1}},
        {Statement{"INSERT INTO item VALUES ($1::int, $2::int, 1)", {std::to_string(kBucket), std::to_string(id)}}},
        pool.db_epoch_floor());
    if (!pipeline) return std::unexpected(pipeline.error());
    std::optional<Result<std::vector<ResultSet>>> answer;
    auto box = std::make_shared<std::optional<Result<std::vector<ResultSet>>>>();
    pool.run(ShardPool::Target::kPrimary, {}, std::move(*pipeline), 2s,
             [box](Result<std::vector<ResultSet>> results) { *box = std::move(results); });
    if (!eventually([&] { return box->has_value(); })) return fail(ErrorCode::kInternal, "no answer");
    if (!**box) return std::unexpected((**box).error());
    return read_routed_write(0, std::move(***box));
  }
  Result<RoutedWriteResult> write() {
    auto written = write(*pool_, next_id_);
    if (written) acknowledged_.push_back(next_id_);
    ++next_id_;
    return written;
  }
  // Writes until one is acknowledged. Errors until then are kept.
  bool write_until_acknowledged() {
    const auto give_up = Clock::now() + 30s;
    while (Clock::now() < give_up) {
      const auto written = write();
      if (written) return true;
      errors_.push_back(written.error());
      run_loop(5ms);
    }
    return false;
  }
  // What the ledger and the table say of each other.
  struct Audit {
    size_t lost = 0, duplicated = 0;
  };
  Audit audit(std::string_view server) {
    std::multiset<int> there;
    std::string text = psql("SELECT id FROM item ORDER BY id", server);
    for (size_t at = 0; at < text.size();) {
      there.insert(std::atoi(text.c_str() + at));
      at = text.find('\n', at);
      if (at == std::string::npos) break;
      ++at;
    }
    Audit audit;
    for (int id : acknowledged_) {
      audit.lost += there.count(id) == 0;
      audit.duplicated += there.count(id) > 1;
    }
    return audit;
  }

  void run_loop(std::chrono::milliseconds time) {
    const auto until = Clock::now() + time;
    while (Clock::now() < until) {
      context_.restart();
      context_.run_one_for(1ms);
    }
  }
  template <typename Condition>
  bool eventually(Condition condition, std::chrono::milliseconds limit = 30s) {
    const auto give_up = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() > give_up) return false;
      context_.restart();
      context_.run_one_for(5ms);
    }
    return true;
  }
  std::string primary_of(const ShardPool& pool) {
    for (const auto& server : pool.servers())
      if (server.role == ShardServer::Role::kPrimary) return server.name;
    return "none";
  }

  std::filesystem::path directory_;
  std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<ShardPool> pool_;
  int next_id_ = 1;
  std::vector<int> acknowledged_;
  std::vector<Error> errors_;
};

}  // namespace tidemark::shardrouter
