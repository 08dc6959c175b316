// The router against two real shards, each a primary and a streaming replica, with one node and the invalidator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <map>
#include <thread>

#include "base/io/metrics.h"
#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"
#include "client/io/families_file.h"
#include "client/repository.h"
#include "client/session_token.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::client {
namespace {

using localcluster::LocalCluster;
using shardrouter::ResultSet;
using shardrouter::Statement;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct ItemBySku : KeyFamily<"item:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "item";
  static constexpr std::string_view kTable = "public.item";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};
using Items = Repository<ItemBySku>;

class RouterTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-e2e-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    std::ofstream(directory + "/items.sql")
        << "CREATE TABLE IF NOT EXISTS public.item (bucket int NOT NULL, sku text COLLATE \"C\" NOT NULL, "
           "value bigint NOT NULL, PRIMARY KEY (bucket, sku));"
           "CREATE INDEX IF NOT EXISTS item_sku ON public.item (sku);";
    ASSERT_TRUE(write_families_file(directory + "/families.json", families_of<ItemBySku>()));
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.shards = 2;
    options.nodes = 1;
    options.schema_files = {directory + "/items.sql"};
    options.tables = {"public.item"};
    options.families_file = directory + "/families.json";
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
    auto store = io::open_topology_store(cluster_->topology_address());
    ASSERT_TRUE(store);
    auto loaded = store->load();
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    topology_ = std::make_shared<const Topology>(std::move(*loaded));
    cache_ = CacheClient::create(context_, topology_, {});
    DatabaseOptions options;
    options.pool.passfile = cluster_->passfile("tidemark_app").string();
    database_ = Database::create(context_, topology_, options);
    thread_ = std::thread([this] {
      auto work = boost::asio::make_work_guard(context_);
      context_.run();
    });
  }
  void TearDown() override {
    boost::asio::post(context_, [this] {
      cache_->close();
      database_->close();
      context_.stop();
    });
    thread_.join();
    for (const char* server : {"s0-replica1", "s1-replica1"}) (void)cluster_->resume_replay(server);
    for (ShardId shard : {ShardId{0}, ShardId{1}})
      psql(shard, "SET session_replication_role = replica; DELETE FROM item");  // past the fence: also moved rows
  }

  static std::string primary(ShardId shard) { return "s" + std::to_string(shard) + "-primary"; }
  static std::string psql(ShardId shard, const std::string& sql) {
    auto output = cluster_->psql(primary(shard), sql);
    EXPECT_TRUE(output) << sql << ": " << output.error().to_string();
    return output.value_or("");
  }
  ShardId owner(Bucket bucket) const { return topology_->buckets[bucket].shard; }
  // A sku of the series whose bucket lies on that shard.
  std::string sku_on(ShardId shard, std::string name) const {
    while (owner(bucket_of_natural_key(name)) != shard) name += "x";
    return name;
  }
  static Statement insert(const std::string& sku, int64_t value) {
    return {
        "INSERT INTO item (bucket, sku, value) VALUES ($1::int, $2, $3::bigint) "
        "ON CONFLICT (bucket, sku) DO UPDATE SET value = EXCLUDED.value",
        {std::to_string(bucket_of_natural_key(sku)), sku, std::to_string(value)}};
  }
  Result<Written> put(const std::string& sku, int64_t value, WriteOptions options = {.timeout = 15s}) {
    Transaction tx({bucket_of_natural_key(sku)});
    tx.run(insert(sku, value));
    return database_->async_commit(std::move(tx), options, boost::asio::use_future).get();
  }
  Result<Queried> read(const std::string& sku, QueryOptions options = {.timeout = 15s}) {
    std::vector<Bucket> buckets = {bucket_of_natural_key(sku)};
    std::vector<Statement> statements = {
        {"SELECT value FROM item WHERE bucket = $1::int AND sku = $2", {std::to_string(buckets[0]), sku}}};
    return database_->async_query(buckets, statements, options, boost::asio::use_future).get();
  }
  static std::string value_of(const Result<Queried>& answer) {
    if (!answer) return answer.error().to_string();
    const auto& rows = answer->results.at(0).rows;
    return rows.empty() ? "absent" : *rows[0][0];
  }
  Result<Scattered> scatter(QueryOptions options = {.timeout = 15s}, size_t limit = 100) {
    ScatterQuery query{.sql = "SELECT bucket, sku, value FROM item WHERE sku >= $1",
                       .params = {"a"},
                       .order_by = {{"value", shardrouter::OrderColumn::Kind::kInteger, true}, {"sku"}},
                       .limit = limit};
    return database_->async_scatter(query, options, boost::asio::use_future).get();
  }
  static std::vector<std::string> skus(const Result<Scattered>& answer) {
    if (!answer) return {answer.error().to_string()};
    std::vector<std::string> list;
    for (const auto& row : answer->rows.rows) list.push_back(*row[1]);
    return list;
  }
  template <typename Condition>
  bool eventually(Condition condition) {
    const Instant end = io::steady_now() + 20s;
    while (!condition()) {
      if (io::steady_now() > end) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  // Reads counted by the pools, per server.
  std::map<std::string, double> reads_by_server() {
    std::map<std::string, double> reads;
    for (const auto& family : database_->metrics())
      if (family.name == "tidemark_client_shard_reads_total")
        for (const auto& sample : family.samples) reads[sample.labels[1].second] = sample.value;
    return reads;
  }
  // By hand, as a finished move would leave it; the rows go along.
  static void move_bucket(Bucket bucket, ShardId from, ShardId to, BucketEpoch epoch) {
    const std::string b = std::to_string(bucket);
    const std::string rows = psql(from, "SELECT sku, value FROM item WHERE bucket = " + b);
    psql(from, "UPDATE shard.bucket SET state = 'moved', epoch = " + std::to_string(epoch) + ", forward = '" +
                   std::to_string(to) + "' WHERE bucket = " + b);
    psql(to, "INSERT INTO shard.bucket (bucket, state, epoch) VALUES (" + b + ", 'owned', " + std::to_string(epoch) +
                 ") ON CONFLICT (bucket) DO UPDATE SET state = 'owned', epoch = EXCLUDED.epoch, forward = NULL");
    if (rows.empty()) return;
    const size_t bar = rows.find('|');
    psql(to, "INSERT INTO item VALUES (" + b + ", '" + rows.substr(0, bar) + "', " +
                 rows.substr(bar + 1, rows.find('\n') - bar - 1) +
                 ") ON CONFLICT (bucket, sku) DO UPDATE SET value = EXCLUDED.value");
  }

  static std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<const Topology> topology_;
  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  std::thread thread_;
};
std::unique_ptr<LocalCluster> RouterTest::cluster_;

TEST_F(RouterTest, AReadFollowsABucketThatWasMovedByHandAndTheOldRowsAreNeverTheAnswer) {
  const std::string sku = sku_on(0, "moving");
  const Bucket bucket = bucket_of_natural_key(sku);
  ASSERT_TRUE(put(sku, 1));
  ASSERT_EQ(value_of(read(sku)), "1");
  move_bucket(bucket, 0, 1, 3);
  psql(1, "UPDATE item SET value = 2 WHERE bucket = " + std::to_string(bucket));
  // The old shard still holds the row with 1; the map still names the old shard.
  const auto moved = read(sku, {.timeout = 15s, .may_use_replica = false});
  EXPECT_EQ(value_of(moved), "2");
  EXPECT_EQ(moved->source.shard, 1);
  ASSERT_TRUE(put(sku, 3));
  EXPECT_EQ(value_of(read(sku, {.timeout = 15s, .may_use_replica = false})), "3");
  EXPECT_THAT(skus(scatter({.timeout = 15s, .may_use_replica = false})), ElementsAre(sku));
  move_bucket(bucket, 1, 0, 5);
  EXPECT_EQ(read(sku, {.timeout = 15s, .may_use_replica = false})->source.shard, 0);
}

TEST_F(RouterTest, ScatterMergesBothShardsInOrderUpToTheLimit) {
  for (ShardId shard : {ShardId{0}, ShardId{1}})
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(put(sku_on(shard, "item-" + std::to_string(shard) + std::to_string(i)), i));
  const auto answer = scatter({.timeout = 15s, .may_use_replica = false}, 5);
  ASSERT_TRUE(answer) << answer.error().to_string();
  ASSERT_EQ(answer->rows.rows.size(), 5u);
  std::vector<std::string> values;
  for (const auto& row : answer->rows.rows) values.push_back(*row[2]);
  EXPECT_THAT(values, ElementsAre("4", "4", "3", "3", "2"));
  EXPECT_LT(*answer->rows.rows[0][1], *answer->rows.rows[1][1]);
  EXPECT_EQ(answer->sources.size(), 2u);
}

TEST_F(RouterTest, ScatterDoesNotAnswerWhileABucketHasNoOwnerOrTwo) {
  const std::string sku = sku_on(0, "lonely");
  const std::string bucket = std::to_string(bucket_of_natural_key(sku));
  ASSERT_TRUE(put(sku, 1));
  const std::string other = sku_on(1, "lonely");
  ASSERT_TRUE(put(other, 1));
  QueryOptions options{.timeout = 15s, .may_use_replica = false};
  ASSERT_EQ(skus(scatter(options)).size(), 2u);

  psql(0, "UPDATE shard.bucket SET state = 'fenced' WHERE bucket = " + bucket);
  const auto missing = scatter({.timeout = 15s, .may_use_replica = false});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kUnavailable);
  psql(0, "UPDATE shard.bucket SET state = 'owned' WHERE bucket = " + bucket);

  const std::string state = psql(1, "SELECT state FROM shard.bucket WHERE bucket = " + bucket);
  psql(1, "UPDATE shard.bucket SET state = 'owned' WHERE bucket = " + bucket);
  const auto doubled = scatter({.timeout = 15s, .may_use_replica = false});
  ASSERT_FALSE(doubled);
  EXPECT_EQ(doubled.error().code, ErrorCode::kUnavailable);
  psql(1, "UPDATE shard.bucket SET state = '" + state.substr(0, state.find('\n')) + "' WHERE bucket = " + bucket);

  EXPECT_EQ(skus(scatter(options)).size(), 2u);
}

