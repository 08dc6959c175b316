// The oracle's evidence against a real Postgres: psql writes, a logical slot gives the order of commits.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "bench/macro/io/commit_reader.h"
#include "bench/macro/io/row_writer.h"
#include "bench/macro/product_content.h"
#include "bench/macro/stale_oracle.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kPrimary = "s0-primary";

class CommitOrder : public testing::Test {
 protected:
  void SetUp() override {
    localcluster::Options options;
    options.directory = directory_;
    options.replicas = 0;
    options.nodes = 0;
    options.with_invalidator = false;
    options.schema_files = {std::filesystem::path(TIDEMARK_SOURCE_DIR) / "services/catalog/schema.sql"};
    options.tables = {"catalog.product"};
    options.stop_on_destroy = true;
    auto cluster = localcluster::LocalCluster::create(options);
    ASSERT_TRUE(cluster.has_value()) << cluster.error().to_string();
    cluster_.emplace(std::move(*cluster));
    const Status started = cluster_->start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
    auto reader = CommitReader::create(
        {.conninfo = cluster_->admin_conninfo(kPrimary), .stream = {.tables = {{.content_columns = product_content_columns()}}}});
    ASSERT_TRUE(reader.has_value()) << reader.error().to_string();
    reader_ = std::move(*reader);
  }
  void TearDown() override {
    reader_.reset();
    cluster_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Only names that come and go: they need no rows to begin with.
  std::unique_ptr<RowWriter> start_writer() {
    return RowWriter::start({.conninfos = {cluster_->admin_conninfo(kPrimary)},
                             .log = directory_ / "psql.log",
                             .names = &names_,
                             .seasonal_count = 3,
                             .rate = 200,
                             .seasonal_share = 1});
  }
  void wait_for_commits(uint64_t count) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    while (reader_->commits() < count && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(milliseconds(20));
    }
    ASSERT_GE(reader_->commits(), count);
  }
  StaleOracle oracle_of(const std::vector<RowCommit>& commits, const std::vector<AcknowledgedWrite>& writes) const {
    StaleOracle oracle;
    for (const RowCommit& commit : commits) oracle.add(commit);
    for (const AcknowledgedWrite& write : writes) oracle.acknowledge(names_[write.product], write.version, write.at_us);
    return oracle;
  }

  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("tidemark-oracle-" + std::to_string(::getpid()));
  std::vector<std::string> names_ = {"first", "it-comes", "and", "goes"};
  std::optional<localcluster::LocalCluster> cluster_;
  std::unique_ptr<CommitReader> reader_;
};

TEST_F(CommitOrder, HoldsEveryWriteThatPsqlAcknowledgedAndItsContent) {
  const auto writer = start_writer();
  wait_for_commits(50);
  writer->stop();
  const auto commits = reader_->finish(seconds(10));
  ASSERT_TRUE(commits.has_value()) << commits.error().to_string();
  ASSERT_GE(writer->acknowledged().size(), 20u);
  EXPECT_EQ(writer->failed(), 0u);

  const StaleOracle oracle = oracle_of(*commits, writer->acknowledged());
  EXPECT_EQ(oracle.lost(), 0u);
  const auto& last = writer->acknowledged().back();
  AnswerRecord answer;
  answer.version = last.version;
  answer.content = 1;
  answer.bound_ms = 0;
  answer.start_us = answer.end_us = last.at_us;
  EXPECT_EQ(oracle.judge(names_[last.product], answer).verdict, Verdict::kWrongContent);
  answer.version = last.version + 1;
  EXPECT_EQ(oracle.judge(names_[last.product], answer).verdict, Verdict::kPhantom);
}

TEST_F(CommitOrder, ShowsAWriteThatWasAcknowledgedAndNeverCommittedAsLost) {
  const auto writer = start_writer();
  wait_for_commits(10);
  writer->stop();
  const auto commits = reader_->finish(seconds(10));
  ASSERT_TRUE(commits.has_value()) << commits.error().to_string();
  auto writes = writer->acknowledged();
  writes.push_back({0, 1, writes.back().at_us});
  EXPECT_EQ(oracle_of(*commits, writes).lost(), 1u);
}

TEST_F(CommitOrder, GoesOnAfterACrashOfTheServerWithoutGapOrRepetition) {
  const auto writer = start_writer();
  wait_for_commits(30);
  ASSERT_TRUE(cluster_->pg_stop(kPrimary, localcluster::StopMode::kImmediate).has_value());
  ASSERT_TRUE(cluster_->pg_start(kPrimary).has_value());
  wait_for_commits(reader_->commits() + 30);
  writer->stop();
  const auto commits = reader_->finish(seconds(10));
  ASSERT_TRUE(commits.has_value()) << commits.error().to_string();
  EXPECT_EQ(oracle_of(*commits, writer->acknowledged()).lost(), 0u);
  // Each name is inserted and deleted in turns: a repeated or missing commit would break the alternation.
  std::map<std::string, bool> is_there;
  for (const RowCommit& commit : *commits) {
    EXPECT_EQ(is_there[commit.key], commit.is_deleted) << commit.key;
    is_there[commit.key] = !commit.is_deleted;
  }
}

}  // namespace
}  // namespace tidemark::bench
