#include <gtest/gtest.h>

#include "client/io/client_metrics.h"
#include "client/repository.h"
#include "client/testing/fake_node.h"
#include "client/testing/fake_shard_pool.h"

namespace tidemark::client {
namespace {

using shardrouter::ResultSet;
using shardrouter::Statement;
using tidemark::testing::FakeNode;
using tidemark::testing::FakeShardPool;
using tidemark::testing::run_until;

struct ProductBySku : KeyFamily<"product:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "product";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
  static constexpr bool kOneRowPerKey = true;
};
struct ListOfOwner : KeyFamily<"list:{<owner>}", std::string, std::string> {
  static constexpr std::string_view kName = "list";
  static constexpr std::string_view kTable = "catalog.item";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"owner"};
};
using Through = Result<WrittenThrough<std::string>>;

template <typename R>
concept WritesThrough = requires(R& repository) { repository.sync().write_through({"a"}, {}); };
static_assert(WritesThrough<Repository<ProductBySku>>);
static_assert(!WritesThrough<Repository<ListOfOwner>>);  // the rows of a list belong to no one statement

constexpr const char* kUpdate = "UPDATE catalog.product SET name = $1 WHERE sku = $2 RETURNING sku, name";

class RepositoryStageTest : public ::testing::Test {
 protected:
  RepositoryStageTest() {
    auto topology = std::make_shared<Topology>();
    topology->version = 1;
    topology->nodes.push_back({"n1", "127.0.0.1", {node_.server.port()}, 0, 1});
    topology->groups.push_back({"g1", 1, {"n1"}, 1.0});
    topology->slot_groups.assign(kSlotCount, 0);
    topology->shards.push_back({0, {}});
    topology->buckets.assign(kBucketCount, BucketOwner{0, 1});
    CacheOptions cache;
    cache.timeout = std::chrono::seconds(5);
    cache_ = CacheClient::create(context_, topology, cache);
    DatabaseOptions database;
    database.make_pool = [this](const Shard&) {
      pool_ = std::make_shared<FakeShardPool>(context_, [this](const FakeShardPool::Run& run) { return commit(run); });
      return pool_;
    };
    database_ = Database::create(context_, topology, database);
    RowSource<ProductBySku> source;
    source.sql = "SELECT sku, name FROM catalog.product WHERE bucket = $1::int AND sku = $2";
    source.from_rows = one_row<std::string>([](const Row& row) -> Result<std::string> {
      auto name = row.text("name");
      if (!name) return std::unexpected(name.error());
      return std::string(*name);
    });
    products_ = std::make_unique<Repository<ProductBySku>>(cache_, database_, source);
  }
  ~RepositoryStageTest() override {
    cache_->close();
    database_->close();
    context_.restart();
    while (context_.poll_one() > 0) {
    }
  }

  // Answers as a shard whose last statement returned `rows_`.
  FakeShardPool::Results commit(const FakeShardPool::Run& run) {
    if (on_write_) on_write_();
    if (write_error_) return std::unexpected(*write_error_);
    std::vector<ResultSet> results(run.pipeline.groups[0].size() + 1);
    results[1] = {{"guard"}, {{"7"}}, "", 0};
    results[results.size() - (has_invalidations_ ? 5 : 4)] = {{"sku", "name", "tm_staged"}, rows_, "SELECT 1", 0};
    if (!more_rows_.empty()) results[results.size() - 5] = {{"sku", "name", "tm_staged"}, more_rows_, "SELECT 1", 0};
    results[results.size() - 3] = {{"xid"}, {{"55"}}, "", 0};
    results[results.size() - 2].command_tag = "COMMIT";
    results.back() = {{"lsn"}, {{"0/950"}}, "", 0};
    return results;
  }

  Through write(std::vector<Statement> statements) {
    std::optional<Through> written;
    products_->async_write_through({"bash"}, std::move(statements), {},
                                   [&](Through result) { written = std::move(result); });
    EXPECT_TRUE(run_until(context_, [&] { return written.has_value(); }));
    return std::move(*written);
  }
  bool wait_for(std::string_view outcome) {
    return run_until(context_, [&] { return metric(outcome) > 0; });
  }
  uint64_t metric(std::string_view outcome) { return cache_->metrics().value("staged", outcome); }
  // The stage as the transaction's message names it.
  std::string stage_of_write() const {
    const auto& group = pool_->runs.back().pipeline.groups[0];
    return *group[group.size() - 3].params.back();
  }

  boost::asio::io_context context_;
  FakeNode node_{context_};
  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  std::shared_ptr<FakeShardPool> pool_;
  std::unique_ptr<Repository<ProductBySku>> products_;
  std::vector<std::vector<std::optional<std::string>>> rows_{{"bash", "new shell", "0/940"}};
  std::vector<std::vector<std::optional<std::string>>> more_rows_;  // of the statement before the last
  bool has_invalidations_ = false;                                  // a statement of the transaction's own comes last
  std::optional<Error> write_error_;
  std::function<void()> on_write_;
};