TEST_F(RouterTest, AScatterReadAnswersAsSoonAsAHandOverIsThrough) {
  const std::string sku = sku_on(0, "handed");
  const std::string bucket = std::to_string(bucket_of_natural_key(sku));
  ASSERT_TRUE(put(sku, 1));
  psql(0, "UPDATE shard.bucket SET state = 'fenced' WHERE bucket = " + bucket);
  ScatterQuery query{.sql = "SELECT bucket, sku FROM item", .order_by = {{"sku"}}};
  auto answer = database_->async_scatter(query, {.timeout = 15s, .may_use_replica = false}, boost::asio::use_future);
  psql(0, "UPDATE shard.bucket SET state = 'owned' WHERE bucket = " + bucket);
  EXPECT_THAT(skus(answer.get()), ElementsAre(sku));
}

TEST_F(RouterTest, ReadsGoToAReplicaAndToThePrimaryWhileItsReplayIsPaused) {
  const std::string sku = sku_on(0, "replayed");
  ASSERT_TRUE(put(sku, 1));
  EXPECT_TRUE(eventually([&] {
    const auto answer = read(sku);
    return answer && answer->source.origin == Origin::kReplica && value_of(answer) == "1";
  }));
  const auto before = reads_by_server();
  EXPECT_GT(before.at("s0-replica1"), 0);

  ASSERT_TRUE(cluster_->pause_replay("s0-replica1"));
  auto session = std::make_shared<Session>();
  ASSERT_TRUE(put(sku, 2, {.timeout = 15s, .session = session}));
  const auto own = read(sku, {.timeout = 15s, .session = session});
  EXPECT_EQ(value_of(own), "2");
  EXPECT_EQ(own->source.origin, Origin::kPrimary);
  // Without the session, and with any age allowed, the paused replica answers what it has.
  const auto any = read(sku, {.timeout = 15s, .max_stale = Duration::max()});
  EXPECT_EQ(value_of(any), "1");
  EXPECT_EQ(any->source.origin, Origin::kReplica);
  // And the bound holds: once its position is older than that, it is not asked any more.
  EXPECT_TRUE(eventually([&] {
    const auto answer = read(sku, {.timeout = 15s, .max_stale = 200ms});
    return answer && answer->source.origin == Origin::kPrimary && value_of(answer) == "2";
  }));
  EXPECT_GT(reads_by_server().at("s0-primary"), before.at("s0-primary"));

  ASSERT_TRUE(cluster_->resume_replay("s0-replica1"));
  EXPECT_TRUE(eventually([&] {
    const auto answer = read(sku, {.timeout = 15s, .session = session});
    return answer && answer->source.origin == Origin::kReplica && value_of(answer) == "2";
  }));
}

