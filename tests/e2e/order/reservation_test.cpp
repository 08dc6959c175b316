// The functions of catalog.reservation and shop.outbox in a real Postgres, asked over many connections at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "base/io/topology_store_file.h"
#include "client/row.h"
#include "shardrouter/io/shard_pool.h"
#include "shardrouter/sql/routed_write.h"
#include "tools/localcluster/local_cluster.h"

namespace tidemark::order {
namespace {

using localcluster::LocalCluster;
using namespace std::chrono_literals;
using shardrouter::Pipeline;
using shardrouter::ResultSet;
using shardrouter::ShardPool;
using shardrouter::Statement;
using testing::AnyOf;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr Bucket kBucket = 5;     // of every product here
constexpr Bucket kCustomers = 9;  // and of every order

class ReservationSql : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string directory = testing::TempDir() + "tidemark-reservation-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    localcluster::Options options;
    options.directory = directory + "/cluster";
    options.nodes = 0;
    options.replicas = 0;
    options.with_invalidator = false;
    options.schema_files = {std::filesystem::path(TIDEMARK_SOURCE_DIR) / "services/catalog/schema.sql",
                            std::filesystem::path(TIDEMARK_SOURCE_DIR) / "services/order/schema.sql"};
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
    psql("UPDATE shard.bucket SET state = 'owned', epoch = 1 WHERE state <> 'owned'");
    psql(
        "DELETE FROM catalog.reservation; DELETE FROM catalog.product; DELETE FROM shop.outbox; "
        "DELETE FROM shop.order_line; DELETE FROM shop.orders");
    const auto topology = io::open_topology_store(cluster_->topology_address())->load();
    ASSERT_TRUE(topology) << topology.error().to_string();
    ShardPool::Options options;
    options.passfile = cluster_->passfile("tidemark_app").string();
    options.connections_per_server_max = 12;
    pool_ = ShardPool::create(context_, topology->shards.at(0), options);
  }
  void TearDown() override {
    pool_->close();
    pool_.reset();
    context_.restart();
    context_.run_for(2s);
  }

  static std::string psql(const std::string& sql) {
    const auto text = cluster_->psql("s0-primary", sql);
    EXPECT_TRUE(text) << sql << ": " << (text ? "" : text.error().to_string());
    std::string line = text.value_or("");
    while (line.ends_with('\n')) line.pop_back();
    return line;
  }
  void add_product(const std::string& sku, int64_t stock) {
    psql("INSERT INTO catalog.product (bucket, sku, price_cents, stock) VALUES (" + std::to_string(kBucket) + ", '" +
         sku + "', 25, " + std::to_string(stock) + ")");
  }
  static std::string stock(const std::string& sku) {
    return psql("SELECT stock FROM catalog.product WHERE sku = '" + sku + "'");
  }
  static std::string state(int64_t order) {
    return psql("SELECT state FROM catalog.reservation WHERE order_id = " + std::to_string(order));
  }

  // All at once, each on whatever connection is free, guarded as services do it; 40001 and deadlocks are tried again.
  // The first cell of each answer.
  std::vector<std::string> at_once(const std::vector<std::string>& calls, Bucket bucket = kBucket) {
    std::vector<std::string> answers(calls.size());
    size_t left = calls.size();
    std::function<void(size_t)> ask = [&](size_t i) {
      auto pipeline = shardrouter::make_routed_write({{bucket, 1}}, {Statement{"SELECT " + calls[i]}});
      pool_->run(
          ShardPool::Target::kPrimary, {}, std::move(*pipeline), 30s, [&, i](Result<std::vector<ResultSet>> results) {
            if (!results && results.error().code == ErrorCode::kAborted) return ask(i);
            --left;
            if (!results) {
              answers[i] = results.error().to_string();
            } else {
              answers[i] =
                  shardrouter::read_routed_write(0, std::move(*results))->results.at(0).rows.at(0).at(0).value_or("");
            }
          });
    };
    for (size_t i = 0; i < calls.size(); ++i) ask(i);
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    context_.restart();
    while (left > 0 && std::chrono::steady_clock::now() < give_up) context_.run_one_for(100ms);
    EXPECT_EQ(left, 0u);
    return answers;
  }
  std::string one(const std::string& call, Bucket bucket = kBucket) { return at_once({call}, bucket).at(0); }