TEST_F(RepositoryStageTest, TheReturnedRowIsStagedAfterTheCommitInThePlaceOfInval) {
  on_write_ = [&] { EXPECT_TRUE(node_.of("STAGE").empty()); };
  auto written = write({{"SELECT 1"}, {kUpdate, {"new shell", "bash"}}});
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_TRUE(written->value && written->value->has_value());
  EXPECT_EQ(written->value->value(), "new shell");
  EXPECT_EQ(written->value->origin(), Origin::kPrimary);
  ASSERT_EQ(written->results.size(), 2u);
  EXPECT_EQ(written->results[1].columns, (std::vector<std::string>{"sku", "name"}));
  ASSERT_TRUE(wait_for("accepted"));
  EXPECT_EQ(node_.of("STAGE"),
            (std::vector<FakeNode::Request>{{"STAGE", "0", "7", "0/950", "55", stage_of_write(), "product:{bash}",
                                             encode_value<std::string>("new shell")}}));
  EXPECT_TRUE(node_.of("INVAL").empty());
  EXPECT_EQ(metric("sent"), 1u);
}

TEST_F(RepositoryStageTest, OnceTheStreamNamesTheStageTheNextReaderHasAHitWithoutALoad) {
  ASSERT_TRUE(write({{kUpdate, {"new shell", "bash"}}}));
  ASSERT_TRUE(wait_for("accepted"));
  node_.bring_stream("product:{bash}", stage_of_write());
  const size_t runs = pool_->runs.size();
  std::optional<Repository<ProductBySku>::Answer> answer;
  products_->async_get({"bash"}, {.timeout = std::chrono::seconds(4)},
                       [&](auto result) { answer = std::move(result); });
  ASSERT_TRUE(run_until(context_, [&] { return answer.has_value(); }));
  ASSERT_TRUE(*answer);
  EXPECT_EQ((*answer)->value(), "new shell");
  EXPECT_EQ((*answer)->origin(), Origin::kNode);
  EXPECT_EQ(pool_->runs.size(), runs);
}

TEST_F(RepositoryStageTest, EveryWriteHasAStageOfItsOwn) {
  ASSERT_TRUE(write({{kUpdate, {"a", "bash"}}}));
  const std::string first = stage_of_write();
  ASSERT_TRUE(write({{kUpdate, {"b", "bash"}}}));
  EXPECT_NE(stage_of_write(), first);
}

TEST_F(RepositoryStageTest, ADeletedRowIsStagedAsAbsent) {
  auto written = write({{"DELETE FROM catalog.product WHERE sku = $1 RETURNING sku", {"bash"}}});
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_TRUE(written->value);
  EXPECT_TRUE(written->value->is_absent());
  ASSERT_TRUE(wait_for("accepted"));
  EXPECT_EQ(node_.of("STAGE")[0].back(), "NEG");
  EXPECT_EQ(node_.of("STAGE")[0][7], "");
}

// An UPDATE that matches nothing holds no lock, and its WHERE may ask for more than the key: nothing is proven.
TEST_F(RepositoryStageTest, NoRowReturnedIsNoAbsenceTheKeyIsOnlyDropped) {
  rows_.clear();
  auto written = write({{kUpdate, {"a", "bash"}}});
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_FALSE(written->value);
  ASSERT_TRUE(run_until(context_, [&] { return !node_.of("INVAL").empty(); }));
  EXPECT_TRUE(node_.of("STAGE").empty());
  EXPECT_EQ(metric("no_row"), 1u);
}