TEST_F(RouterTest, AReadThatWritesOrLocksIsRefusedAndHasDoneNothing) {
  const std::string sku = sku_on(0, "untouched");
  ASSERT_TRUE(put(sku, 1));
  const std::vector<Bucket> buckets = {bucket_of_natural_key(sku)};
  for (const char* sql : {"WITH gone AS (DELETE FROM item RETURNING sku) SELECT sku FROM gone",
                          "SELECT sku FROM item FOR UPDATE", "SELECT shard.guard(1, 1), pg_current_xact_id()"}) {
    for (const size_t copies : {1u, 2u}) {
      std::vector<Statement> statements(copies, Statement{sql, {}});
      const auto answer =
          database_
              ->async_query(buckets, statements, {.timeout = 15s, .may_use_replica = false}, boost::asio::use_future)
              .get();
      EXPECT_FALSE(answer) << sql;
      EXPECT_NE(answer.error().code, ErrorCode::kOutcomeUnknown) << answer.error().to_string();
    }
  }
  EXPECT_EQ(value_of(read(sku, {.timeout = 15s, .may_use_replica = false})), "1");
}

TEST_F(RouterTest, SeveralStatementsSeeOneSnapshot) {
  const std::string sku = sku_on(0, "snapshot");
  ASSERT_TRUE(put(sku, 0));
  std::atomic<bool> is_done = false;
  std::thread writer([&] {
    for (int64_t i = 1; !is_done; ++i) (void)put(sku, i);
  });
  const std::vector<Bucket> buckets = {bucket_of_natural_key(sku)};
  const Statement one{"SELECT value FROM item WHERE bucket = $1::int AND sku = $2", {std::to_string(buckets[0]), sku}};
  for (int i = 0; i < 200; ++i) {
    const auto answer = database_
                            ->async_query(buckets, std::vector<Statement>{one, one, one},
                                          {.timeout = 15s, .may_use_replica = false}, boost::asio::use_future)
                            .get();
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->results[0].rows, answer->results[2].rows);
  }
  is_done = true;
  writer.join();
}

