// A cache in front of buckets that move: no answer is older than what was acknowledged before, and the copy drops
// nothing.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <map>
#include <thread>

#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"
#include "client/io/families_file.h"
#include "client/repository.h"
#include "client/session_token.h"
#include "tools/localcluster/local_cluster.h"
#include "tools/localcluster/process.h"

namespace tidemark::client {
namespace {

using localcluster::LocalCluster;
using namespace std::chrono_literals;

struct PriceOfItem : KeyFamily<"item_price:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "item_price";
  static constexpr std::string_view kTable = "public.item";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};
using Prices = Repository<PriceOfItem>;

constexpr const char* kUpsert =
    "INSERT INTO public.item (bucket, sku, price) VALUES ($1::int, $2, $3::bigint) "
    "ON CONFLICT (bucket, sku) DO UPDATE SET price = EXCLUDED.price";

class MovesUnderCacheTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-moves-cache-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    ASSERT_TRUE(write_families_file(directory + "/families.json", families_of<PriceOfItem>()));
    std::ofstream(directory + "/schema.sql")
        << "CREATE TABLE IF NOT EXISTS public.item (bucket int NOT NULL, sku text COLLATE \"C\" "
           "NOT NULL, price bigint NOT NULL, PRIMARY KEY (bucket, sku));";
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 1;
    options.shards = 2;
    options.schema_files = {directory + "/schema.sql"};
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
    auto topology = std::make_shared<const Topology>(*load_topology());
    cache_ = CacheClient::create(context_, topology, {});
    DatabaseOptions options;
    options.pool.passfile = cluster_->passfile("tidemark_app").string();
    database_ = Database::create(context_, topology, options);
    RowSource<PriceOfItem> source;
    source.sql = "SELECT bucket, sku, price FROM public.item WHERE bucket = $1::int AND sku = $2";
    source.batch_sql =
        "SELECT p.bucket, p.sku, p.price FROM public.item p JOIN unnest($1::int[], $2::text[]) AS k(bucket, sku) "
        "USING (bucket, sku)";
    source.from_rows = one_row<std::string>([](const Row& row) -> Result<std::string> {
      auto price = row.text("price");
      if (!price) return std::unexpected(price.error());
      return std::string(*price);
    });
    prices_ = std::make_unique<Prices>(cache_, database_, source);
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
  }

  static Result<Topology> load_topology() { return io::open_topology_store(cluster_->topology_address())->load(); }
  // A name whose bucket is shard 0's; `other_of`: in the same bucket as that one.
  static std::string sku_on_shard_0(int salt, const std::string& other_of = "") {
    for (int i = salt * 100'000;; ++i) {
      const std::string sku = "sku" + std::to_string(i);
      const Bucket bucket = *Prices::bucket_of({sku});
      if (other_of.empty() ? load_topology()->buckets[bucket].shard == 0 : bucket == *Prices::bucket_of({other_of}))
        return sku;
    }
  }
  Prices::Answer get(const std::string& sku) {
    return prices_->sync().get({sku}, {.timeout = 10s, .may_use_replica = false});
  }
  Result<Written> set_price(const std::string& sku, int price) {
    return prices_->sync().update(
        {sku}, {{kUpsert, {std::to_string(*Prices::bucket_of({sku})), sku, std::to_string(price)}}}, {.timeout = 10s});
  }
  static std::string text(const Prices::Answer& answer) {
    if (!answer) return answer.error().to_string();
    return answer->has_value() ? answer->value() : "absent";
  }
  std::string state_of(const std::string& sku) { return verified(sku, "state"); }
  std::string verified(const std::string& sku, const std::string& field) {
    auto reply = cache_
                     ->async_command("item_price:{" + sku + "}", {"VERIFY", "item_price:{" + sku + "}"},
                                     {.timeout = 5s}, boost::asio::use_future)
                     .get();
    for (size_t i = 0; reply && i + 1 < reply->elements.size(); i += 2)
      if (reply->elements[i].text == field) return reply->elements[i + 1].text;
    return "?";
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    const Instant end = io::steady_now() + 30s;
    while (!condition()) {
      if (io::steady_now() > end) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  bool becomes_a_hit(const std::string& sku) {
    return eventually([&] {
      auto answer = get(sku);
      return answer && answer->origin() == Origin::kNode;
    });
  }
  static Status move(Bucket bucket, int target, std::vector<std::string> more = {}, const std::string& kill_at = "") {
    std::vector<std::string> argv{
        cluster_->binary(kill_at.empty() ? "tidemark-shards" : "tidemark-shards-killable").string(),
        "move",
        "--buckets",
        std::to_string(bucket),
        "--to",
        std::to_string(target),
        "--topology",
        cluster_->topology_address(),
        "--shards",
        (cluster_->directory() / "shards.json").string()};
    argv.insert(argv.end(), more.begin(), more.end());
    localcluster::Environment environment;
    if (!kill_at.empty()) environment.emplace_back("TIDEMARK_KILL_AT", kill_at);
    return localcluster::run_to_end({argv, cluster_->directory() / "logs/move.log", environment}, 60s);
  }

  static inline std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  std::unique_ptr<Prices> prices_;
  std::thread thread_;
};

TEST_F(MovesUnderCacheTest, WhatWasAcknowledgedIsReadAtOnceThroughEveryMove) {
  const std::string sku = sku_on_shard_0(1);
  const Bucket bucket = *Prices::bucket_of({sku});
  std::atomic<int> acknowledged{0};
  std::atomic<bool> is_over{false};
  ASSERT_TRUE(set_price(sku, 0));
  std::thread writer([&] {
    for (int price = 1; !is_over; ++price) {
      const auto written = set_price(sku, price);
      if (written) acknowledged = price;
      EXPECT_TRUE(written) << written.error().to_string();
      std::this_thread::sleep_for(2ms);
    }
  });
  std::atomic<int> reads{0}, hits{0};
  std::thread reader([&] {
    while (!is_over) {
      const int known = acknowledged;
      const auto answer = get(sku);
      if (!answer) continue;
      ++reads;
      hits += answer->origin() == Origin::kNode;
      EXPECT_GE(std::stoi(text(answer)), known) << to_string(answer->origin());
    }
  });
  for (const int target : {1, 0, 1, 0}) EXPECT_TRUE(move(bucket, target));
  is_over = true;
  writer.join();
  reader.join();
  EXPECT_GT(reads, 50);
  EXPECT_EQ(text(get(sku)), std::to_string(acknowledged));
}

// The hand-over has happened, the source has not heard of it, and the topology says nothing.
TEST_F(MovesUnderCacheTest, WhoeverIsRefusedByAFenceIsSentOnBeforeTheSourceKnowsOfTheHandOver) {
  const std::string sku = sku_on_shard_0(5);
  const Bucket bucket = *Prices::bucket_of({sku});
  ASSERT_TRUE(set_price(sku, 1));
  ASSERT_FALSE(move(bucket, 1, {"--no-guardian", "--id", "unaware"}, "after flip"));
  EXPECT_EQ(load_topology()->buckets[bucket].shard, 0);
  EXPECT_EQ(cluster_->psql("s0-primary", "SELECT state FROM shard.bucket WHERE bucket = " + std::to_string(bucket))
                .value_or(""),
            "fenced");
  const auto written = set_price(sku, 2);
  EXPECT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(text(get(sku)), "2");
  EXPECT_EQ(load_topology()->buckets[bucket].shard, 0) << "nobody has told it yet";
  ASSERT_TRUE(move(bucket, 1));
  EXPECT_EQ(text(get(sku)), "2");
}

// The node believes in the old owner still, and its log's positions are far beyond those of the new one.
TEST_F(MovesUnderCacheTest, ASessionSeesItsWriteThroughANodeThatHasNotHeardOfTheMove) {
  const std::string sku = sku_on_shard_0(6);
  const Bucket bucket = *Prices::bucket_of({sku});
  ASSERT_TRUE(set_price(sku, 1));
  ASSERT_TRUE(becomes_a_hit(sku));
  ASSERT_TRUE(cluster_->psql("s0-primary",
                             "SELECT count(pg_logical_emit_message(false, 'x', repeat('y', 100000))) FROM "
                             "generate_series(1, 300)"));
  ASSERT_TRUE(eventually([&] {
    const auto there = cluster_->psql("s1-primary", "SELECT pg_current_wal_insert_lsn()").value_or("");
    const auto tide = Lsn::parse(verified(sku, "complete_through"));
    return tide && *tide > *Lsn::parse(there.substr(0, there.find('\n')));
  }));
  ASSERT_TRUE(cluster_->pause("invalidator"));  // neither shard's log tells the node anything
  ASSERT_FALSE(move(bucket, 1, {"--no-guardian", "--id", "untold"}, "before publish map"));
  ASSERT_EQ(state_of(sku), "value");
  auto session = std::make_shared<Session>();
  // Written without a word to the node: only the session knows.
  const auto written = database_
                           ->async_write({bucket}, {{kUpsert, {std::to_string(bucket), sku, "2"}}},
                                         {.timeout = 10s, .session = session}, boost::asio::use_future)
                           .get();
  ASSERT_TRUE(written) << written.error().to_string();
  const auto answer = prices_->sync().get({sku}, {.timeout = 10s, .may_use_replica = false, .session = session});
  EXPECT_EQ(text(answer), "2");
  EXPECT_NE(answer->origin(), Origin::kNode);
  ASSERT_TRUE(cluster_->resume("invalidator"));
  ASSERT_TRUE(move(bucket, 1));
}

// Who states no owner has only the bound to go by. The node has heard nothing of the hand-over, neither from the
// topology nor from the new owner's log, while the old owner's tide mark is as fresh as ever.
TEST_F(MovesUnderCacheTest, ABoundNeverSpeaksForABucketThatItsShardHasGivenAway) {
  const std::string sku = sku_on_shard_0(7);
  const Bucket bucket = *Prices::bucket_of({sku});
  ASSERT_TRUE(set_price(sku, 1));
  ASSERT_TRUE(becomes_a_hit(sku));
  // The new owner's walsender stands still: its log reaches no cache.
  const int walsender =
      std::stoi(cluster_->psql("s1-primary", "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'tidemark'")
                    .value_or("0"));
  ASSERT_GT(walsender, 0);
  ASSERT_EQ(::kill(walsender, SIGSTOP), 0);
  EXPECT_FALSE(move(bucket, 1, {"--no-guardian", "--id", "unheard"}, "before publish map"));
  // Written without a word to the node.
  const auto written = database_
                           ->async_write({bucket}, {{kUpsert, {std::to_string(bucket), sku, "2"}}}, {.timeout = 10s},
                                         boost::asio::use_future)
                           .get();
  EXPECT_TRUE(written) << written.error().to_string();
  const Instant acknowledged = io::steady_now();
  const std::string key = "item_price:{" + sku + "}";
  const auto ask = [&](std::vector<std::string> words) {
    return cache_->async_command(key, std::move(words), {.timeout = 5s}, boost::asio::use_future).get();
  };
  int fresh_bounds = 0;
  while (io::steady_now() < acknowledged + 3s) {
    const auto before = io::steady_now();
    auto reply = ask({"GETL", key, "MAXSTALE", "1000"});
    if (!reply || reply->elements.empty()) break;
    if (reply->elements[0].text == "HIT") {
      const bool is_within = before - acknowledged <= std::chrono::milliseconds(reply->elements[2].integer);
      EXPECT_TRUE(is_within || reply->elements[1].text == "2") << "a value older than the bound that came with it";
      if (!is_within && reply->elements[1].text != "2") break;
    } else {
      EXPECT_EQ(reply->elements[0].text, "BYPASS");
      ++fresh_bounds;
    }
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GT(fresh_bounds, 0);
  auto plain = ask({"GET", key});
  EXPECT_TRUE(plain && plain->is_null()) << "nor to whoever knows no bounds";
  EXPECT_EQ(text(get(sku)), "2");
  ASSERT_EQ(::kill(walsender, SIGCONT), 0);
  ASSERT_TRUE(move(bucket, 1));
  EXPECT_TRUE(becomes_a_hit(sku));
  EXPECT_EQ(text(get(sku)), "2");
}

// A replica of the new owner that has not replayed the hand-over is behind the commits of the old one, however far its
// log is.
TEST_F(MovesUnderCacheTest, AReplicaThatHasNotReplayedTheHandOverFillsNothing) {
  const std::string sku = sku_on_shard_0(8);
  const Bucket bucket = *Prices::bucket_of({sku});
  ASSERT_TRUE(set_price(sku, 1));
  ASSERT_FALSE(move(bucket, 1, {"--no-guardian", "--id", "behind"}, "after verify"));  // the replica has price 1
  ASSERT_TRUE(eventually([&] {
    return cluster_->psql("s1-replica1", "SELECT price FROM item WHERE sku = '" + sku + "'").value_or("") == "1";
  }));
  ASSERT_TRUE(cluster_->pause_replay("s1-replica1"));
  ASSERT_TRUE(set_price(sku, 2));  // the last commit of the old owner
  ASSERT_TRUE(move(bucket, 1));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(text(prices_->sync().get({sku}, {.timeout = 10s})), "2") << "a replica may be asked, and has 1";
    EXPECT_EQ(text(prices_->sync().get({sku}, {.timeout = 10s, .max_stale = kAnyStaleness})), "2");
  }
  ASSERT_TRUE(cluster_->resume_replay("s1-replica1"));
  ASSERT_TRUE(becomes_a_hit(sku));
  EXPECT_EQ(text(get(sku)), "2");
}

// While its bucket is copied a row lies on two shards, and after the hand-over too.
TEST_F(MovesUnderCacheTest, AScatterReadShowsEachRowOnceWhileItsBucketMoves) {
  constexpr int kRows = 40;
  std::vector<std::string> skus{sku_on_shard_0(20)};
  while (skus.size() < kRows) skus.push_back(sku_on_shard_0(20 + static_cast<int>(skus.size()), skus.front()));
  const Bucket bucket = *Prices::bucket_of({skus.front()});
  for (int i = 0; i < kRows; ++i) ASSERT_TRUE(set_price(skus[static_cast<size_t>(i)], 1'000'000 + i));
  std::atomic<bool> is_over{false};
  std::atomic<int> answers{0};
  const auto ask = [&](ScatterQuery query) {
    query.params = {"1000000"};
    return database_
        ->async_scatter(std::move(query), {.timeout = 20s, .may_use_replica = false}, boost::asio::use_future)
        .get();
  };
  const shardrouter::OrderColumn by_price{"price", shardrouter::OrderColumn::Kind::kInteger, true};
  const shardrouter::OrderColumn by_bucket{"bucket", shardrouter::OrderColumn::Kind::kInteger};
  std::thread reader([&] {
    while (!is_over) {
      const auto rows = ask({.sql = "SELECT bucket, sku, price FROM item WHERE price >= $1::bigint",
                             .order_by = {by_price},
                             .limit = kRows / 2});
      ASSERT_TRUE(rows) << rows.error().to_string();
      ASSERT_EQ(rows->rows.rows.size(), kRows / 2u);
      for (size_t i = 0; i < rows->rows.rows.size(); ++i)
        ASSERT_EQ(rows->rows.rows[i][2], std::to_string(1'000'000 + kRows - 1 - static_cast<int>(i)));
      const auto sums = ask({.sql = "SELECT bucket, count(*) AS n, sum(price) AS total, min(price) AS lowest, "
                                    "max(price) AS highest FROM item WHERE price >= $1::bigint GROUP BY bucket",
                             .order_by = {by_bucket},
                             .limit = 100});
      ASSERT_TRUE(sums) << sums.error().to_string();
      ASSERT_EQ(sums->rows.rows.size(), 1u) << "a bucket is counted on one shard only";
      const auto& row = sums->rows.rows.front();
      ASSERT_EQ(row[1], std::to_string(kRows));
      ASSERT_EQ(row[2], std::to_string(1'000'000LL * kRows + kRows * (kRows - 1) / 2));
      ASSERT_EQ(row[3], "1000000");
      ASSERT_EQ(row[4], std::to_string(1'000'000 + kRows - 1));
      ++answers;
    }
  });
  for (const int target : {1, 0}) EXPECT_TRUE(move(bucket, target));
  // Copied, and handed over but not cleaned up: rows of the same bucket on both shards for as long as one likes.
  EXPECT_TRUE(move(bucket, 1, {"--id", "both", "--hold"}));
  const int before = answers;
  EXPECT_TRUE(eventually([&] { return answers > before + 3; }));
  is_over = true;
  reader.join();
  EXPECT_GT(answers, 5);
}

TEST_F(MovesUnderCacheTest, TheCopyInvalidatesNothingAndTheHandOverOnlyItsBucket) {
  const std::string written = sku_on_shard_0(2);
  const std::string idle = sku_on_shard_0(3, written);
  const std::string elsewhere = sku_on_shard_0(4);
  const Bucket bucket = *Prices::bucket_of({written});
  ASSERT_NE(bucket, *Prices::bucket_of({elsewhere}));
  for (const std::string& sku : {written, idle, elsewhere}) {
    ASSERT_TRUE(set_price(sku, 7));
    ASSERT_TRUE(becomes_a_hit(sku)) << sku;
  }
  ASSERT_FALSE(move(bucket, 1, {"--no-guardian", "--id", "half"}, "after verify"));
  // Rows were copied and applied at the target, and its invalidator has seen them: a later commit there has come
  // through.
  ASSERT_TRUE(set_price(written, 8));
  EXPECT_EQ(text(get(written)), "8");
  EXPECT_EQ(state_of(idle), "value");
  EXPECT_EQ(state_of(elsewhere), "value");
  ASSERT_TRUE(move(bucket, 1));
  EXPECT_TRUE(eventually([&] { return state_of(idle) != "value"; })) << "its proof names a shard that owns it no more";
  EXPECT_EQ(state_of(elsewhere), "value");
  EXPECT_EQ(text(get(idle)), "7");
  EXPECT_TRUE(becomes_a_hit(idle)) << "filled from the new owner";
  ASSERT_TRUE(set_price(idle, 9));
  EXPECT_EQ(text(get(idle)), "9");
}

}  // namespace
}  // namespace tidemark::client
