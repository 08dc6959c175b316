// Two shards with a standby each, three tables with foreign keys, and the tool run as a program.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tools/localcluster/local_cluster.h"
#include "tools/localcluster/process.h"
#include "tools/trials/ledger_workload.h"

namespace tidemark::shards {

namespace fs = std::filesystem;
using localcluster::LocalCluster;
using trials::LedgerWorkload;
using Json = nlohmann::json;

class MoveTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-move-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    std::ofstream(directory + "/schema.sql") << trials::kSchemaSql;
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 0;
    options.shards = 2;
    options.replicas = 1;
    options.with_invalidator = false;
    options.schema_files = {directory + "/schema.sql"};
    options.tables = trials::schema_tables();
    options.stop_on_destroy = true;
    auto created = LocalCluster::create(options);
    ASSERT_TRUE(created) << created.error().to_string();
    cluster_ = std::make_unique<LocalCluster>(std::move(*created));
    const Status started = cluster_->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  static void TearDownTestSuite() {
    if (!cluster_) return;
    const fs::path directory = cluster_->directory().parent_path();
    cluster_.reset();
    fs::remove_all(directory);
  }

  struct Answer {
    bool is_ok = false;
    Json json;
    std::string error;  // the log's last words
  };
  // `kill_at`: of tidemark-shards-killable.
  static Answer tool(std::vector<std::string> arguments, const std::string& kill_at = "") {
    const fs::path out = cluster_->directory() / "tool.json";
    const fs::path log = cluster_->directory() / "logs/tool.log";
    fs::remove(log);
    std::string command;
    for (const std::string& word : arguments) command += " '" + word + "'";
    command += " --shards '" + (cluster_->directory() / "shards.json").string() + "' --topology '" +
               cluster_->topology_address() + "' --format json";
    const char* program = kill_at.empty() ? "tidemark-shards" : "tidemark-shards-killable";
    localcluster::Environment environment;
    if (!kill_at.empty()) environment.emplace_back("TIDEMARK_KILL_AT", kill_at);
    const Status done = localcluster::run_to_end(
        {{"sh", "-c", "exec " + cluster_->binary(program).string() + command + " > '" + out.string() + "'"},
         log,
         environment},
        std::chrono::seconds(60));
    std::ifstream file(out);
    return {done.has_value(), Json::parse(file, nullptr, false), done ? "" : done.error().message};
  }
  static Answer move(const std::string& buckets, int to, std::vector<std::string> extra = {},
                     const std::string& kill_at = "") {
    std::vector<std::string> arguments{"move", "--buckets", buckets, "--to", std::to_string(to)};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return tool(std::move(arguments), kill_at);
  }
  static std::string psql(int shard, const std::string& sql) {
    const auto text = cluster_->psql("s" + std::to_string(shard) + "-primary", sql);
    EXPECT_TRUE(text.has_value()) << sql << ": " << (text ? "" : text.error().to_string());
    return text.value_or("");
  }
  static std::string owned(int shard, int lo, int hi) {
    return psql(shard, "SELECT count(*) FROM shard.bucket WHERE state = 'owned' AND bucket BETWEEN " +
                           std::to_string(lo) + " AND " + std::to_string(hi));
  }
  static std::string left_over(int shard) {
    return psql(shard,
                "SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE slot_name LIKE 'mv%' UNION ALL "
                "SELECT 'publication ' || pubname FROM pg_publication WHERE pubname LIKE 'mv%' UNION ALL "
                "SELECT 'origin ' || roname FROM pg_replication_origin WHERE roname LIKE 'mv%' UNION ALL "
                "SELECT 'move ' || move_id || ' ' || step FROM shard.move WHERE ended_at IS NULL");
  }
  static void expect_nothing_left() {
    EXPECT_EQ(left_over(0), "");
    EXPECT_EQ(left_over(1), "");
  }
  // 40 accounts with an entry and a label in each bucket of the range, at the shard that owns it.
  static void fill(int lo, int hi) {
    const std::string range = std::to_string(lo) + " AND " + std::to_string(hi);
    for (int shard = 0; shard < 2; ++shard) {
      const std::string rows =
          " FROM shard.bucket b, generate_series(2000000000000, 2000000000039) g WHERE b.state = 'owned' AND b.bucket "
          "BETWEEN " +
          range + " ON CONFLICT DO NOTHING";
      psql(shard, "INSERT INTO account (bucket, id, counter, name) SELECT b.bucket, g, 7, 'fill'" + rows);
      psql(shard, "INSERT INTO entry SELECT b.bucket, g, 1, 7" + rows);
      psql(shard, "INSERT INTO a_label SELECT b.bucket, g, 'fill'" + rows);
    }
  }
  static std::string rows_of(int shard, int lo, int hi) {
    return psql(shard, "SELECT count(*) FROM account WHERE bucket BETWEEN " + std::to_string(lo) + " AND " +
                           std::to_string(hi));
  }

  static inline std::unique_ptr<LocalCluster> cluster_;
};

}  // namespace tidemark::shards
