// A repository between a make-believe node and a make-believe shard with one table, for its unit tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/io/system_clock.h"
#include "base/parse.h"
#include "client/io/client_metrics.h"
#include "client/repository.h"
#include "client/session_token.h"
#include "client/testing/fake_node.h"
#include "client/testing/fake_shard_pool.h"

namespace tidemark::client {

using shardrouter::ResultSet;
using shardrouter::ShardPool;
using shardrouter::Statement;
using std::chrono::milliseconds;
using std::chrono::seconds;
using tidemark::testing::FakeNode;
using tidemark::testing::FakeShardPool;
using tidemark::testing::run_until;

struct ProductBySku : KeyFamily<"product:{<sku>}", std::string, std::string> {
  static constexpr std::string_view kName = "product";
  static constexpr std::string_view kTable = "catalog.product";
  static constexpr std::array<std::string_view, 1> kKeyColumns = {"sku"};
};
using Products = Repository<ProductBySku>;
using Answer = Products::Answer;

inline Topology one_node_topology(uint16_t port, uint64_t version = 1) {
  Topology topology;
  topology.version = version;
  topology.nodes.push_back({"n1", "127.0.0.1", {port}, 0, 1});
  topology.groups.push_back({"g1", 1, {"n1"}, 1.0});
  topology.slot_groups.assign(kSlotCount, 0);
  topology.shards.push_back({0, {}});
  topology.buckets.assign(kBucketCount, BucketOwner{0, 1});
  return topology;
}

// A table of names by sku, answered as a server would answer the load's pipeline.
struct FakeTable {
  std::map<std::string, std::string> names;
  std::string bucket_state = "owned";
  bool is_standby = false;
  std::string replayed = "0/500";
  std::string inserted = "0/900";
  std::string snapshot = "10:12:10";
  std::string db_epoch = "7";
  uint64_t next_xid = 12;

  ResultSet data(const std::vector<std::string>& skus) const {
    ResultSet set;
    set.columns = {"tm_e", "tm_bucket", "tm_state", "tm_epoch", "tm_forward", "tm_snapshot", "tm_found", "sku", "name"};
    for (const std::string& sku : skus) {
      std::vector<std::optional<std::string>> row = {
          db_epoch, std::to_string(bucket_of_natural_key(sku)), bucket_state, "3", std::nullopt, snapshot};
      auto found = names.find(sku);
      if (found == names.end()) {
        row.insert(row.end(), {std::nullopt, std::nullopt, std::nullopt});
      } else {
        row.insert(row.end(), {"t", sku, found->second});
      }
      set.rows.push_back(std::move(row));
    }
    return set;
  }

  FakeShardPool::Results load(std::vector<std::string> skus) const {
    ResultSet role{{"standby", "replayed", "xmax", "age"},
                   {{is_standby ? "t" : "f", replayed, "12", std::to_string(next_xid - 3)}},
                   "",
                   0};
    ResultSet positions{{"upper", "replayed", "xid"}, {{inserted, replayed, std::nullopt}}, "", 0};
    return std::vector<ResultSet>{role, {}, data(skus), positions, {}};
  }
};

inline std::vector<std::string> array_items(std::string_view literal) {
  std::vector<std::string> items;
  for (std::string_view item : split(literal.substr(1, literal.size() - 2), ','))
    items.emplace_back(item.substr(1, item.size() - 2));
  return items;
}

class RepositoryTest : public ::testing::Test {
 protected:
  RepositoryTest() { start({}); }
  ~RepositoryTest() override {
    cache_->close();
    database_->close();
    run_pending();
  }

  void start(RepositoryOptions options, DatabaseOptions database = {}, bool is_node_up = true) {
    if (cache_ != nullptr) cache_->close();
    node_ = std::make_unique<FakeNode>(context_);
    auto topology = std::make_shared<Topology>(one_node_topology(node_->server.port()));
    if (!is_node_up) node_->server.stop();
    CacheOptions cache;
    cache.timeout = seconds(5);
    cache_ = CacheClient::create(context_, topology, cache);
    database.make_pool = [this](const Shard&) {
      pool_ = std::make_shared<FakeShardPool>(context_, [this](const FakeShardPool::Run& run) { return query(run); });
      return pool_;
    };
    database_ = Database::create(context_, topology, database);
    RowSource<ProductBySku> source;
    source.sql = "SELECT sku, name FROM catalog.product WHERE bucket = $1::int AND sku = $2";
    source.batch_sql = "BATCH";
    source.from_rows = one_row<std::string>([](const Row& row) -> Result<std::string> {
      auto name = row.text("name");
      if (!name) return std::unexpected(name.error());
      return std::string(*name);
    });
    options.node_timeout = node_timeout_;
    products_ = std::make_unique<Products>(cache_, database_, source, options);
  }

