// The client library against a real shard with its replica, two nodes and the invalidator.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <map>
#include <thread>

#include "base/io/system_clock.h"
#include "base/io/topology_store_file.h"
#include "client/io/client_metrics.h"
#include "client/io/families_file.h"
#include "client/repository.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::client {
namespace {

using localcluster::LocalCluster;
using namespace std::chrono_literals;

struct PriceOfProduct : KeyFamily<"price:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "price";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
  static constexpr bool kOneRowPerKey = true;
};
using Prices = Repository<PriceOfProduct>;

constexpr const char* kInsert =
    "INSERT INTO catalog.product (bucket, sku, price_cents) VALUES ($1::int, $2, $3::bigint) "
    "ON CONFLICT (bucket, sku) DO UPDATE SET price_cents = EXCLUDED.price_cents";

class ClientTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = ::testing::TempDir() + "tidemark-e2e-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    ASSERT_TRUE(write_families_file(directory + "/families.json", families_of<PriceOfProduct>()));
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 2;
    options.schema_files = {std::string(TIDEMARK_SOURCE_DIR) + "/services/catalog/schema.sql"};
    options.tables = {"catalog.product"};
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
    auto topology = std::make_shared<const Topology>(std::move(*loaded));
    cache_ = CacheClient::create(context_, topology, {});
    DatabaseOptions options;
    options.pool.passfile = cluster_->passfile("tidemark_app").string();
    database_ = Database::create(context_, topology, options);
    RowSource<PriceOfProduct> source;
    source.sql = "SELECT bucket, sku, price_cents FROM catalog.product WHERE bucket = $1::int AND sku = $2";
    source.batch_sql =
        "SELECT p.bucket, p.sku, p.price_cents FROM catalog.product p "
        "JOIN unnest($1::int[], $2::text[]) AS k(bucket, sku) USING (bucket, sku)";
    source.from_rows = one_row<std::string>([](const Row& row) -> Result<std::string> {
      auto price = row.text("price_cents");
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

  Prices::Answer get(const std::string& sku, ReadOptions options = {.timeout = 5s}) {
    return prices_->sync().get({sku}, options);
  }
  Result<Written> set_price(const std::string& sku, int price) {
    return prices_->sync().update(
        {sku}, {{kInsert, {std::to_string(*Prices::bucket_of({sku})), sku, std::to_string(price)}}}, {.timeout = 5s});
  }
  Result<WrittenThrough<std::string>> write_through(const std::string& sku, const std::string& change) {
    return prices_->sync().write_through({sku}, {{change, {std::to_string(*Prices::bucket_of({sku})), sku}}},
                                         {.timeout = 5s});
  }
  static std::string raise_to(int price) {
    return "UPDATE catalog.product SET price_cents = " + std::to_string(price) +
           " WHERE bucket = $1::int AND sku = $2 RETURNING sku, price_cents";
  }
  // What the node itself says of the key's entry.
  std::map<std::string, std::string> verify(const std::string& sku) {
    std::map<std::string, std::string> header;
    auto reply = cache_
                     ->async_command("price:{" + sku + "}", {"VERIFY", "price:{" + sku + "}"}, {.timeout = 5s},
                                     boost::asio::use_future)
                     .get();
    EXPECT_TRUE(reply) << reply.error().to_string();
    for (size_t i = 0; reply && i + 1 < reply->elements.size(); i += 2)
      header[reply->elements[i].text] = reply->elements[i + 1].text;
    return header;
  }
  void psql(const std::string& sql) {
    auto output = cluster_->psql("s0-primary", sql);
    ASSERT_TRUE(output) << output.error().to_string();
  }
  static std::string text(const Prices::Answer& answer) {
    if (!answer) return answer.error().to_string();
    return answer->has_value() ? answer->value() : "absent";
  }
  // Asks until the condition holds, ten seconds at most.
  template <typename Condition>
  bool eventually(Condition condition) {
    const Instant end = io::steady_now() + 10s;
    while (!condition()) {
      if (io::steady_now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
  bool becomes_a_hit(const std::string& sku) {
    return eventually([&] {
      auto answer = get(sku);
      return answer && answer->origin() == Origin::kNode;
    });
  }
  uint64_t metric(std::string_view name, std::string_view label) { return cache_->metrics().value(name, label); }

  static std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  std::unique_ptr<Prices> prices_;
  std::thread thread_;
};
std::unique_ptr<LocalCluster> ClientTest::cluster_;

TEST_F(ClientTest, AWrittenRowIsLoadedFilledAndHit) {
  ASSERT_TRUE(set_price("first", 100));
  EXPECT_EQ(text(get("first")), "100");
  ASSERT_TRUE(becomes_a_hit("first"));
  auto hit = get("first");
  EXPECT_EQ(text(hit), "100");
  EXPECT_GE(hit->staleness_ms(), 0);
  EXPECT_LT(hit->staleness_ms(), 5000);
  EXPECT_EQ(text(get("nothing")), "absent");
  ASSERT_TRUE(becomes_a_hit("nothing")) << "a proven absence is cached too";
  EXPECT_EQ(text(get("nothing")), "absent");
}

TEST_F(ClientTest, OwnWritesAreReadBackAtOnce) {
  for (int price = 1; price <= 50; ++price) {
    auto written = set_price("own", price);
    ASSERT_TRUE(written) << written.error().to_string();
    auto answer = get("own", {.timeout = 5s, .may_use_replica = false});
    ASSERT_EQ(text(answer), std::to_string(price)) << to_string(answer->origin());
  }
}

// ------------------------------------------------------------------------------------------------- write-through
TEST_F(ClientTest, ARowWrittenThroughIsServedByItsNodeWithoutALoad) {
  ASSERT_TRUE(set_price("through", 1));
  ASSERT_TRUE(becomes_a_hit("through"));
  const uint64_t loads = metric("loads", "primary") + metric("loads", "replica");
  for (int price = 2; price <= 10; ++price) {
    auto written = write_through("through", raise_to(price));
    ASSERT_TRUE(written) << written.error().to_string();
    ASSERT_TRUE(written->value && written->value->has_value());
    EXPECT_EQ(written->value->value(), std::to_string(price));
    EXPECT_EQ(written->results.back().columns, (std::vector<std::string>{"sku", "price_cents"}));
    ASSERT_TRUE(eventually([&] { return verify("through")["state"] == "value"; }));
    auto header = verify("through");
    EXPECT_EQ(header["lo"], header["hi"]);
    EXPECT_LE(*Lsn::parse(header["lo"]), written->token.lsn());
    auto answer = get("through");
    EXPECT_EQ(text(answer), std::to_string(price));
    EXPECT_EQ(answer->origin(), Origin::kNode);
  }
  EXPECT_EQ(metric("loads", "primary") + metric("loads", "replica"), loads);
  EXPECT_EQ(metric("staged", "sent"), 9u);
  EXPECT_EQ(metric("staged", "accepted"), 9u);
}

TEST_F(ClientTest, OwnWritesThroughAreReadBackAtOnce) {
  ASSERT_TRUE(set_price("own-through", 0));
  for (int price = 1; price <= 50; ++price) {
    ASSERT_TRUE(write_through("own-through", raise_to(price)));
    auto answer = get("own-through", {.timeout = 5s, .may_use_replica = false});
    ASSERT_EQ(text(answer), std::to_string(price)) << to_string(answer->origin());
  }
}

TEST_F(ClientTest, ADeletedRowIsProvenAbsentByItsNode) {
  ASSERT_TRUE(set_price("deleted", 1));
  auto written =
      write_through("deleted", "DELETE FROM catalog.product WHERE bucket = $1::int AND sku = $2 RETURNING sku");
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_TRUE(written->value);
  EXPECT_TRUE(written->value->is_absent());
  ASSERT_TRUE(eventually([&] { return verify("deleted")["state"] == "absent"; }));
  EXPECT_EQ(text(get("deleted")), "absent");
}

TEST_F(ClientTest, AWriteThatMatchesNoRowProvesNothing) {
  auto written = write_through("never", raise_to(1));
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_FALSE(written->value);
  EXPECT_EQ(metric("staged", "no_row"), 1u);
  EXPECT_EQ(metric("staged", "sent"), 0u);
}

TEST_F(ClientTest, AStatementThatReturnsNothingIsRefusedAndChangesNothing) {
  ASSERT_TRUE(set_price("mute", 5));
  auto written =
      write_through("mute", "UPDATE catalog.product SET price_cents = 6 WHERE bucket = $1::int AND sku = $2");
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("RETURNING"), std::string::npos) << written.error().to_string();
  EXPECT_EQ(text(get("mute", {.timeout = 5s, .is_cache_bypassed = true})), "5");
}

// The oracle in small: a change behind the service's back must be in every answer that claims to be younger than it.
TEST_F(ClientTest, NoAnswerIsOlderThanItClaims) {
  ASSERT_TRUE(set_price("claim", 0));
  ASSERT_TRUE(becomes_a_hit("claim"));
  struct Commit {
    Instant done;
    int price;
  };
  std::vector<Commit> commits{{io::steady_now(), 0}};
  std::map<Origin, int> origins;
  for (int round = 1; round <= 20; ++round) {
    psql("UPDATE catalog.product SET price_cents = " + std::to_string(round) + " WHERE sku = 'claim'");
    commits.push_back({io::steady_now(), round});
    for (int i = 0; i < 40; ++i) {
      auto answer = get("claim");
      ASSERT_TRUE(answer) << answer.error().to_string();
      ++origins[answer->origin()];
      const int price = std::stoi(text(answer));
      for (const Commit& commit : commits) {
        if (commit.done < answer->as_of()) {
          ASSERT_GE(price, commit.price) << to_string(answer->origin()) << ", bound " << answer->staleness_ms()
                                         << " ms";
        }
      }
    }
  }
  EXPECT_GT(origins[Origin::kNode], 0);
  EXPECT_TRUE(eventually([&] { return text(get("claim")) == "20"; }));
}

TEST_F(ClientTest, ReplicasCarryLoadsAndTheirProofsAreAccepted) {
  ASSERT_TRUE(set_price("replicated", 7));
  const bool was_filled_from_replica = eventually([&] {
    static int number = 0;
    const std::string sku = "absent" + std::to_string(++number);
    auto answer = get(sku);
    return answer && answer->origin() == Origin::kReplica && becomes_a_hit(sku);
  });
  EXPECT_TRUE(was_filled_from_replica);
  EXPECT_GT(metric("loads", "replica"), 0u);
  EXPECT_GT(metric("fills", "ok"), 0u);
}

// Read past the cache, so that nothing but the client's own dating stands between the replica and the caller.
TEST_F(ClientTest, APausedReplicaIsOnlyBelievedForWhatItHadSeen) {
  const ReadOptions past_the_cache{.timeout = 5s, .max_stale = {}, .is_cache_bypassed = true};
  auto is_from_replica = [&] {
    auto answer = get("paused", past_the_cache);
    return answer && answer->origin() == Origin::kReplica;
  };
  ASSERT_TRUE(set_price("paused", 1));
  ASSERT_TRUE(eventually(is_from_replica));
  ASSERT_TRUE(cluster_->pause_replay("s0-replica1"));
  psql("UPDATE catalog.product SET price_cents = 2 WHERE sku = 'paused'");
  const Instant committed = io::steady_now();
  int old_answers = 0;
  EXPECT_TRUE(eventually([&] {
    auto answer = get("paused", past_the_cache);
    if (!answer) return false;
    if (text(answer) == "1") {
      ++old_answers;
      EXPECT_LT(answer->as_of(), committed) << "an old row that claims to be new";
      EXPECT_EQ(answer->origin(), Origin::kReplica);
    }
    return answer->origin() == Origin::kPrimary && text(answer) == "2";
  })) << "the primary answers once the replica is too far behind";
  EXPECT_GT(old_answers, 0) << "the replica was asked while it stood still";
  ASSERT_TRUE(cluster_->resume_replay("s0-replica1"));
  EXPECT_TRUE(eventually(is_from_replica));
}

TEST_F(ClientTest, ManyKeysComeInOneCall) {
  std::vector<PriceOfProduct::Key> keys;
  for (int i = 0; i < 300; ++i) {
    const std::string sku = "many" + std::to_string(i);
    keys.emplace_back(sku);
    if (i % 3 != 0) ASSERT_TRUE(set_price(sku, i));
  }
  for (int round = 0; round < 3; ++round) {
    auto answers = prices_->sync().get_many(keys, {.timeout = 10s, .may_use_replica = false});
    ASSERT_EQ(answers.size(), keys.size());
    for (size_t i = 0; i < answers.size(); ++i) {
      ASSERT_EQ(text(answers[i]), i % 3 != 0 ? std::to_string(i) : "absent") << i;
    }
  }
  EXPECT_TRUE(becomes_a_hit("many7"));
}

TEST_F(ClientTest, AKilledNodeCostsNoAnswer) {
  std::vector<std::string> skus;
  for (int i = 0; i < 20; ++i) {
    skus.push_back("kill" + std::to_string(i));
    ASSERT_TRUE(set_price(skus.back(), i));
    ASSERT_TRUE(becomes_a_hit(skus.back()));
  }
  ASSERT_TRUE(cluster_->kill("n1"));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) ASSERT_EQ(text(get(skus[static_cast<size_t>(i)])), std::to_string(i));
  }
  EXPECT_GT(metric("bypass", "unavailable"), 0u);
  ASSERT_TRUE(cluster_->start("n1"));
  for (const auto& sku : skus) EXPECT_TRUE(becomes_a_hit(sku)) << sku;
}

TEST_F(ClientTest, AStoppedNodeDelaysAnAnswerByItsTimeoutAndThenNoMore) {
  ASSERT_TRUE(set_price("hang", 5));
  ASSERT_TRUE(becomes_a_hit("hang"));
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(cluster_->pause(node));
  const Instant start = io::steady_now();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(text(get("hang")), "5");
  EXPECT_LT(io::steady_now() - start, 5s) << "the breaker opened: not every read waits for the node";
  for (const char* node : {"n1", "n2"}) ASSERT_TRUE(cluster_->resume(node));
  EXPECT_TRUE(becomes_a_hit("hang"));
}

TEST_F(ClientTest, AnOldBucketMapHealsByTheShardsRefusal) {
  const std::string bucket = std::to_string(*Prices::bucket_of({"healing"}));
  ASSERT_TRUE(set_price("healing", 1));
  psql("UPDATE shard.bucket SET epoch = 5 WHERE bucket = " + bucket);
  auto written = set_price("healing", 2);
  EXPECT_TRUE(written) << written.error().to_string();
  EXPECT_EQ(text(get("healing", {.timeout = 5s, .may_use_replica = false})), "2");
}

TEST_F(ClientTest, AMovedBucketIsRefusedWithItsForwardAddressAlsoWhenNoRowMatches) {
  const std::string bucket = std::to_string(*Prices::bucket_of({"gone"}));
  psql("UPDATE shard.bucket SET state = 'moved', epoch = 3, forward = '9' WHERE bucket = " + bucket);
  auto written = prices_->sync().update(
      {"gone"}, {{"UPDATE catalog.product SET stock = 1 WHERE bucket = $1::int AND sku = $2", {bucket, "gone"}}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(written.error().to_string().find("9"), std::string::npos) << written.error().to_string();
  auto answer = get("gone", {.timeout = 5s, .is_cache_bypassed = true, .may_use_replica = false});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kFailedPrecondition) << answer.error().to_string();
}

}  // namespace
}  // namespace tidemark::client