TEST_F(RouterTest, ATransactionOverTwoShardsIsRefusedAndLeavesNothing) {
  const std::string here = sku_on(0, "both");
  const std::string there = sku_on(1, "both");
  Transaction tx({bucket_of_natural_key(here), bucket_of_natural_key(there)});
  tx.run(insert(here, 1)).run(insert(there, 1));
  const auto written = database_->async_commit(std::move(tx), {.timeout = 15s}, boost::asio::use_future).get();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(written.error().message, HasSubstr("saga"));
  EXPECT_THAT(skus(scatter({.timeout = 15s, .may_use_replica = false})), ElementsAre());
}

TEST_F(RouterTest, ATransactionsInvalidationReachesTheNodeAlthoughTheKeysOwnRowDidNotChange) {
  const std::string sku = sku_on(0, "derived");
  RowSource<ItemBySku> source;
  source.sql = "SELECT bucket, sku, value FROM item WHERE bucket = $1::int AND sku = $2";
  source.batch_sql =
      "SELECT i.bucket, i.sku, i.value FROM item i JOIN unnest($1::int[], $2::text[]) AS k(bucket, sku) "
      "USING (bucket, sku)";
  source.from_rows = one_row<std::string>([](const Row& row) -> Result<std::string> {
    auto value = row.text("value");
    if (!value) return std::unexpected(value.error());
    return std::string(*value);
  });
  Items items(cache_, database_, source);
  ASSERT_TRUE(put(sku, 1));
  const auto is_hit = [&] {
    auto answer = items.sync().get({sku}, {.timeout = 15s});
    return answer && answer->origin() == Origin::kNode;
  };
  ASSERT_TRUE(eventually(is_hit));
  // Commits that name no key of ours leave it alone…
  ASSERT_TRUE(put(sku_on(0, "bystander"), 1));
  EXPECT_TRUE(is_hit());
  // …and so does one that is rolled back.
  Transaction broken({bucket_of_natural_key(sku)});
  broken.invalidate<ItemBySku>(sku).run({"SELECT 1 / 0"});
  EXPECT_FALSE(database_->async_commit(std::move(broken), {.timeout = 15s}, boost::asio::use_future).get());
  Transaction tx({bucket_of_natural_key(sku)});
  tx.invalidate<ItemBySku>(sku);
  ASSERT_TRUE(database_->async_commit(std::move(tx), {.timeout = 15s}, boost::asio::use_future).get());
  EXPECT_TRUE(eventually([&] {
    auto answer = items.sync().get({sku}, {.timeout = 15s});
    return answer && answer->origin() != Origin::kNode;
  }));
}

TEST_F(RouterTest, AShardWithoutServerIsAClearError) {
  const std::string sku = sku_on(1, "gone");
  ASSERT_TRUE(put(sku, 1));
  ASSERT_TRUE(cluster_->pg_stop("s1-primary", localcluster::StopMode::kImmediate));
  EXPECT_TRUE(eventually([&] {
    const auto answer = read(sku, {.timeout = 15s, .may_use_replica = false});
    return !answer && answer.error().code == ErrorCode::kUnavailable &&
           answer.error().message.find("s1-primary: not reachable, nothing was sent") != std::string::npos;
  })) << read(sku, {.timeout = 15s, .may_use_replica = false}).error().to_string();
  ASSERT_TRUE(cluster_->pg_start("s1-primary"));
  EXPECT_TRUE(eventually([&] { return value_of(read(sku, {.timeout = 15s, .may_use_replica = false})) == "1"; }));
}

}  // namespace
}  // namespace tidemark::client