  static std::string reserve(int64_t order, int64_t quantity, int64_t ttl_ms = 60'000, const std::string& sku = "it") {
    return "(catalog.reserve(" + arguments(order, quantity, sku) + ", " + std::to_string(ttl_ms) + ")).outcome";
  }
  static std::string confirm(int64_t order, int64_t quantity, const std::string& sku = "it") {
    return "catalog.confirm(" + arguments(order, quantity, sku) + ", 25)";
  }
  static std::string release(int64_t order, int64_t quantity, const std::string& sku = "it") {
    return "catalog.release(" + arguments(order, quantity, sku) + ")";
  }
  static std::string arguments(int64_t order, int64_t quantity, const std::string& sku) {
    return std::to_string(kBucket) + ", '" + sku + "', " + std::to_string(order) + ", " + std::to_string(quantity);
  }
  // Takes stock exactly where the reservation says so.
  static void expect_balance(int64_t at_first) {
    EXPECT_EQ(psql("SELECT stock + coalesce((SELECT sum(quantity) FROM catalog.reservation WHERE state IN ('held', "
                   "'confirmed')), 0) FROM catalog.product WHERE sku = 'it'"),
              std::to_string(at_first));
  }

  static inline std::unique_ptr<LocalCluster> cluster_;
  boost::asio::io_context context_;
  std::shared_ptr<ShardPool> pool_;
};

TEST_F(ReservationSql, ReservingTakesStockOnceHoweverOftenItIsAsked) {
  add_product("it", 10);
  std::vector<std::string> calls(20, reserve(1, 3));
  EXPECT_THAT(at_once(calls), Each("reserved"));
  EXPECT_EQ(stock("it"), "7");
  EXPECT_EQ(one(reserve(1, 4)), "conflict");
  EXPECT_EQ(psql("SELECT price_cents FROM catalog.reservation"), "25");
}

TEST_F(ReservationSql, OfTheLastItemsExactlySoManyAreReserved) {
  add_product("it", 5);
  std::vector<std::string> calls;
  for (int order = 1; order <= 40; ++order) calls.push_back(reserve(order, 1));
  const auto answers = at_once(calls);
  EXPECT_EQ(std::ranges::count(answers, "reserved"), 5);
  EXPECT_EQ(std::ranges::count(answers, "out_of_stock"), 35);
  EXPECT_EQ(stock("it"), "0");
  EXPECT_EQ(psql("SELECT count(*) FROM catalog.reservation"), "5");
}

TEST_F(ReservationSql, WhatIsNotThereIsToldApartFromWhatIsSoldOut) {
  add_product("it", 0);
  EXPECT_EQ(one(reserve(1, 1)), "out_of_stock");
  EXPECT_EQ(one(reserve(1, 1, 1000, "other")), "no_product");
  EXPECT_EQ(one(confirm(1, 1, "other")), "no_product");
  EXPECT_EQ(one(confirm(1, 1)), "out_of_stock");
}

TEST_F(ReservationSql, ConfirmingAHeldOneTakesNoMoreStock) {
  add_product("it", 10);
  one(reserve(1, 3));
  EXPECT_THAT(at_once({confirm(1, 3), confirm(1, 3), confirm(1, 3)}), Each("confirmed"));
  EXPECT_EQ(stock("it"), "7");
  EXPECT_EQ(one(reserve(1, 3)), "reserved") << "a request that comes late changes nothing";
  EXPECT_EQ(state(1), "confirmed");
}

TEST_F(ReservationSql, AnExpiredOneIsConfirmedOnlyByTakingStockAgain) {
  add_product("it", 5);
  one(reserve(1, 3, -1));
  one(reserve(2, 2, -1));
  EXPECT_EQ(one("catalog.expire_reservations(100)"), "2");
  EXPECT_EQ(stock("it"), "5");
  EXPECT_EQ(one("catalog.expire_reservations(100)"), "0");
  EXPECT_EQ(one(reserve(1, 3)), "gone");
  EXPECT_EQ(one(confirm(1, 3)), "re_reserved");
  EXPECT_EQ(stock("it"), "2");
  EXPECT_EQ(one(reserve(3, 2)), "reserved");
  EXPECT_EQ(one(confirm(2, 2)), "out_of_stock");
  expect_balance(5);
}

TEST_F(ReservationSql, AReleasedOneIsNeverConfirmedAgain) {
  add_product("it", 5);
  one(reserve(1, 2));
  one(confirm(1, 2));
  EXPECT_THAT(at_once({release(1, 2), release(1, 2), release(1, 2)}),
              UnorderedElementsAre("released", "was_released", "was_released"));
  EXPECT_EQ(stock("it"), "5");
  EXPECT_EQ(one(confirm(1, 2)), "released");
  EXPECT_EQ(one(reserve(1, 2)), "gone");
  // One that never came: the release is there before it.
  EXPECT_EQ(one(release(2, 2)), "was_released");
  EXPECT_EQ(one(reserve(2, 2)), "gone");
  EXPECT_EQ(one(confirm(2, 2)), "released");
  EXPECT_EQ(stock("it"), "5");
}