TEST_F(RepositoryStageTest, ARowOfAnotherKeyIsNotStagedAndTheErrorSaysThatItIsCommitted) {
  rows_ = {{"BASH", "new shell", "0/940"}};
  auto written = write({{kUpdate, {"a", "bash"}}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kInternal);
  EXPECT_NE(written.error().message.find("committed"), std::string::npos);
  ASSERT_TRUE(run_until(context_, [&] { return !node_.of("INVAL").empty(); }));
  EXPECT_TRUE(node_.of("STAGE").empty());
  EXPECT_EQ(metric("not_row"), 1u);
}

TEST_F(RepositoryStageTest, SeveralRowsAreNoRowOfTheKey) {
  rows_ = {{"bash", "one", "0/940"}, {"bash", "two", "0/941"}};
  EXPECT_FALSE(write({{kUpdate, {"a", "bash"}}}));
  EXPECT_EQ(metric("not_row"), 1u);
}

TEST_F(RepositoryStageTest, AFailedWriteStagesNothing) {
  for (ErrorCode code : {ErrorCode::kInvalidArgument, ErrorCode::kOutcomeUnknown}) {
    write_error_ = Error{code, "no"};
    EXPECT_FALSE(write({{kUpdate, {"a", "bash"}}}));
  }
  EXPECT_TRUE(node_.of("STAGE").empty());
  EXPECT_TRUE(node_.of("INVAL").empty());
  EXPECT_EQ(metric("sent"), 0u);
}

TEST_F(RepositoryStageTest, ANodeThatRefusesTheValueStillTakesTheInvalidation) {
  node_.script = [](const FakeNode::Request& request) {
    return request[0] == "STAGE" ? std::string("-ERR value is too large\r\n") : std::string();
  };
  ASSERT_TRUE(write({{kUpdate, {"a", "bash"}}}));
  ASSERT_TRUE(run_until(context_, [&] { return !node_.of("INVAL").empty(); }));
  EXPECT_EQ(metric("refused"), 1u);
}

TEST_F(RepositoryStageTest, DropsAreCountedByTheirReason) {
  std::string reason;
  node_.script = [&](const FakeNode::Request& request) {
    return request[0] == "STAGE" ? "+DROPPED " + reason + "\r\n" : std::string();
  };
  for (const auto& [word, outcome] :
       {std::pair{"SUPERSEDED", "superseded"}, std::pair{"NOSTAGE", "nostage"}, std::pair{"FULL", "full"}}) {
    reason = word;
    ASSERT_TRUE(write({{kUpdate, {"a", "bash"}}}));
    EXPECT_TRUE(wait_for(outcome)) << outcome;
  }
  EXPECT_TRUE(node_.of("INVAL").empty());
}

TEST_F(RepositoryStageTest, AnUnreachableNodeCostsTheWriterNothing) {
  node_.server.stop();
  auto written = write({{kUpdate, {"new shell", "bash"}}});
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(written->value->value(), "new shell");
  EXPECT_TRUE(wait_for("failed"));
}

TEST_F(RepositoryStageTest, SeveralRowsOfOneShardAreStagedByOneTransaction) {
  more_rows_ = {{"vim", "new editor", "0/941"}};
  std::optional<Result<WrittenThroughMany<std::string>>> written;
  products_->async_write_through_many({{"vim"}, {"bash"}},
                                      {{"SELECT 1"}, {kUpdate, {"e", "vim"}}, {kUpdate, {"s", "bash"}}}, {},
                                      [&](auto result) { written = std::move(result); });
  ASSERT_TRUE(run_until(context_, [&] { return written.has_value(); }));
  ASSERT_TRUE(*written) << written->error().to_string();
  ASSERT_EQ((*written)->values.size(), 2u);
  EXPECT_EQ((*written)->values[0]->value(), "new editor");
  EXPECT_EQ((*written)->values[1]->value(), "new shell");
  EXPECT_EQ((*written)->results.size(), 3u);
  ASSERT_TRUE(run_until(context_, [&] { return metric("accepted") == 2; }));
  EXPECT_EQ(node_.of("STAGE")[0][6], "product:{vim}");
  EXPECT_EQ(node_.of("STAGE")[1][6], "product:{bash}");
  EXPECT_NE(node_.of("STAGE")[0][5], node_.of("STAGE")[1][5]);
  EXPECT_EQ(pool_->runs.size(), 1u);
}

TEST_F(RepositoryStageTest, ATransactionInvalidatesKeysOfOtherFamiliesByTheSameCommit) {
  Transaction transaction;
  transaction.run({kUpdate, {"s", "bash"}}).invalidate<ListOfOwner>("ann");
  std::optional<Result<WrittenThroughMany<std::string>>> written;
  has_invalidations_ = true;
  products_->async_commit_through({{"bash"}}, std::move(transaction), {},
                                  [&](auto result) { written = std::move(result); });
  ASSERT_TRUE(run_until(context_, [&] { return written.has_value(); }));
  ASSERT_TRUE(*written) << written->error().to_string();
  EXPECT_EQ((*written)->values[0]->value(), "new shell");
  EXPECT_EQ((*written)->results.size(), 1u);
  const auto& group = pool_->runs[0].pipeline.groups[0];
  EXPECT_NE(group[2].sql.find("cache.stage"), std::string::npos);
  EXPECT_NE(group[3].sql.find("cache.inval"), std::string::npos);
  EXPECT_EQ(group[3].params[0], "list:{ann}");
}

TEST_F(RepositoryStageTest, KeysAndStatementsThatDoNotFitTogetherAreRefused) {
  using Keys = std::vector<ProductBySku::Key>;
  for (const Keys& keys : {Keys{}, Keys{{"vim"}, {"bash"}}, Keys{{"vim"}, {"vim"}}}) {
    std::optional<Result<WrittenThroughMany<std::string>>> written;
    products_->async_write_through_many(keys, {{kUpdate}}, {}, [&](auto result) { written = std::move(result); });
    ASSERT_TRUE(run_until(context_, [&] { return written.has_value(); }));
    ASSERT_FALSE(*written);
    EXPECT_EQ(written->error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(pool_->runs.empty());
}

TEST_F(RepositoryStageTest, WhatCannotBeStagedIsRefusedBeforeTheDatabaseIsAsked) {
  for (auto statements :
       {std::vector<Statement>{}, std::vector<Statement>{{"SELECT sku, name FROM catalog.product"}}}) {
    auto written = write(statements);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(pool_->runs.empty());
}

}  // namespace
}  // namespace tidemark::client