  virtual FakeShardPool::Results query(const FakeShardPool::Run& run) {
    if (on_query_) on_query_(run);
    if (run.data().sql.find("tidemark.epoch) AS e") != std::string::npos) {
      return std::vector<ResultSet>{{{"e", "inserted"}, {{"7", table_.inserted}}, "", 0}};
    }
    if (run.pipeline.groups[0][0].sql.find("BEGIN") != std::string::npos) return written(run);
    if (run.target == ShardPool::Target::kReplica && !replica_) {
      return fail(ErrorCode::kFailedPrecondition, "no replica has replayed that far");
    }
    FakeTable table = run.target == ShardPool::Target::kReplica ? *replica_ : table_;
    const Statement& data = run.data();
    if (data.sql.find("BATCH") != std::string::npos) return table.load(array_items(*data.params[1]));
    return table.load({*data.params[1]});
  }
  FakeShardPool::Results written(const FakeShardPool::Run& run) {
    if (write_error_) return std::unexpected(*write_error_);
    std::vector<ResultSet> results(run.pipeline.groups[0].size() + 1);
    results[1] = {{"guard"}, {{"7"}}, "", 0};
    results[results.size() - 3] = {{"xid"}, {{"55"}}, "", 0};
    results[results.size() - 2].command_tag = "COMMIT";
    results.back() = {{"lsn"}, {{"0/950"}}, "", 0};
    return results;
  }

  Answer get(const std::string& sku, ReadOptions options = {}) {
    std::optional<Answer> answer;
    products_->async_get({sku}, with_timeout(options), [&](Answer result) { answer = std::move(result); });
    EXPECT_TRUE(run_until(context_, [&] { return answer.has_value(); }));
    return std::move(*answer);
  }
  std::vector<Answer> get_many(std::vector<std::string> skus, ReadOptions options = {}) {
    std::optional<std::vector<Answer>> answers;
    std::vector<ProductBySku::Key> keys;
    for (auto& sku : skus) keys.emplace_back(sku);
    products_->async_get_many(keys, with_timeout(options),
                              [&](std::vector<Answer> result) { answers = std::move(result); });
    EXPECT_TRUE(run_until(context_, [&] { return answers.has_value(); }));
    return std::move(*answers);
  }
  Result<Written> update(const std::string& sku, std::shared_ptr<Session> session = {}) {
    std::optional<Result<Written>> written;
    products_->async_update({sku}, {{"UPDATE …"}}, {.session = std::move(session)},
                            [&](Result<Written> result) { written = std::move(result); });
    EXPECT_TRUE(run_until(context_, [&] { return written.has_value(); }));
    return std::move(*written);
  }
  static ReadOptions with_timeout(ReadOptions options) {
    if (options.timeout == ReadOptions().timeout) options.timeout = seconds(4);
    return options;
  }
  bool wait_for_fills(size_t count) {
    return run_until(context_, [&] {
      return node_->of("SETV").size() >= count && cache_->metrics().value("fills", "ok") +
                                                          cache_->metrics().value("fills", "older") +
                                                          cache_->metrics().value("fills", "lease") >=
                                                      count;
    });
  }
  // Ages are measured on the real clock: the context runs until so much of it is over.
  void let_pass(Duration time) {
    const Instant end = io::steady_now() + time;
    run_until(context_, [&] { return io::steady_now() >= end; });
  }
  void run_pending() {
    context_.restart();
    while (context_.poll_one() > 0) {
    }
  }
  uint64_t metric(std::string_view name, std::string_view label) { return cache_->metrics().value(name, label); }
  size_t loads() const {
    return static_cast<size_t>(std::count_if(pool_->runs.begin(), pool_->runs.end(), [](const auto& run) {
      return run.pipeline.groups[0][0].sql.find("standby") != std::string::npos;
    }));
  }
  std::string cached(const std::string& name) { return encode_value<std::string>(name); }
  std::string describe(const Answer& answer) {
    if (!answer) return std::string(tidemark::to_string(answer.error().code));
    return fmt::format("{}@{}", answer->has_value() ? answer->value() : "absent", to_string(answer->origin()));
  }

  // GETL is left unanswered until its time is over; then the node says that the key's lease was given.
  void start_with_a_late_node() {
    node_timeout_ = milliseconds(200);
    start({});
    node_->entries["product:{warm}"] = std::nullopt;  // the link is up, so the next GETL is written in time
    get("warm");
    node_->script = [this](const FakeNode::Request& request) {
      if (request[0] != "GETL") return std::string();
      node_->leases[request[1]] = "late";
      return std::string("-");
    };
  }
  void answer_late() {
    ASSERT_TRUE(run_until(context_, [&] { return node_->of("GETL").size() == 2; }));
    node_->server.send("*4\r\n$4\r\nMISS\r\n$4\r\nlate\r\n$3\r\n0/0\r\n:0\r\n");
  }

  boost::asio::io_context context_;
  Duration node_timeout_ = seconds(2);
  std::unique_ptr<FakeNode> node_;
  std::shared_ptr<CacheClient> cache_;
  std::shared_ptr<Database> database_;
  std::shared_ptr<FakeShardPool> pool_;
  std::unique_ptr<Products> products_;
  FakeTable table_{{{"bash", "shell"}, {"vim", "editor"}, {"git", "history"}}};
  std::optional<FakeTable> replica_;
  std::optional<Error> write_error_;
  std::function<void(const FakeShardPool::Run&)> on_query_;
};

}  // namespace tidemark::client