TEST_F(ReservationSql, ExpiryAndConfirmAtOnceLeaveOneOfTwoOutcomesAndTheStockAddsUp) {
  for (int round = 0; round < 20; ++round) {
    psql("DELETE FROM catalog.reservation; DELETE FROM catalog.product");
    add_product("it", 8);
    std::vector<std::string> calls;
    for (int order = 1; order <= 8; ++order) calls.push_back(reserve(order, 1, -1));
    ASSERT_THAT(at_once(calls), Each("reserved"));
    calls.clear();
    for (int order = 1; order <= 8; ++order) {
      calls.push_back(confirm(order, 1));
      if (order % 3 == 0) calls.push_back("catalog.expire_reservations(100)");
    }
    const auto answers = at_once(calls);
    EXPECT_THAT(answers, Each(AnyOf("confirmed", "re_reserved", "0", "1", "2", "3", "4", "5", "6", "7", "8")));
    EXPECT_EQ(stock("it"), "0");
    expect_balance(8);
  }
}

TEST_F(ReservationSql, EverythingAtOnceOnOneProductNeverOversells) {
  add_product("it", 20);
  std::vector<std::string> calls;
  for (int order = 1; order <= 30; ++order) {
    calls.push_back(reserve(order, 1 + order % 3, order % 4 == 0 ? -1 : 60'000));
    if (order % 2 == 0) calls.push_back(confirm(order, 1 + order % 3));
    if (order % 5 == 0) calls.push_back(release(order, 1 + order % 3));
    if (order % 7 == 0) calls.push_back("catalog.expire_reservations(3)");
  }
  for (int round = 0; round < 5; ++round) {
    at_once(calls);
    expect_balance(20);
    EXPECT_GE(std::stoll(stock("it")), 0);
  }
}

TEST_F(ReservationSql, TheSweepLeavesBucketsAloneThatThisShardDoesNotOwn) {
  add_product("it", 5);
  one(reserve(1, 2, -1));
  psql("UPDATE shard.bucket SET state = 'fenced' WHERE bucket = " + std::to_string(kBucket));
  EXPECT_EQ(psql("SELECT catalog.expire_reservations(100)"), "0");
  psql("UPDATE shard.bucket SET state = 'owned' WHERE bucket = " + std::to_string(kBucket));
  EXPECT_EQ(one("catalog.expire_reservations(100)"), "1");
}

TEST_F(ReservationSql, WhatEndedLongAgoIsForgottenAndNothingElse) {
  add_product("it", 9);
  for (int order = 1; order <= 3; ++order) one(reserve(order, 1, order == 1 ? -1 : 60'000));
  one(confirm(2, 1));
  one(release(3, 1));
  one("catalog.expire_reservations(100)");
  EXPECT_EQ(one("catalog.forget_reservations(3600000, 100)"), "0");
  psql("UPDATE catalog.reservation SET changed_at = now() - interval '2 h'");
  EXPECT_EQ(one("catalog.forget_reservations(3600000, 100)"), "2");
  EXPECT_EQ(psql("SELECT order_id, state FROM catalog.reservation"), "2|confirmed");
}

// ------------------------------------------------------------------------------------------------------------ outbox
std::string place(int64_t id, const std::string& key, int64_t customer = 77) {
  return "shop.place_order(" + std::to_string(kCustomers) + ", " + std::to_string(id) + ", " +
         std::to_string(customer) + ", '" + key + "', 50, '{it}', '{2}', '{25}')";
}

TEST_F(ReservationSql, OneOrderForOneKeyHoweverManyAskAtOnce) {
  std::vector<std::string> calls;
  for (int id = 1; id <= 20; ++id) calls.push_back(place(id, "k"));
  const auto answers = at_once(calls, kCustomers);
  EXPECT_EQ(std::ranges::count(answers, "t"), 1);
  EXPECT_EQ(std::ranges::count(answers, "f"), 19);
  EXPECT_EQ(psql("SELECT (SELECT count(*) FROM shop.orders), (SELECT count(*) FROM shop.order_line), (SELECT count(*) "
                 "FROM shop.outbox)"),
            "1|1|1");
}

TEST_F(ReservationSql, ASagaIsClaimedByOneRelayAtATimeAndAnOldClaimWritesNothing) {
  for (int id = 1; id <= 10; ++id) one(place(id, "k" + std::to_string(id)), kCustomers);
  std::vector<std::string> calls;
  for (int relay = 1; relay <= 6; ++relay) {
    calls.push_back("count(DISTINCT order_id) FROM shop.claim_sagas(" + std::to_string(relay) + ", 60000, 4)");
  }
  int64_t claimed = 0;
  for (const std::string& answer : at_once(calls, kCustomers)) claimed += std::stoll(answer);
  EXPECT_EQ(claimed, 10);
  EXPECT_EQ(psql("SELECT count(*) FROM shop.outbox WHERE claim = 0 OR attempts <> 1"), "0");

  psql("UPDATE shop.outbox SET next_at = now() - interval '1 s' WHERE order_id = 1");
  EXPECT_EQ(one("order_id FROM shop.claim_sagas(99, 60000, 4)", kCustomers), "1");
  const std::string of = std::to_string(kCustomers) + ", 1, ";
  EXPECT_EQ(one("shop.saga_end(" + of + "1, 'confirmed')", kCustomers), "f");
  EXPECT_EQ(one("shop.saga_turn_back(" + of + "1, 'late')", kCustomers), "f");
  EXPECT_EQ(one("shop.saga_retry_later(" + of + "1, 0, false, 'late')", kCustomers), "f");
  EXPECT_EQ(one("shop.saga_end(" + of + "99, 'failed')", kCustomers), "f") << "it goes forward";
  EXPECT_EQ(one("shop.saga_end(" + of + "99, 'confirmed')", kCustomers), "t");
  EXPECT_EQ(psql("SELECT state, row_version FROM shop.orders WHERE id = 1"), "confirmed|2");
}

TEST_F(ReservationSql, ACancelTakesASagaOverAndItsRelayCannotEndItAnyMore) {
  one(place(1, "k"), kCustomers);
  one("count(*) FROM shop.claim_sagas(5, 60000, 4)", kCustomers);
  const std::string of = std::to_string(kCustomers) + ", 1";
  EXPECT_EQ(one("shop.cancel_order(" + of + ")", kCustomers), "pending");
  EXPECT_EQ(one("shop.saga_end(" + of + ", 5, 'confirmed')", kCustomers), "f");
  EXPECT_EQ(one("shop.cancel_order(" + of + ")", kCustomers), "cancelling");
  EXPECT_EQ(one("kind || step FROM shop.claim_sagas(6, 60000, 4)", kCustomers), "cancelrelease");
  EXPECT_EQ(one("shop.saga_end(" + of + ", 6, 'confirmed')", kCustomers), "f") << "it goes back";
  EXPECT_EQ(one("shop.saga_end(" + of + ", 6, 'cancelled')", kCustomers), "t");
  EXPECT_EQ(one("shop.cancel_order(" + of + ")", kCustomers), "cancelled");
  EXPECT_EQ(psql("SELECT count(*) FROM shop.outbox"), "0");
}

TEST_F(ReservationSql, CancelsAndEndsAtOnceLeaveEachOrderInOneState) {
  std::vector<std::string> calls;
  for (int id = 1; id <= 30; ++id) one(place(id, "k" + std::to_string(id)), kCustomers);
  one("count(*) FROM shop.claim_sagas(5, 60000, 100)", kCustomers);
  for (int id = 1; id <= 30; ++id) {
    const std::string of = std::to_string(kCustomers) + ", " + std::to_string(id);
    calls.push_back("shop.saga_end(" + of + ", 5, 'confirmed')");
    calls.push_back("shop.cancel_order(" + of + ")");
  }
  at_once(calls, kCustomers);
  // Whoever was first: the order is being cancelled, and its saga goes back.
  EXPECT_EQ(psql("SELECT count(*) FROM shop.orders o JOIN shop.outbox b ON b.order_id = o.id WHERE o.state = "
                 "'cancelling' AND b.step = 'release' AND b.kind = 'cancel'"),
            "30");
}

TEST_F(ReservationSql, ClaimsLeaveBucketsAloneThatThisShardDoesNotOwn) {
  one(place(1, "k"), kCustomers);
  psql("UPDATE shard.bucket SET state = 'fenced' WHERE bucket = " + std::to_string(kCustomers));
  EXPECT_EQ(psql("SELECT count(*) FROM shop.claim_sagas(5, 60000, 4)"), "0");
  EXPECT_EQ(psql("SELECT waiting FROM shop.outbox_depth()"), "0");
  psql("UPDATE shard.bucket SET state = 'owned' WHERE bucket = " + std::to_string(kCustomers));
  EXPECT_EQ(psql("SELECT waiting FROM shop.outbox_depth()"), "1");
}

TEST_F(ReservationSql, StockBelowZeroAndAnUnknownStateAreRefusedByTheTableItself) {
  add_product("it", 1);
  EXPECT_FALSE(cluster_->psql("s0-primary", "UPDATE catalog.product SET stock = stock - 2"));
  one(reserve(1, 1));
  EXPECT_FALSE(cluster_->psql("s0-primary", "UPDATE catalog.reservation SET state = 'sold'"));
}

}  // namespace
}  // namespace tidemark::order
